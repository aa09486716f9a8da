"""How an attempt ends: the one place where that is decided, as a value that a store then writes."""

from __future__ import annotations

from typing import NamedTuple, assert_never

from taskmill._core.event import EventKind
from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed, ErrorInfo, Reason, State
from taskmill._core.outcome import (
    CancelAsked,
    Outcome,
    Raised,
    Released,
    ResultRefused,
    RetryAsked,
    SnoozeAsked,
    Succeeded,
    TimedOut,
    Undecodable,
    Unknown,
)
from taskmill._core.retry import RetryPolicy

_UNKNOWN_TASK_DELAY = SECOND // 2
# A worker that knows the task may start at any moment, and cannot see the job before this is over.
_UNKNOWN_TASK_LONGEST = 10 * SECOND


class Transition(NamedTuple):
    """The ending of an attempt: the job's next state and what is written with it.

    `delay` (microseconds) applies to QUEUED. `hand_back` gives the attempt back: it was no failure.
    """

    state: State
    event: EventKind
    result: str | None = None
    error: ErrorInfo | None = None
    reason: Reason | None = None
    delay: int = 0
    hand_back: bool = False


class Settlement(NamedTuple):
    """A transition with the claim that entitles its sender to it; *started_at* None: never started."""

    claimed: Claimed
    transition: Transition
    started_at: int | None = None


def end(claimed: Claimed, outcome: Outcome, policy: RetryPolicy, chance: float) -> Transition:
    """Decide what *outcome* means for the job; *chance* in [0, 1) feeds the jitter."""
    match outcome:
        case Succeeded(result):
            return Transition(State.SUCCEEDED, "succeeded", result)
        case Raised(error, is_retriable):
            if is_retriable:
                return _retry(claimed, error, Reason.ERROR, policy.wait(claimed.attempt, chance))
            return _fail(error, Reason.ERROR)
        case TimedOut(error):
            return _retry(claimed, error, Reason.TIMEOUT, policy.wait(claimed.attempt, chance))
        case RetryAsked(error, delay):
            wait = policy.wait(claimed.attempt, chance) if delay is None else delay
            return _retry(claimed, error, Reason.ERROR, wait)
        case SnoozeAsked(delay):
            return Transition(State.QUEUED, "snoozed", delay=delay, hand_back=True)
        case CancelAsked(error):
            return Transition(State.CANCELLED, "cancelled", error=error, reason=Reason.BY_TASK)
        case ResultRefused(error):
            return _fail(error, Reason.RESULT_REFUSED)
        case Undecodable(error):
            return _fail(error, Reason.UNDECODABLE)
        case Unknown():
            return Transition(State.QUEUED, "released", delay=_unknown_task_wait(claimed), hand_back=True)
        case Released():
            return Transition(State.QUEUED, "released", hand_back=True)
    assert_never(outcome)


def _retry(claimed: Claimed, error: ErrorInfo, reason: Reason, wait: int) -> Transition:
    if claimed.attempt >= claimed.max_attempts:
        return _fail(error, reason)
    return Transition(State.QUEUED, "retrying", error=error, reason=reason, delay=wait)


def _fail(error: ErrorInfo, reason: Reason) -> Transition:
    return Transition(State.FAILED, "failed", error=error, reason=reason)


def _unknown_task_wait(claimed: Claimed) -> int:
    # Every claim raises the fence and only burnt attempts stay counted, so the difference is how often the
    # job was handed back before: the wait doubles with each.
    handed_back = min(claimed.fence - claimed.attempt, 16)
    return min(_UNKNOWN_TASK_DELAY << handed_back, _UNKNOWN_TASK_LONGEST)
