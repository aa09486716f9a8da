"""The store as those see it who watch a worker from outside: on handles of its own, so that nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from taskmill._app.kept import Kept
from taskmill._core.census import Census
from taskmill._core.instant import SECOND
from taskmill._core.job import State
from taskmill._storage.base import QueueCount, Storage
from taskmill.errors import StoreError


class Survey(NamedTuple):
    """All that was counted at one moment."""

    census: Census
    queues: Sequence[QueueCount]

    def told(self, queue: str) -> dict[str, float]:
        """What an autoscaler wants to know of a queue; of one that nobody has used, that there is nothing in it."""
        count = next((each for each in self.queues if each.queue == queue), QueueCount(queue, {}, 0))
        running = count.states.get(State.RUNNING, 0)
        return {
            "queued": count.states.get(State.QUEUED, 0),
            "running": running,
            "oldest_seconds": self.census.waits().get(queue, 0) / SECOND,
            "backlog": count.due + running,
        }


class Store:
    """Opened by the first question; *open_storage* is None as long as the store is not known, or lives in a child."""

    def __init__(self, open_storage: Callable[[], Storage | None]) -> None:
        self._open_storage = open_storage
        self._opening = threading.Lock()
        self._storage: Storage | None = None
        self._survey = Kept(self._count)

    def trouble(self) -> str:
        """Why the store cannot be reached; nothing where it can, or where it is no other process's to ask."""
        try:
            if (storage := self._opened()) is not None:
                # A small question that no store answers from memory.
                storage.inspection.paused()
        except StoreError as error:
            return str(error)
        return ""

    def survey(self) -> Survey | None:
        """What it holds, counted as often as it can bear; None where no other process can ask. Raises StoreError."""
        return None if self._opened() is None else self._survey.get()

    def close(self) -> None:
        """Let go of it."""
        if self._storage is not None:
            self._storage.close()

    def _opened(self) -> Storage | None:
        with self._opening:
            self._storage = self._storage or self._open_storage()
            return self._storage

    def _count(self) -> Survey:
        storage = self._opened()
        assert storage is not None  # noqa: S101  (for type checkers: `survey` has looked)
        return Survey(storage.health.census(), storage.inspection.queues())
