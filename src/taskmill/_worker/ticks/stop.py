"""Looks whether somebody has asked this worker to stop: from a dashboard, a terminal, another process."""

from __future__ import annotations

from taskmill._app.context import Tenure
from taskmill._storage.base import SessionStore

REST = 1.0


class Stop:
    """Once it `is_asked`, it stays so."""

    def __init__(self, sessions: SessionStore, tenure: Tenure) -> None:
        self._sessions = sessions
        self._tenure = tenure
        self.is_asked = False

    def tick(self) -> float:
        self.is_asked = self.is_asked or self._sessions.is_asked_to_stop(self._tenure.session)
        return REST
