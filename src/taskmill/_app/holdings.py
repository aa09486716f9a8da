"""The locks that this process holds outside of jobs, and the session that proves that it lives."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from taskmill._core.instant import SECOND
from taskmill.errors import StoreError

if TYPE_CHECKING:
    from taskmill._storage.base import Storage


class Holding:
    """A lock, taken by *owner*; `lost` once somebody else may hold it, after this process stood still."""

    __slots__ = ("lost", "name", "owner", "session", "token")

    def __init__(self, name: str, token: int, session: int, owner: object) -> None:
        self.name = name
        self.token = token
        self.session = session
        self.owner = owner
        self.lost = False


class _Session:
    """The session of this process; an object of its own, so that its end at exit keeps nothing else alive."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.pid = os.getpid()
        self.storage: Storage | None = None

    def end(self) -> None:
        if self.id is not None and self.storage is not None and self.is_ours:
            with suppress(StoreError):  # it ends by itself when its lease is over
                self.storage.sessions.end(self.id)
        self.id = None

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that opened it, and no child of a fork."""
        return self.pid == os.getpid()


class Holdings:
    """Takes and frees locks for one session: opened with the first lock, renewed while any is held."""

    def __init__(self, storage: Callable[[], Storage], lease: int) -> None:
        self._storage = storage
        self._lease = lease
        self._begin()

    def _begin(self) -> None:
        self._session = _Session()
        self._held: list[Holding] = []
        self._mutex = threading.Lock()
        self._freed = threading.Condition()
        self._ended = threading.Event()
        self._renewer: threading.Thread | None = None
        weakref.finalize(self, self._session.end)

    def take(self, name: str, owner: object) -> Holding | None:
        """Try once to take the lock."""
        if not self._session.is_ours:
            self._begin()
        storage = self._storage()
        session = self._living_session(storage)
        token = storage.limits.acquire(name, session)
        if token is None:
            return None
        holding = Holding(name, token, session, owner)
        with self._mutex:
            self._held.append(holding)
            self._keep_alive()
        return holding

    def free(self, holding: Holding) -> bool:
        """Give the lock back; False if it was not ours any more."""
        if not self._session.is_ours:
            return False  # a block that a child of a fork leaves: the lock is its parent's
        with self._mutex, suppress(ValueError):
            self._held.remove(holding)
        is_freed = self._storage().limits.release(holding.name, holding.session, holding.token)
        if not is_freed and not holding.lost:
            _log_loss(holding.name)
        with self._freed:
            self._freed.notify_all()
        return is_freed

    def wait(self, seconds: float) -> None:
        """Wait until a lock is freed in this process, at most so long."""
        with self._freed:
            self._freed.wait(seconds)

    def is_held(self, name: str, owner: object) -> bool:
        """Whether *owner* itself holds the lock."""
        with self._mutex:
            return any(holding.name == name and holding.owner == owner for holding in self._held)

    def end(self) -> None:
        """Free all locks and end the session."""
        with self._mutex:
            self._forget()
            self._ended.set()
            self._session.end()

    def _living_session(self, storage: Storage) -> int:
        with self._mutex:
            session = self._session
            # While nothing is held nobody renews it, and its lease may have run out.
            if session.id is None or not (self._held or storage.sessions.renew(session.id)):
                session.storage = storage
                session.id = storage.sessions.open(kind="client", lease=self._lease)
            return session.id

    def _keep_alive(self) -> None:
        if self._renewer is None or not self._renewer.is_alive():
            self._ended = threading.Event()
            self._renewer = threading.Thread(target=self._renew, name="taskmill-locks", daemon=True)
            self._renewer.start()

    def _renew(self) -> None:
        ended, pause = self._ended, self._lease / SECOND / 3
        while not ended.wait(pause):
            with self._mutex:
                if not self._held:
                    self._renewer = None
                    return
                session = self._session.id
            # A store in trouble is asked again; the session ends by its lease if that takes too long.
            with suppress(StoreError):
                if session is not None and not self._storage().sessions.renew(session):
                    self._lose()

    def _lose(self) -> None:
        with self._mutex:
            names = ", ".join(sorted(holding.name for holding in self._held))
            self._forget()
            self._session.id = None
        _log_loss(names)

    def _forget(self) -> None:
        for holding in self._held:
            holding.lost = True
        self._held.clear()


def _log_loss(names: str) -> None:
    import logging  # noqa: PLC0415  (7 ms of the import, and seldom needed)

    logging.getLogger("taskmill.lock").warning(
        "this process stood still for longer than its lease, so that it did not hold %s any more", names
    )
