"""How the dashboard reads a store: on handles of its own, and what is dear to count not more often than it can bear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from taskmill._app.application import Application
from taskmill._app.doctor import worst_first
from taskmill._core.census import Census
from taskmill._core.diagnosis import diagnose
from taskmill._core.finding import Finding
from taskmill._storage.base import Inspection, QueueCount, Storage
from taskmill.errors import StoreError, StoreUnavailable

T = TypeVar("T")

# Counting takes at most a twentieth of a processor's time, and is asked for no more often than this, in seconds.
_SHARE = 20
_SHORTEST_PAUSE = 0.4
_LONGEST_WAIT = 0.25


class Survey(NamedTuple):
    """All that was counted at one moment."""

    census: Census
    queues: Sequence[QueueCount]
    findings: Sequence[Finding]


class Kept(Generic[T]):
    """Something that is dear to make: made anew when it is asked for, but so seldom that it stays cheap.

    Where it takes long, an older one is answered while a new one is made.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._mutex = threading.Lock()
        self._value: T | None = None
        self._took = 0.0
        self._made_at = 0.0
        self._maker: threading.Thread | None = None

    def get(self) -> T:
        with self._mutex:
            value, pause = self._value, max(_SHORTEST_PAUSE, self._took * _SHARE)
            if value is None or (time.monotonic() - self._made_at >= pause and self._took < _LONGEST_WAIT):
                return self._renewed()
            if time.monotonic() - self._made_at >= pause and (
                self._maker is None or not self._maker.is_alive()
            ):
                self._maker = threading.Thread(
                    target=self._renew_behind, name="taskmill-dashboard", daemon=True
                )
                self._maker.start()
            return value

    def _renewed(self) -> T:
        began_at = time.monotonic()
        value = self._make()
        self._value, self._made_at = value, time.monotonic()
        self._took = self._made_at - began_at
        return value

    def _renew_behind(self) -> None:
        began_at = time.monotonic()
        # A store in trouble says so to who reads it; what was counted before is still the best there is.
        with suppress(StoreError):
            value = self._make()
            with self._mutex:
                self._value, self._made_at = value, time.monotonic()
                self._took = self._made_at - began_at

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._made_at


class Reader:
    """The store of an application, for people; opened by the first question."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._opening = threading.Lock()
        self._storage: Storage | None = None
        self._is_there = False
        self.survey = Kept(self._count)

    @property
    def storage(self) -> Storage:
        """The store; StoreUnavailable as long as nobody has made it: who looks makes nothing."""
        with self._opening:
            storage = self._storage = self._storage or self._app.another_storage()
        if not self._is_there:
            if not storage.exists():
                raise StoreUnavailable(
                    f"there is no store at {storage.url} yet: it is made when the first job is enqueued"
                )
            self._is_there = True
        return storage

    @property
    def inspection(self) -> Inspection:
        return self.storage.inspection

    def _count(self) -> Survey:
        storage = self.storage
        census = storage.health.census()
        findings = worst_first([*storage.health.findings(), *diagnose(census)])
        return Survey(census, storage.inspection.queues(), findings)
