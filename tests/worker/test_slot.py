"""The hold on a job by itself: what is planned for one job is never done to another."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from taskmill._app.context import Tenure
from taskmill._core.job import Claimed
from taskmill._core.limit import OBSTINATE, Limits, Stop
from taskmill._worker.executors.process import ProcessSlot
from taskmill._worker.runner.messages import Run
from taskmill._worker.slot import HeldSlot, JobKey, Timekeeper


class SlotOnPaper(HeldSlot):
    """Notes what is done to whom; some moments it finds unfit."""

    def __init__(self, timekeeper: Timekeeper) -> None:
        super().__init__(timekeeper)
        self.stops: list[tuple[str, Stop]] = []
        self.is_fit = True

    def _stop(self, held: Claimed, stop: Stop) -> bool:
        is_fit = self.is_fit or stop == "force"
        if is_fit:
            self.stops.append((held.job_id, stop))
            self._note(held, stop)
        return is_fit


class StillTimekeeper(Timekeeper):
    """One that is told and does nothing: the test carries out the steps."""

    def expect(self, at: float) -> None:
        pass


@pytest.fixture
def slot() -> SlotOnPaper:
    return SlotOnPaper(StillTimekeeper())


def a_claim(job_id: str, fence: int = 1) -> Claimed:
    return Claimed(1, job_id, "task", "default", "thread", 1, 1, fence, True, "[[],{}]", None, None)


def test_steps_are_carried_out_when_they_are_due(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    began_at = time.monotonic()
    slot.expect(Limits(10, 20))

    assert slot.carry_out(began_at + 9) == pytest.approx(began_at + 10, abs=1)
    slot.carry_out(began_at + 11)
    assert slot.stops == [("a", "soft")]
    slot.carry_out(began_at + 21)
    assert slot.carry_out(began_at + 21 + OBSTINATE) == math.inf
    assert slot.stops == [("a", "soft"), ("a", "hard"), ("a", "force")]


def test_what_was_planned_for_a_job_is_not_done_to_the_next_one(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    slot.cancel(JobKey("a", 1))
    # The attempt is over and the next one begins, before anything was carried out.
    slot.job = a_claim("b")

    assert slot.carry_out(time.monotonic() + 10) == math.inf
    assert slot.stops == []


def test_a_job_that_is_cancelled_while_its_process_is_being_started_never_begins(tmp_path: Path) -> None:
    slot, claimed = ProcessSlot(StillTimekeeper(), Tenure(1)), a_claim("a")
    slot.job = claimed
    slot.cancel(JobKey("a", 1))
    slot.carry_out(time.monotonic())

    answer = slot.ask(Run("no_such_module", 1, claimed), f"sqlite:///{tmp_path}/jobs.db")
    slot.bury()
    slot.carry_out(time.monotonic() + OBSTINATE)

    assert answer is None
    assert slot.stop_of(claimed) == "cancel"


def test_the_same_job_claimed_once_more_is_another_one(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a", fence=1)
    slot.cancel(JobKey("a", 1))
    slot.job = a_claim("a", fence=2)
    slot.carry_out(time.monotonic() + 10)

    assert not slot.cancel(JobKey("a", 1))
    assert slot.stops == []


def test_whoever_looks_leaves_a_mark_that_the_attempt_sees(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    before = slot.is_touched
    slot.cancel(JobKey("a", 1))

    assert (before, slot.is_touched) == (False, True)
    slot.let_go()
    assert (slot.job, slot.is_touched) == (None, False)


def test_a_job_is_cancelled_once_however_often_it_is_asked_for(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    for _ in range(3):
        assert slot.cancel(JobKey("a", 1))
        slot.carry_out(time.monotonic())

    assert slot.stops == [("a", "cancel")]


def test_at_an_unfit_moment_a_hard_limit_is_tried_again_soon_and_before_and_after_force(
    slot: SlotOnPaper,
) -> None:
    slot.job = a_claim("a")
    began_at = time.monotonic()
    slot.expect(Limits(hard=10))
    slot.is_fit = False

    assert slot.carry_out(began_at + 10.1) == pytest.approx(began_at + 10.1, abs=0.1)
    slot.carry_out(began_at + 10.2 + OBSTINATE)
    assert slot.stops == [("a", "force")]
    slot.is_fit = True
    slot.carry_out(began_at + 10.3 + OBSTINATE)

    assert slot.stops == [("a", "force"), ("a", "hard")]


def test_the_first_try_is_not_the_last_one_however_late_it_is(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    began_at = time.monotonic()
    slot.expect(Limits(hard=10))
    slot.is_fit = False
    slot.carry_out(began_at + 20)

    assert slot.stops == []


def test_a_soft_limit_is_tried_until_the_hard_one_is_due(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    began_at = time.monotonic()
    slot.expect(Limits(10, 20))
    slot.is_fit = False

    pauses = [slot.carry_out(began_at + 19) - (began_at + 19) for _ in range(40)]
    assert (pauses[0], pauses[-1]) == (pytest.approx(0.005), pytest.approx(0.05))
    slot.carry_out(began_at + 20.1)
    slot.is_fit = True
    slot.carry_out(began_at + 20.2)

    assert slot.stops == [("a", "hard")]


def test_a_cancellation_is_tried_for_as_long_as_it_takes(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    began_at = time.monotonic()
    slot.cancel(JobKey("a", 1))
    slot.is_fit = False
    slot.carry_out(began_at + 1)
    slot.carry_out(began_at + 100)
    slot.is_fit = True
    slot.carry_out(began_at + 101)

    assert slot.stops == [("a", "cancel")]


def test_a_cancellation_that_is_never_possible_ends_by_the_force_of_the_limit(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    began_at = time.monotonic()
    slot.expect(Limits(hard=10))
    slot.cancel(JobKey("a", 1))
    slot.is_fit = False
    for seconds in (1, 5, 10, 12):
        slot.carry_out(began_at + seconds)

    assert slot.stops == [("a", "force")]


def test_limits_of_a_job_that_was_cancelled_at_its_start_change_nothing_of_that(slot: SlotOnPaper) -> None:
    slot.job = a_claim("a")
    slot.cancel(JobKey("a", 1))
    slot.expect(Limits(hard=10))
    slot.carry_out(time.monotonic())

    assert slot.stops == [("a", "cancel")]
