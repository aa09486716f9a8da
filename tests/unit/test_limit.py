"""In which steps an attempt is stopped, and what it came to then."""

from __future__ import annotations

import pytest

from taskmill._core import lifecycle
from taskmill._core.job import Claimed, ErrorInfo, Reason, State
from taskmill._core.limit import (
    OBSTINATE,
    Limits,
    Step,
    Stop,
    steps_after,
    steps_of,
    steps_of_cancel,
)
from taskmill._core.outcome import Misfit, Outcome, Released, Revoked, TimedOut, stopped
from taskmill._core.retry import RetryPolicy

CLAIMED = Claimed(1, "j", "task", "default", "thread", 1, 6, 1, True, "[[],{}]", None, None)


def end(outcome: Outcome) -> lifecycle.Transition:
    return lifecycle.end(CLAIMED, outcome, RetryPolicy(), 0)


class TestSteps:
    def test_a_limit_is_told_softly_then_hard_then_by_force(self) -> None:
        assert steps_of(Limits(2, 5), 100) == [
            Step(102, "soft"),
            Step(105, "hard"),
            Step(105 + OBSTINATE, "force"),
        ]

    def test_a_soft_limit_alone_forces_nothing(self) -> None:
        assert steps_of(Limits(soft=2), 100) == [Step(102, "soft")]

    def test_none_is_none(self) -> None:
        assert steps_of(Limits(), 100) == []

    def test_who_is_cancelled_keeps_its_limits(self) -> None:
        steps = steps_of_cancel(steps_of(Limits(hard=5), 100), 103)

        assert steps == [
            Step(103, "cancel"),
            Step(103 + OBSTINATE, "force"),
            Step(105, "hard"),
            Step(105 + OBSTINATE, "force"),
        ]

    def test_force_gives_time_however_late_the_step_before_was(self) -> None:
        left = steps_after(steps_of(Limits(hard=5), 100), now=120)

        assert left == [Step(120 + OBSTINATE, "force")]

    def test_a_later_limit_stays_where_it_is(self) -> None:
        assert steps_after(steps_of(Limits(2, 5), 100), now=103)[0] == Step(105, "hard")


class TestOutcomes:
    @pytest.mark.parametrize("stop, told", [("soft", "soft_timeout of 2 s"), ("hard", "timeout of 5.5 s")])
    def test_a_limit_is_a_time_out_which_is_retried(self, stop: Stop, told: str) -> None:
        outcome = stopped(stop, Limits(2, 5.5), "Traceback ...")

        assert outcome == TimedOut(ErrorInfo("TimeoutError", f"ran longer than its {told}", "Traceback ..."))
        assert (end(outcome).state, end(outcome).reason) == (State.QUEUED, Reason.TIMEOUT)

    def test_a_cancelled_one_ends_for_good(self) -> None:
        assert stopped("cancel", Limits()) == Revoked()
        assert end(Revoked()) == lifecycle.Transition(State.CANCELLED, "cancelled", reason=Reason.REVOKED)

    def test_a_worker_that_stops_gives_it_back_unburnt(self) -> None:
        assert stopped("release", Limits()) == Released()
        assert (end(Released()).state, end(Released()).hand_back) == (State.QUEUED, True)

    def test_arguments_that_do_not_fit_are_not_retried(self) -> None:
        transition = end(Misfit(ErrorInfo("InvalidArguments", "no")))

        assert (transition.state, transition.reason) == (State.FAILED, Reason.MISFIT)
