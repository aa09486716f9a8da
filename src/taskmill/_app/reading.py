"""How the dashboard and `taskmill top` read a store again and again: on handles of its own, so that nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from taskmill._app.application import Application
from taskmill._app.failures import latest_failed
from taskmill._app.kept import Kept
from taskmill._app.survey import Survey, survey_of
from taskmill._core.finding import Finding
from taskmill._storage.base import Inspection, Page, Storage
from taskmill._storage.urls import shown
from taskmill.errors import StoreUnavailable

# In seconds. File system and processes are looked at for these, which takes longer than the rest.
_SURROUNDINGS_LAST = 30.0
# As above: of a large store, much has to be read for the failed jobs.
_LONGEST_READING = 10.0


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
                    f"there is no store at {shown(storage.url)} yet: it is made when the first job is enqueued"
                )
            self._is_there = True
            return self._storages

    def _count(self) -> Survey:
        return survey_of(self._opened()[1], self._surroundings.get())

    def _read_failures(self) -> Page:
        return latest_failed(self._opened()[1], patience=_LONGEST_READING)

    def _look_around(self) -> Sequence[Finding]:
        return [*self._opened()[1].health.findings()]
