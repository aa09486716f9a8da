"""Deletes ended jobs whose time to be kept is over, in small batches: nobody waits long for the lock."""

from __future__ import annotations

from taskmill._storage.base import JobStore

BATCH = 500
REST = 10.0
_BREATH = 0.05


class Prune:
    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    def tick(self) -> float:
        return _BREATH if self._jobs.prune(limit=BATCH) == BATCH else REST
