"""The connections of this process: opened when they are needed, given to one thread at a time, and kept.

Ours, and not psycopg_pool's: that one has threads of its own, which a fork does not copy and which keep a program
waiting at its end; it makes connections beside the thread that wants one, so that the error which says why there is
none is only in a log; and it knows nothing of what follows from a lost connection here, where each operation may be
repeated.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from taskmill._storage import forks
from taskmill._storage.postgres.address import Address
from taskmill._storage.postgres.connection import Connection
from taskmill.errors import StoreBusy


class Pool:
    def __init__(self, address: Address) -> None:
        self._address = address
        self._mutex = threading.RLock()
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._room = threading.BoundedSemaphore(self._address.connections)
        # The one that was used last is first: what is not needed at all times is used up seldom.
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        # Most programs keep their store until they end, and close it never.
        self._end = weakref.finalize(self, _close_all, self._idle)

    @contextmanager
    def connection(self, patience: float) -> Iterator[Connection]:
        """One for the caller alone; a new one where none is idle. What opening it raises is raised here."""
        room = self._room
        if not room.acquire(timeout=patience):
            raise StoreBusy(
                self._address.shown, patience, f"all {self._address.connections} connections of this process"
            )
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            room.release()

    def _take(self) -> Connection:
        with self._mutex:
            connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._address.connect()
            self._used.add(connection)
            return connection

    def _give_back(self, connection: Connection) -> None:
        with self._mutex:
            if connection not in self._used:
                # Of the parent process.
                return
            self._used.discard(connection)
            if connection.closed or connection.info.transaction_status:
                connection.close()
            else:
                self._idle.append(connection)

    def has_backend(self, pid: int) -> bool:
        """Whether the server's process *pid* serves one of these connections."""
        with self._mutex:
            return any(connection.info.backend_pid == pid for connection in (*self._idle, *self._used))

    def drop_idle(self) -> None:
        """Close what nobody uses: one was found lost, and most likely they all are."""
        with self._mutex:
            _close_all(self._idle)

    # --- forks: the connections stay with the parent

    @property
    def mutexes(self) -> Sequence[forks.Mutex]:
        return (self._mutex,)

    def before_fork(self) -> None:
        """Nothing: the parent goes on with its connections."""

    def after_fork_in_child(self) -> None:
        for connection in (*self._idle, *self._used):
            abandon(connection)
        self._end.detach()
        self._begin()


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()


def abandon(connection: Connection) -> None:
    """Let go of what a fork has copied, without a word to the server, which would take it for the parent's."""
    with suppress(OSError):
        os.close(connection.fileno())
