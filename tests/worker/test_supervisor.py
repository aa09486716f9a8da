"""The supervisor's rules, driven by hand: children that are no processes, a clock that stands still."""

from __future__ import annotations

import errno
import logging
import signal
from collections.abc import Callable
from typing import Any

import pytest

from taskmill._core.job import State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._worker.messages import (
    Dump,
    Dumped,
    Leaving,
    Ready,
    Stop,
    Told,
    WantsReplacement,
    Welcome,
)
from taskmill._worker.supervisor import (
    LAST_MOMENT,
    LONGEST_LEAVE,
    LOOK,
)
from taskmill.errors import StoreBusy, StoreRefused
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker, a_job, job_of, states_of
from tests.worker.builders import Faults, FaultyStorage
from tests.worker.house import HELLO, House


@pytest.fixture
def storage(clock: FakeClock) -> MemoryStorage:
    return MemoryStorage(clock)


@pytest.fixture
def house(storage: MemoryStorage, clock: FakeClock) -> Callable[..., House]:
    return lambda **options: House(storage, clock, **options)


class TestStart:
    def test_the_first_child_shows_whether_the_application_can_be_imported(
        self, house: Callable[..., House]
    ) -> None:
        home = house(processes=3)
        home.step()
        before = len(home.started)

        home.start()

        assert (before, len(home.started)) == (1, 3)
        assert home.announced == [HELLO]

    @pytest.mark.parametrize("end, status", [(Leaving(2), 2), (None, 1)])
    def test_where_it_cannot_the_worker_ends_with_its_status(
        self, house: Callable[..., House], end: Leaving | None, status: int
    ) -> None:
        home = house()
        home.step()
        if end is None:
            home.die(home.started[0], -signal.SIGSEGV)
        else:
            home.leave(home.started[0], end.status)

        assert home.supervisor.is_over
        assert home.supervisor.status == status
        assert len(home.started) == 1

    def test_a_child_is_told_who_watches_it(self, house: Callable[..., House]) -> None:
        home = house()
        process = home.start()

        assert process.said == [Welcome(home.guardian.session)]
        assert [state.kind for state in home.storage.inspection.sessions()] == ["supervisor"]

    def test_a_store_of_one_process_is_left_alone(self, house: Callable[..., House]) -> None:
        home = house()
        home.step()
        home.hear(home.started[0], HELLO._replace(url="memory://"), Ready())
        home.die(home.started[0])

        assert home.started[0].said == [Welcome(None)]
        assert len(home.started) == 2
        assert list(home.storage.inspection.sessions()) == []


class TestDeath:
    def test_another_takes_its_place_at_once(self, house: Callable[..., House]) -> None:
        home = house()
        home.die(home.start())

        assert [process.role for process in home.started] == ["worker", "worker"]

    def test_what_ran_becomes_suspect_and_all_goes_back(self, house: Callable[..., House]) -> None:
        home = house()
        process = home.start()
        home.session_of_child()

        home.supervisor.mourn(home.child(process), -signal.SIGSEGV)

        assert states_of(home.storage) == {"ran": "queued", "claimed": "queued"}
        assert job_of(home.storage, "ran").is_suspect
        assert not job_of(home.storage, "claimed").is_suspect
        assert len(home.storage.inspection.sessions()) == 1

    def test_the_log_says_how_it_ended_and_what_became_of_its_jobs(
        self, house: Callable[..., House], caplog: pytest.LogCaptureFixture
    ) -> None:
        home = house()
        process = home.start()
        home.session_of_child()

        home.die(process, -signal.SIGSEGV)

        assert "was killed by SIGSEGV" in caplog.text
        assert "jobs that go back to the queue: 2" in caplog.text

    def test_one_that_leaves_by_itself_blames_nobody(self, house: Callable[..., House]) -> None:
        home = house()
        process = home.start()
        home.session_of_child()

        home.leave(process)

        assert states_of(home.storage) == {"ran": "queued", "claimed": "queued"}
        assert not job_of(home.storage, "ran").is_suspect

    def test_one_that_does_not_end_when_it_has_said_so_is_killed_and_blames_nobody(
        self, house: Callable[..., House]
    ) -> None:
        home = house()
        process = home.start()
        home.session_of_child()
        home.hear(process, Leaving(0))
        home.step(LONGEST_LEAVE - 0.1)
        before = process.is_alive
        home.step(0.2)
        after = process.is_alive
        home.die(process)

        assert (before, after) == (True, False)
        assert not job_of(home.storage, "ran").is_suspect

    def test_quick_deaths_are_answered_later_and_later(self, house: Callable[..., House]) -> None:
        home = house()
        waits = []
        for _ in range(19):
            process, waited = home.start(), 0.0
            home.die(process)
            while home.started[-1] is process:
                waited += home.step(0.5) and 0.5
            waits.append(waited)

        assert waits[:10] == [0] * 10
        assert waits[10:16] == [0.5, 1, 2, 4, 8, 16]
        assert waits[16:] == [30, 30, 30]

    def test_one_that_lived_for_a_while_makes_up_for_the_others(self, house: Callable[..., House]) -> None:
        home = house()
        for _ in range(10):
            home.die(home.start())
        process = home.start()
        home.step(2)

        home.die(process)

        assert home.started[-1] is not process

    def test_one_that_is_never_ready_is_not_started_again_at_once(self, house: Callable[..., House]) -> None:
        home = house()
        home.die(home.start())
        home.leave(home.started[-1], 2)
        before = len(home.started)
        home.step(30)

        assert (before, len(home.started)) == (2, 3)
        assert not home.supervisor.is_over

    def test_where_no_process_can_be_started_the_others_live_on_and_it_is_tried_later_and_later(
        self, house: Callable[..., House], caplog: pytest.LogCaptureFixture
    ) -> None:
        home = house(processes=2)
        home.start()
        home.hear(home.started[1], HELLO, Ready())
        home.refused = OSError(errno.EMFILE, "Too many open files")
        home.die(home.started[0])
        home.step(1)
        tries = caplog.text.count("Too many open files; tried again in")
        home.refused = None
        home.step(1.9)
        before = len(home.started)
        home.step(0.2)

        assert (tries, before, len(home.started)) == (2, 2, 3)
        assert home.started[1].is_alive
        assert not home.supervisor.is_over

    def test_where_the_first_process_cannot_be_started_the_worker_ends(
        self, house: Callable[..., House], caplog: pytest.LogCaptureFixture
    ) -> None:
        home = house()
        home.refused = OSError(errno.EAGAIN, "Resource temporarily unavailable")
        home.step()

        assert home.supervisor.is_over
        assert home.supervisor.status == 1
        assert "no process can be started: [Errno 11] Resource temporarily unavailable" in caplog.text

    def test_what_the_store_refuses_is_done_later(
        self, storage: MemoryStorage, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        faults = Faults()
        faulty: Any = FaultyStorage(storage, faults)
        home = House(faulty, clock)
        process = home.start()
        home.session_of_child()
        faults.plan("bury", StoreBusy("jobs.db", 5, "process 1"))

        home.supervisor.mourn(home.child(process), -signal.SIGKILL)
        before = states_of(storage)
        home.step(1)

        assert before == {"ran": "running", "claimed": "running"}
        assert states_of(storage) == {"ran": "queued", "claimed": "queued"}
        assert "jobs of those that died go back, when it is over" in caplog.text
        assert "the store is back" in caplog.messages[-1]

    @pytest.mark.parametrize("operation", ["turn", "bury"])
    def test_what_the_store_will_never_take_does_not_hold_up_the_rest(
        self, storage: MemoryStorage, clock: FakeClock, caplog: pytest.LogCaptureFixture, operation: str
    ) -> None:
        faults = Faults()
        faulty: Any = FaultyStorage(storage, faults)
        home = House(faulty, clock)
        process = home.start()
        home.session_of_child()
        faults.plan(operation, StoreRefused("too large"))

        home.die(process)

        assert not home.guardian.has_duties
        assert "StoreRefused: too large" in caplog.text


class TestSuspects:
    def test_they_run_in_a_process_of_their_own_beside_the_others(self, house: Callable[..., House]) -> None:
        home = house()
        process = home.start()
        home.session_of_child()

        home.die(process)

        assert sorted(home.roles()) == ["solitary", "worker"]

    def test_a_crash_there_counts_and_the_third_is_the_last(
        self, house: Callable[..., House], caplog: pytest.LogCaptureFixture
    ) -> None:
        home = house()
        process = home.start()
        home.session_of_child()
        home.die(process)
        for _ in range(3):
            solitary = next(process for process in reversed(home.started) if process.role == "solitary")
            home.hear(solitary, HELLO, Ready())
            worker = Worker(home.storage, parent=home.guardian.session)
            worker.start(worker.claim_suspect())
            home.die(solitary)

        job = job_of(home.storage, "ran")
        assert (job.state, job.crashes) == (State.FAILED, 3)
        assert caplog.text.count("; add ran ran alone in it and is tried again") == 2
        assert "; add ran ran alone in it and has failed: that was crash 3 of 3" in caplog.text
        assert home.roles() == ["worker"]

    def test_one_that_takes_long_does_not_hold_up_the_others(self, house: Callable[..., House]) -> None:
        home = house()
        home.start()
        home.storage.jobs.add([a_job(str(number)) for number in range(9)])
        worker = Worker(home.storage)
        for slot, claimed in enumerate(worker.claim()):
            worker.start(claimed, slot)
        worker.crash(alone=False)
        counts = []
        for _ in range(6):
            home.step(1)
            counts.append(home.roles().count("solitary"))

        assert counts == [1, 2, 3, 4, 4, 4]

    def test_those_that_others_left_are_found(self, house: Callable[..., House]) -> None:
        home = house()
        home.start()
        home.step(1)
        worker = home.session_of_child()
        worker.crash(alone=False)

        home.step(1)

        assert home.roles() == ["worker", "solitary"]

    def test_signal_handlers_hear_of_it_in_a_child(self, house: Callable[..., House]) -> None:
        home = house(processes=2)
        first = home.start()
        second = home.started[1]
        home.session_of_child()

        home.die(first)
        home.hear(second, HELLO, Ready())

        told = [message for message in second.said if isinstance(message, Told)]
        assert sorted(told[0].notices) == [("rescued", "claimed", None), ("rescued", "ran", None)]


class TestStop:
    def test_all_are_told_and_it_is_over_when_they_are_gone(self, house: Callable[..., House]) -> None:
        home = house(processes=2, grace=10)
        first = home.start()
        second = home.started[1]
        home.hear(second, HELLO, Ready())

        home.supervisor.ask_to_stop()
        home.leave(first)
        before = home.supervisor.is_over
        home.leave(second)

        assert first.said[-1] == second.said[-1] == Stop(10)
        assert (before, home.supervisor.is_over, home.supervisor.status) == (False, True, 0)
        assert len(home.started) == 2

    def test_it_is_noted_for_people(self, house: Callable[..., House], storage: MemoryStorage) -> None:
        home = house()
        home.start()

        home.supervisor.ask_to_stop()
        home.step(0)

        [told] = [
            state.is_asked_to_stop for state in storage.inspection.sessions() if state.kind == "supervisor"
        ]
        assert told is True

    def test_where_the_store_is_in_trouble_it_stops_all_the_same(
        self, storage: MemoryStorage, clock: FakeClock
    ) -> None:
        faults = Faults()
        faulty: Any = FaultyStorage(storage, faults)
        home = House(faulty, clock)
        process = home.start()
        faults.break_down("sessions.ask_to_stop")

        home.supervisor.ask_to_stop()
        home.step(0)

        assert isinstance(process.said[-1], Stop)

    def test_one_that_is_not_ready_is_not_waited_for(self, house: Callable[..., House]) -> None:
        home = house()
        home.step()

        home.supervisor.ask_to_stop()

        assert not home.started[0].is_alive
        home.die(home.started[0])
        assert (home.supervisor.is_over, home.supervisor.status) == (True, 0)

    def test_one_that_does_not_end_is_killed_and_its_jobs_are_released(
        self, house: Callable[..., House]
    ) -> None:
        home = house(grace=10)
        process = home.start()
        home.session_of_child()
        home.supervisor.ask_to_stop()
        home.step(10 + LAST_MOMENT - 0.01)
        before = process.is_alive
        home.step(0.01)
        held = states_of(home.storage)
        home.die(process)
        home.guardian.close()

        assert (before, process.is_alive) == (True, False)
        assert held == {"ran": "running", "claimed": "running"}
        job = job_of(home.storage, "ran")
        assert (job.state, job.attempt, job.rescues, job.is_suspect) == (State.QUEUED, 0, 0, False)

    def test_asked_again_the_grace_is_over_and_a_third_time_everything_is(
        self, house: Callable[..., House]
    ) -> None:
        home = house(grace=10)
        process = home.start()
        home.supervisor.ask_to_stop()
        home.supervisor.ask_to_stop()
        said, is_alive = process.said[-1], process.is_alive
        home.supervisor.ask_to_stop()

        assert (said, is_alive, process.is_alive) == (Stop(0), True, False)

    def test_leases_are_renewed_while_it_waits(
        self, house: Callable[..., House], storage: MemoryStorage
    ) -> None:
        home = house(grace=100)
        home.start()
        home.session_of_child()
        home.supervisor.ask_to_stop()
        for _ in range(8):
            home.step(10)
            assert list(storage.jobs.rescue()) == []


class TestLeases:
    def test_those_of_children_are_renewed_as_long_as_they_are_not_stopped(
        self, house: Callable[..., House], storage: MemoryStorage
    ) -> None:
        home = house()
        process = home.start()
        home.session_of_child()
        for _ in range(5):
            home.step(10)
        before = list(storage.jobs.rescue())
        process.stands_still = True
        for _ in range(4):
            home.step(10)

        assert before == []
        assert len(storage.jobs.rescue()) == 2

    def test_after_a_standstill_it_has_a_new_session_and_says_so(
        self, house: Callable[..., House], storage: MemoryStorage
    ) -> None:
        home = house()
        process = home.start()
        first = home.guardian.session
        home.clock.travel(100)
        storage.jobs.rescue()

        home.step()

        assert home.guardian.session != first
        assert process.said[-1] == Welcome(home.guardian.session)


class TestReplacement:
    def test_a_worn_child_works_on_until_another_is_ready(
        self, house: Callable[..., House], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        home = house()
        old = home.start()
        home.hear(old, WantsReplacement("it has run 500 jobs"))
        home.step()
        before = list(old.said)
        new = home.start()
        said = old.said[-1]
        home.leave(old)

        assert Stop(None) not in before
        assert said == Stop(None)
        assert new.is_alive
        assert len(home.started) == 2
        assert "is to be replaced: it has run 500 jobs" in caplog.text

    def test_so_is_one_that_uses_too_much_memory(self, house: Callable[..., House]) -> None:
        home = house(max_memory=100_000_000)
        process = home.start()
        process.bytes = 100_000_001

        home.step(1)

        assert len(home.started) == 2
        assert home.child(process).is_worn

    def test_one_with_a_job_that_cannot_be_stopped_goes_by_itself_and_then_the_job_is_settled(
        self, house: Callable[..., House], caplog: pytest.LogCaptureFixture
    ) -> None:
        home = house()
        process = home.start()
        home.storage.jobs.add([a_job("stuck", lock="L")])
        claimed = Worker(home.storage, parent=home.guardian.session).claim_one()
        failed = Transition(State.FAILED, "failed")

        home.hear(process, WantsReplacement("it goes on", Settlement(claimed, failed)))
        new = home.start()
        before = states_of(home.storage)
        home.leave(process)

        assert Stop(None) not in process.said
        assert new.is_alive
        assert (before, states_of(home.storage)) == ({"stuck": "running"}, {"stuck": "failed"})
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert told == [f"{claimed.task} stuck (attempt 1 of 1) failed"]
        assert list(home.storage.limits.list()) == []

    def test_a_stop_ends_what_had_as_long_as_it_takes(self, house: Callable[..., House]) -> None:
        home = house(grace=10)
        old = home.start()
        home.hear(old, WantsReplacement("it has run 500 jobs"))
        home.start()

        home.supervisor.ask_to_stop()

        assert old.said[-1] == Stop(10)


class TestAskedInTheStore:
    def test_it_stops_also_if_it_stood_still_meanwhile(
        self, house: Callable[..., House], storage: MemoryStorage, clock: FakeClock
    ) -> None:
        home = house(grace=10)
        process = home.start()
        [own] = [state.session for state in storage.inspection.sessions() if state.kind == "supervisor"]
        storage.sessions.ask_to_stop(own)
        clock.travel(100)
        storage.jobs.rescue()

        home.step(60)

        assert home.guardian.session != own
        assert process.said[-1] == Stop(10)

    def test_it_stops_as_on_a_signal(self, house: Callable[..., House]) -> None:
        home = house(grace=10)
        process = home.start()
        home.storage.sessions.ask_to_stop(home.guardian.session or 0)

        home.step(LOOK)
        home.step(LOOK)
        home.leave(process)

        assert [said for said in process.said if isinstance(said, Stop)] == [Stop(10)]
        assert home.supervisor.is_over
        assert (home.supervisor.status, len(home.started)) == (0, 1)

    def test_after_a_signal_it_is_not_the_second_one(self, house: Callable[..., House]) -> None:
        home = house(grace=10)
        process = home.start()
        home.supervisor.ask_to_stop()
        home.storage.sessions.ask_to_stop(home.guardian.session or 0)

        home.step(LOOK)

        assert [said for said in process.said if isinstance(said, Stop)] == [Stop(10)]


class TestBurst:
    def test_it_is_over_when_every_child_found_nothing_more(self, house: Callable[..., House]) -> None:
        home = house(burst=True, processes=2)
        first = home.start()
        second = home.started[1]
        home.hear(second, HELLO, Ready())
        home.leave(first)
        before = home.supervisor.is_over
        home.leave(second)

        assert (before, home.supervisor.is_over, len(home.started)) == (False, True, 2)

    def test_suspects_belong_to_it_and_what_they_made_due_too(self, house: Callable[..., House]) -> None:
        home = house(burst=True)
        home.start()
        home.session_of_child().crash(alone=False)
        home.leave(home.started[0])
        before = home.supervisor.is_over
        solitary = home.started[-1]
        home.hear(solitary, HELLO, Ready())
        Worker(home.storage).claim_suspect()
        home.leave(solitary)
        home.leave(home.started[-1])

        assert before is False
        assert [process.role for process in home.started] == ["worker", "solitary", "worker"]
        assert home.supervisor.is_over

    def test_a_worker_that_fails_ends_it(self, house: Callable[..., House]) -> None:
        home = house(burst=True)
        home.leave(home.start(), 3)

        assert (home.supervisor.is_over, home.supervisor.status) == (True, 3)


class TestStacks:
    def test_a_child_that_says_nothing_in_time_is_made_to(self, house: Callable[..., House]) -> None:
        home = house(processes=2)
        first = home.start()
        second = home.started[1]
        home.hear(second, HELLO, Ready())

        home.supervisor.ask_for_stacks()
        home.hear(first, Dumped())
        home.step(3)
        home.step(3)

        assert first.said[-1] == second.said[-1] == Dump()
        assert (first.dumps, second.dumps) == (0, 1)


class TestReload:
    def test_others_take_the_place_of_all_and_those_have_the_grace(self, house: Callable[..., House]) -> None:
        home = house(reloads=True, grace=7)
        old = home.start()

        home.supervisor.reload("shop.py")
        home.step()
        assert (old.said[-1], len(home.started)) != (Stop(7), 1)

        home.start()
        assert old.said[-1] == Stop(7)
        home.leave(old)
        assert len(home.started) == 2

    def test_what_cannot_be_started_waits_for_the_next_change_and_what_runs_goes_on(
        self, house: Callable[..., House]
    ) -> None:
        home = house(reloads=True)
        old = home.start()
        home.supervisor.reload("shop.py")
        home.step()

        home.leave(home.started[-1], 2)
        home.step(3600)
        assert (len(home.started), old.said[-1] == Stop(25.0)) == (2, False)

        home.supervisor.reload("shop.py")
        home.step()
        home.start()
        assert (len(home.started), old.said[-1]) == (3, Stop(25.0))

    def test_nor_does_one_end_it_that_never_started(self, house: Callable[..., House]) -> None:
        home = house(reloads=True)
        home.step()

        home.leave(home.started[-1], 2)
        home.step(3600)
        assert (home.supervisor.is_over, len(home.started)) == (False, 1)

        home.supervisor.reload("shop.py")
        home.start()
        assert home.announced == [HELLO]

    def test_one_that_is_just_starting_is_not_waited_for(self, house: Callable[..., House]) -> None:
        home = house(reloads=True)
        home.step()
        [first] = home.started

        home.supervisor.reload("shop.py")
        home.step()
        assert (first.is_alive, len(home.started)) == (False, 2)

        home.die(first)
        home.start()
        assert len(home.started) == 2

    def test_one_that_crashes_when_it_was_ready_is_replaced_as_ever(
        self, house: Callable[..., House]
    ) -> None:
        home = house(reloads=True)
        first = home.start()

        home.die(first, -signal.SIGSEGV)

        assert len(home.started) == 2
