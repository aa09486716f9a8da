"""What the log says of the ending of an attempt, whichever process has recorded it."""

from __future__ import annotations

import logging

from taskmill._core.job import Claimed, State
from taskmill._core.lifecycle import Transition

logger = logging.getLogger("taskmill.worker")

# The attempt went wrong, and the job is not lost.
_SETBACKS = {"retrying", "crashed"}


def log_ending(claimed: Claimed, transition: Transition) -> None:
    """One record: failures are errors, what is tried again after one a warning, successes for debugging only."""
    if transition.state is State.SUCCEEDED:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s succeeded", name_of(claimed))
        return
    error = transition.error
    what = "" if error is None else f": {error}"
    if transition.event == "failed":
        trace = error.traceback.rstrip() if error else ""
        logger.error("%s failed%s%s", name_of(claimed), what, f"\n{trace}" if trace else "")
    else:
        level = logging.WARNING if transition.event in _SETBACKS else logging.INFO
        logger.log(level, "%s %s%s", name_of(claimed), transition.event, what)


def name_of(claimed: Claimed) -> str:
    """The job for people, with its attempt."""
    return f"{claimed.task} {claimed.job_id} (attempt {claimed.attempt} of {claimed.max_attempts})"
