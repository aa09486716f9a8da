"""What can be said of a worker."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass, field

from taskmill._app import check
from taskmill.errors import ConfigurationError

# The levels of `logging` by their names.
JOB_LOGS = ("debug", "info", "warning", "error", "off")


def processors() -> int:
    """How many this process may use."""
    # In a container it can be fewer than there are.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The options of `Mill.worker` and of ``taskmill worker``.

    - `threads` (4): how many plain functions run at once; `coroutines` (1,000): how many ``async def`` tasks;
      `process_slots` (as many as there are processors): how many tasks of executor "process".
    - `queues` (all): a set; among them the jobs are ordered by priority, not by queue.
    - `grace` (25 s): how long a stopping worker lets running jobs finish before it gives them back.
    - `burst` (False): run all that is due, then stop.
    - `job_logs` ("info"): from which level on what a job logs is kept with it, as far as the program's own levels let
      it through; "off": not at all.
    """

    threads: int = 4
    coroutines: int = 1000
    process_slots: int = field(default_factory=processors)
    queues: Collection[str] | None = None
    grace: float = 25.0
    burst: bool = False
    job_logs: str = "info"

    def __post_init__(self) -> None:
        room = (self.threads, self.coroutines, self.process_slots)
        if min(room) < 0 or not any(room):
            raise ConfigurationError(
                f"threads={self.threads}, coroutines={self.coroutines}, process_slots={self.process_slots}: a worker "
                "needs at least one of these, and none below 0"
            )
        if self.grace < 0:
            raise ConfigurationError(f"grace={self.grace}: give seconds from 0 up")
        with check.refused_as(ConfigurationError):
            check.known("level of job_logs", self.job_logs, JOB_LOGS)
        if isinstance(self.queues, str) or (self.queues is not None and not self.queues):
            raise ConfigurationError(f"queues={self.queues!r}: give a list of names, or None for all queues")

    @property
    def log_level(self) -> int | None:
        """That of `job_logs` as a number; None where they are off."""
        return None if self.job_logs == "off" else logging.getLevelNamesMapping()[self.job_logs.upper()]
