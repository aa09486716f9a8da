"""Keeps the session alive, in a thread of its own: a busy store must not make the worker look dead."""

from __future__ import annotations

from collections.abc import Callable

from taskmill._app.context import Tenure
from taskmill._core.instant import SECOND
from taskmill._storage.base import SessionStore


class Heartbeat:
    def __init__(
        self, sessions: SessionStore, tenure: Tenure, lease: int, on_lost: Callable[[], None]
    ) -> None:
        self._sessions = sessions
        self._tenure = tenure
        self._rest = lease / SECOND / 3
        self._on_lost = on_lost

    def tick(self) -> float:
        if not self._sessions.renew(self._tenure.session):
            self._tenure.lost = True
            self._on_lost()
        return self._rest
