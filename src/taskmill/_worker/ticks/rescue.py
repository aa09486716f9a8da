"""Takes back the jobs of dead workers; every worker does it, for all queues."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from taskmill._core.event import Notice
from taskmill._core.instant import SECOND
from taskmill._core.wording import counted
from taskmill._storage.base import JobStore

logger = logging.getLogger("taskmill.worker")

REST = 0.25


class Rescue:
    """After a pause of its own it waits: what stopped this process may have stopped them all.

    When a machine goes on after it stood still, every lease on it looks as if it had run out. Whoever lives says so
    within a third of the lease; without that wait, a worker would take its own jobs from itself.
    """

    def __init__(
        self,
        jobs: JobStore,
        tell: Callable[[Sequence[Notice]], None],
        lease: int,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._jobs = jobs
        self._tell = tell
        self._lease = lease / SECOND
        self._clock = clock or time.monotonic
        self._due = self._clock()

    def tick(self) -> float:
        now = self._clock()
        has_paused = now - self._due > self._lease / 2
        rest = self._lease / 3 if has_paused else REST
        self._due = now + rest
        if not has_paused:
            self._rescue()
        return rest

    def _rescue(self) -> None:
        notices = self._jobs.rescue()
        if notices:
            logger.warning("took back %s from workers that died", counted(len(notices), "job"))
            self._tell(notices)
