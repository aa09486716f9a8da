"""What the log says while a store is in trouble."""

from __future__ import annotations

import logging
import re
from typing import NoReturn

import pytest

from taskmill import Mill
from taskmill._worker.outage import AGAIN, Outage
from taskmill._worker.service import Service
from taskmill.errors import StoreRefused
from taskmill.testing import FakeClock
from tests.worker.builders import DEADLINE, Gate, a_gated_task, busy, wait_for, with_faults

ALL = (
    "turn",
    "rescue",
    "prune",
    "unwanted",
    "version",
    "sessions.renew",
    "sessions.is_asked_to_stop",
    "statistics.add",
)


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Refused:
    """A tick whose value no store takes."""

    def tick(self) -> NoReturn:
        raise StoreRefused("it cannot hold this")


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def outage(hand: Hand, caplog: pytest.LogCaptureFixture) -> Outage:
    caplog.set_level(logging.WARNING)
    return Outage(logging.getLogger("taskmill.worker"), lambda: "2 jobs are under way", hand)


class TestOutage:
    def test_it_is_told_once_however_many_meet_it(
        self, outage: Outage, caplog: pytest.LogCaptureFixture
    ) -> None:
        for who in ("turn", "Rescue", "Heartbeat", "turn"):
            outage.failed(who, busy())

        assert caplog.messages == [f"{busy()}; it is tried again and again; 2 jobs are under way"]

    def test_while_it_lasts_it_is_told_once_a_minute(
        self, outage: Outage, hand: Hand, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(301):
            outage.failed("turn", busy())
            hand.at += 1

        told = [message.partition(":")[0] for message in caplog.messages]
        assert told[1:] == [f"in trouble for {minutes} min" for minutes in range(1, 6)]
        assert AGAIN == 60

    def test_it_is_over_when_all_that_failed_have_worked(
        self, outage: Outage, hand: Hand, caplog: pytest.LogCaptureFixture
    ) -> None:
        outage.failed("turn", busy())
        outage.failed("Rescue", busy())
        hand.at += 12
        outage.worked("turn", 3)
        outage.worked("Prune")
        before = len(caplog.messages)
        outage.worked("Rescue")
        outage.worked("Rescue")

        assert before == 1
        assert caplog.messages[1:] == [
            "the store is back after 12 s; recorded now: 3 attempts that had ended"
        ]

    def test_the_next_one_is_told_anew(
        self, outage: Outage, hand: Hand, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            outage.failed("turn", busy())
            hand.at += 1
            outage.worked("turn", 1)

        assert caplog.messages[2:] == caplog.messages[:2]

    def test_a_tick_that_is_refused_is_none(self, outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
        Service([Refused()], outage).run_due()

        assert not outage.is_on
        assert caplog.messages == ["Refused failed; it is tried again"]

    def test_where_nothing_fails_nothing_is_said(
        self, outage: Outage, caplog: pytest.LogCaptureFixture
    ) -> None:
        outage.worked("turn", 5)

        assert caplog.messages == []


class TestWorker:
    def test_all_of_its_loops_tell_of_one_outage(
        self, mill: Mill, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        faults, gate = with_faults(mill), Gate()
        with mill.worker(threads=2):
            result = a_gated_task(mill, gate).enqueue()
            gate.wait_for(1)
            for operation in ALL:
                faults.break_down(operation)
            wait_for(lambda: caplog.messages, "it is told")
            turns, rescues = faults.count("turn"), faults.count("rescue")
            gate.open()
            # The second one after it: what there was to say of the first has been said.
            wait_for(lambda: faults.count("turn") > turns + 1, "how it ended is to be recorded")
            wait_for(lambda: faults.count("rescue") > rescues + 1, "the dead are to be looked for")
            during = list(caplog.messages)
            faults.heal()
            assert result.get(timeout=DEADLINE) is None
            wait_for(lambda: len(caplog.messages) > len(during), "it is told that it is over")

        assert len(during) == 1
        assert re.search("tried again and again; 1 job under way here", during[0])
        [over] = caplog.messages[1:]
        assert re.fullmatch(r"the store is back after \S+ s; recorded now: 1 attempt that had ended", over)

    def test_what_failed_and_is_not_asked_any_more_does_not_hold_up_the_end(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        faults, gate = with_faults(mill), Gate()
        with mill.worker():
            result = a_gated_task(mill, gate).enqueue()
            gate.wait_for(1)
            faults.plan("unwanted", busy())
            mill.task(name="other")(lambda: None).enqueue()
            wait_for(lambda: caplog.messages)
            gate.open()
            result.get(timeout=DEADLINE)
            wait_for(lambda: "the store is back" in caplog.messages[-1])

    def test_who_stops_while_it_lasts_asks_for_nothing_more(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        faults, gate = with_faults(mill), Gate()
        with mill.worker() as worker:
            a_gated_task(mill, gate).enqueue()
            gate.wait_for(1)
            faults.break_down("rescue")
            wait_for(lambda: any("tried again and again" in message for message in caplog.messages))
            worker.ask_to_stop()
            wait_for(lambda: any("stopping: 1 job" in message for message in caplog.messages))
            gate.open()

        assert faults.count("sessions.ask_to_stop") == 0
