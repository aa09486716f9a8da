"""What the log says of the ending of an attempt, whichever process has recorded it."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed, State
from taskmill._core.lifecycle import Settlement

logger = logging.getLogger("taskmill.worker")

# The attempt went wrong, and the job is not lost.
_SETBACKS = {"retrying", "crashed"}


class Ending(NamedTuple):
    """What a record is about, for handlers that want more than its text: the attribute `taskmill` of the record."""

    claimed: Claimed
    seconds: float | None
    traceback: str


def log_ending(settlement: Settlement, now: int) -> None:
    """One record: failures are errors, what is tried again after one a warning, successes for debugging only."""
    claimed, transition, started_at = settlement
    error = transition.error
    trace = error.traceback.rstrip() if error is not None and transition.event == "failed" else ""
    level = _level_of(settlement)
    if logger.isEnabledFor(level):
        seconds = None if started_at is None else max(0, now - started_at) / SECOND
        extra: dict[str, Any] = {"taskmill": Ending(claimed, seconds, trace)}
        told = str(error) if error is not None else transition.why
        parts = (name_of(claimed), transition.event, told and f": {told}", trace and f"\n{trace}")
        logger.log(level, "%s %s%s%s", *parts, extra=extra)


def _level_of(settlement: Settlement) -> int:
    transition = settlement.transition
    if transition.state is State.SUCCEEDED:
        return logging.DEBUG
    if transition.event == "failed":
        return logging.ERROR
    return logging.WARNING if transition.event in _SETBACKS else logging.INFO


def name_of(claimed: Claimed) -> str:
    """The job for people, with its attempt."""
    return f"{claimed.task} {claimed.job_id} (attempt {claimed.attempt} of {claimed.max_attempts})"
