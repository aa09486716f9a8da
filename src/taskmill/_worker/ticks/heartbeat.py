"""Keeps the session alive, in a thread of its own: a busy store must not make the worker look dead.

A worker that could not say for two thirds of a lease that it lives takes no more jobs: soon they may be others'.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from taskmill._app.context import Tenure
from taskmill._core.instant import SECOND
from taskmill._storage.base import SessionStore


class Heartbeat:
    """Any thread may have it beat; *tenure* is of a session that was opened just now."""

    def __init__(
        self, sessions: SessionStore, tenure: Tenure, lease: int, on_lost: Callable[[], None]
    ) -> None:
        self._sessions = sessions
        self._tenure = tenure
        self._lease = lease / SECOND
        self._on_lost = on_lost
        self._extend(time.monotonic())

    def tick(self) -> float:
        begun = time.monotonic()
        if not self._sessions.renew(self._tenure.session):
            self._tenure.lost = True
            self._on_lost()
        self._extend(begun)
        return self._lease / 3

    def _extend(self, begun: float) -> None:
        self._tenure.unsure_from = begun + self._lease * 2 / 3
