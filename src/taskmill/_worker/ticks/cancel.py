"""Stops the jobs of this worker that somebody has cancelled."""

from __future__ import annotations

from collections.abc import Callable

from taskmill._app.context import Tenure
from taskmill._storage.base import Storage
from taskmill._worker.slot import JobKey

REST = 0.2


class Cancel:
    """Looks when the store has changed since, and as long as a cancelled job has not begun yet.

    *stop* is called with each; False: the job does not run, so that there is nothing to stop yet.
    """

    def __init__(
        self, storage: Storage, tenure: Tenure, load: Callable[[], int], stop: Callable[[JobKey], bool]
    ) -> None:
        self._storage = storage
        self._tenure = tenure
        self._load = load
        self._stop = stop
        self._seen = -1

    def tick(self) -> float:
        if self._load():
            seen = self._storage.version()
            if seen != self._seen and self._stop_all():
                self._seen = seen
        return REST

    def _stop_all(self) -> bool:
        """Whether all were there to be stopped."""
        keys = [JobKey(*one) for one in self._storage.jobs.unwanted(self._tenure.session)]
        stopped = [key for key in keys if self._stop(key)]
        return stopped == keys
