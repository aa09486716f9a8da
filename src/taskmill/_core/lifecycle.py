"""How an attempt ends: the one place where that is decided, as a value that a store then writes."""

from __future__ import annotations

from typing import NamedTuple, assert_never

from taskmill._core.event import EventKind
from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed, ErrorInfo, Reason, State
from taskmill._core.outcome import (
    CancelAsked,
    Crashed,
    Misfit,
    Outcome,
    Raised,
    Released,
    ResultRefused,
    RetryAsked,
    Revoked,
    SnoozeAsked,
    Succeeded,
    TimedOut,
    Undecodable,
    Unknown,
)
from taskmill._core.retry import RetryPolicy

# A job that took down so many processes of its own is given up.
MOST_CRASHES = 3
_SUSPECT_DELAY = SECOND // 2
# A worker that knows the task may start at any moment, and cannot see the job before this is over.
_SUSPECT_LONGEST = 10 * SECOND

# What the next attempt would come to as well.
_BEYOND_RETRY = {
    ResultRefused: Reason.RESULT_REFUSED,
    Undecodable: Reason.UNDECODABLE,
    Misfit: Reason.MISFIT,
}


class Transition(NamedTuple):
    """The ending of an attempt: the job's next state and what is written with it.

    `delay` (microseconds) applies to QUEUED. `hand_back` gives the attempt back: it was no failure. `hand_on`: only
    who knows its task shall claim it. `crashes` is what the ending adds to the job's count of them. `why` is for the
    log, and stored nowhere.
    """

    state: State
    event: EventKind
    result: str | None = None
    error: ErrorInfo | None = None
    reason: Reason | None = None
    delay: int = 0
    hand_back: bool = False
    hand_on: bool = False
    crashes: int = 0
    why: str = ""

    @property
    def acquits(self) -> bool:
        """Whether a suspect is one no longer: its attempt came to an end of its own."""
        return self.event in {"retrying", "snoozed"}

    def is_kept(self, started_at: int | None) -> bool:
        """Whether the job's history tells of the attempt: it was burnt, it crashed, or it was broken off.

        Not that it was snoozed, which some jobs are thousands of times.
        """
        is_broken_off = self.event == "released" and started_at is not None and not self.hand_on
        return not self.hand_back or self.crashes > 0 or is_broken_off


class Settlement(NamedTuple):
    """A transition with the claim that entitles its sender to it; *started_at* None: never started."""

    claimed: Claimed
    transition: Transition
    started_at: int | None = None


def end(  # noqa: C901  (one case for each outcome)
    claimed: Claimed, outcome: Outcome, policy: RetryPolicy, chance: float
) -> Transition:
    """Decide what *outcome* means for the job; *chance* in [0, 1) feeds the jitter."""
    match outcome:
        case Succeeded():
            return succeed(outcome)
        case Raised(error, is_retriable) if not is_retriable:
            return _fail(error, Reason.ERROR)
        case Raised(error):
            return _retry(claimed, error, Reason.ERROR, policy.wait(claimed.attempt, chance))
        case TimedOut(error):
            return _retry(claimed, error, Reason.TIMEOUT, policy.wait(claimed.attempt, chance))
        case RetryAsked(error, delay):
            wait = policy.wait(claimed.attempt, chance) if delay is None else delay
            return _retry(claimed, error, Reason.ERROR, wait)
        case SnoozeAsked(delay):
            return Transition(State.QUEUED, "snoozed", delay=delay, hand_back=True)
        case CancelAsked(error):
            return Transition(State.CANCELLED, "cancelled", error=error, reason=Reason.BY_TASK)
        case ResultRefused(error) | Undecodable(error) | Misfit(error):
            return _fail(error, _BEYOND_RETRY[type(outcome)])
        case Crashed(error):
            return after_crash(error, crashes=claimed.crashes)
        case Revoked():
            return Transition(State.CANCELLED, "cancelled", reason=Reason.REVOKED)
        case Unknown():
            return _hand_on(claimed)
        case Released(why):
            return Transition(State.QUEUED, "released", hand_back=True, why=why)
    assert_never(outcome)


def succeed(outcome: Succeeded) -> Transition:
    """As `end`, for what most attempts come to: neither a policy nor chance has a say in it."""
    return Transition(State.SUCCEEDED, "succeeded", outcome.result)


def after_crash(error: ErrorInfo, *, crashes: int) -> Transition:
    """Decide about a job that took down the process in which it ran alone, as it did *crashes* times before.

    It is tried again without burning an attempt, whatever its retries, and fails at the third crash.
    """
    if crashes + 1 >= MOST_CRASHES:
        return Transition(State.FAILED, "failed", error=error, reason=Reason.CRASHED, crashes=1)
    return Transition(State.QUEUED, "crashed", error=error, hand_back=True, crashes=1)


def _retry(claimed: Claimed, error: ErrorInfo, reason: Reason, wait: int) -> Transition:
    if claimed.attempt >= claimed.max_attempts:
        return _fail(error, reason)
    return Transition(State.QUEUED, "retrying", error=error, reason=reason, delay=wait)


def _fail(error: ErrorInfo, reason: Reason) -> Transition:
    return Transition(State.FAILED, "failed", error=error, reason=reason)


def _hand_on(claimed: Claimed) -> Transition:
    # Suspects are claimed by anybody who runs them alone, whatever tasks he knows, so they must not come back at once.
    delay = _suspect_wait(claimed) if claimed.executor == "alone" else 0
    why = "here is no task of that name, or no slot of its executor"
    return Transition(State.QUEUED, "released", delay=delay, hand_back=True, hand_on=True, why=why)


def _suspect_wait(claimed: Claimed) -> int:
    # Every claim raises the fence and only burnt attempts stay counted, so the difference is how often the
    # job was handed back before: the wait doubles with each.
    handed_back = min(claimed.fence - claimed.attempt, 16)
    return min(_SUSPECT_DELAY << handed_back, _SUSPECT_LONGEST)
