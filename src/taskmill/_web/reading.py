"""How the dashboard reads a store: on handles of its own, so that nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from taskmill._app.application import Application
from taskmill._app.doctor import worst_first
from taskmill._app.kept import Kept
from taskmill._core.census import Census
from taskmill._core.diagnosis import diagnose
from taskmill._core.filter import Filter
from taskmill._core.finding import Finding
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Inspection, Page, QueueCount, Storage
from taskmill.errors import StoreUnavailable

# In seconds. File system and processes are looked at for these, which takes longer than the rest.
_SURROUNDINGS_LAST = 30.0
MOST_FAILURES = 1_000
# In seconds.
_LONGEST_READING = 10.0
_FAILED = Filter(states=[State.FAILED])


class Survey(NamedTuple):
    """All that was counted at one moment."""

    census: Census
    queues: Sequence[QueueCount]
    findings: Sequence[Finding]


class Reader:
    """The store of an application, for people; opened by the first question."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._opening = threading.Lock()
        self._storages: list[Storage] = []
        self._is_there = False
        self.survey = Kept(self._count)
        self.failures = Kept(self._read_failures)
        self._surroundings = Kept(self._look_around, rest=_SURROUNDINGS_LAST)

    @property
    def storage(self) -> Storage:
        """The store; StoreUnavailable as long as nobody has made it: who looks makes nothing."""
        return self._opened()[0]

    @property
    def inspection(self) -> Inspection:
        return self.storage.inspection

    def close(self) -> None:
        """Let go of the handles; the application keeps its own."""
        with self._opening:
            for storage in self._storages:
                if storage is not self._app.storage:
                    storage.close()
            self._storages = []

    def _opened(self) -> list[Storage]:
        """For the pages, and for what is counted, which takes longer than a page may wait."""
        with self._opening:
            self._storages = self._storages or [self._app.another_storage(), self._app.another_storage()]
            storage = self._storages[0]
            if not self._is_there and not storage.exists():
                raise StoreUnavailable(
                    f"there is no store at {storage.url} yet: it is made when the first job is enqueued"
                )
            self._is_there = True
            return self._storages

    def _count(self) -> Survey:
        storage = self._opened()[1]
        census = storage.health.census()
        findings = worst_first([*self._surroundings.get(), *diagnose(census)])
        return Survey(census, storage.inspection.queues(), findings)

    def _read_failures(self) -> Page:
        """The latest failed jobs: of a large store, much has to be read for them."""
        inspection = self._opened()[1].inspection
        jobs: list[Job] = []
        after, give_up_at = None, time.monotonic() + _LONGEST_READING
        while True:
            page = inspection.search(_FAILED, after=after, limit=MOST_FAILURES - len(jobs))
            jobs += page.jobs
            after = page.more
            if after is None or len(jobs) >= MOST_FAILURES or time.monotonic() >= give_up_at:
                return Page(jobs, after)

    def _look_around(self) -> Sequence[Finding]:
        return [*self._opened()[1].health.findings()]
