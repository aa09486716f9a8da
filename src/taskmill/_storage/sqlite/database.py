"""The one place where a process reads and writes the file: its two connections, group commit, checkpoints."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import Any, TypeVar, cast

from taskmill._storage.sqlite import forks, opening, schema
from taskmill._storage.sqlite.checkpoint import Checkpoints
from taskmill._storage.sqlite.opening import Connection, Durability
from taskmill._storage.sqlite.trouble import FAILURES, patiently, translate
from taskmill.errors import StoreBusy, StoreUnavailable

T = TypeVar("T")


class Database:
    """One SQLite file as this process sees it; opened by the first read or write, and anew after a fork."""

    def __init__(self, path: Path, *, durability: Durability, timeout: float) -> None:
        self.path = path
        self.durability = durability
        self.timeout = timeout
        self._writer = WritingPoint(self)
        self._reading = threading.Lock()
        self._reader: Connection | None = None
        self._openings = 0
        forks.watch(self)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in a write transaction and commit it; nothing is stored if it raises.

        *work* may run several times (after the failure of a call that was to be committed with it), so it must
        have no effects of its own.
        """
        return self._writer.run(work)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work* on the reading connection; each of its statements sees what is committed."""
        with self._reading:
            try:
                return self._read(work, self._reader or self._open_reader())
            except FAILURES as error:
                raise translate(error, self.path, self.timeout) from error

    @staticmethod
    def _read(work: Callable[[Connection], T], reader: Connection) -> T:
        try:
            return work(reader)
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error) or reader.text_factory is not str:
                raise
            # Takes twice the time for a text, so only from the first damaged one on.
            reader.text_factory = opening.LENIENT
            return work(reader)

    def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run *work* on the reading connection; all of its statements see the same moment."""

        def look(connection: Connection) -> T:
            try:
                connection.execute("begin")
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("rollback")

        return self.read(look)

    def exists(self) -> bool:
        """Whether the file is there and has taskmill's tables."""
        with self._reading:
            try:
                if not self.path.exists():
                    return False
                return patiently(self._has_schema, time.monotonic() + self.timeout)
            except OSError as error:
                raise StoreUnavailable(f"{self.path} cannot be reached: {error.strerror}") from error
            except FAILURES as error:
                raise translate(error, self.path, self.timeout) from error

    def _has_schema(self) -> bool:
        with closing(self.connect()) as connection:
            return schema.version(connection) > 0

    def version(self) -> int:
        """Differs after any commit, of this process (it has another connection for that) or of another one."""
        return self.read(self._version)

    def _version(self, connection: Connection) -> int:
        [version] = connection.execute("pragma data_version").fetchone()
        # Each connection counts by itself.
        return int(version) + (self._openings << 32)

    def close(self) -> None:
        """Close the connections; the last one of all processes folds the log into the database."""
        with self._reading:
            self._close_reader()
        self._writer.close()

    def __del__(self) -> None:
        # Most programs keep their store until they end, and close it never.
        self._close_reader()
        self._writer.let_go()

    def connect(self) -> Connection:
        return opening.connect(self.path, self.durability)

    def open_store(self, deadline: float) -> Connection:
        return opening.open_store(self.path, self.durability, deadline)

    def _open_reader(self) -> Connection:
        reader = self.open_store(time.monotonic() + self.timeout)
        reader.execute(f"pragma busy_timeout = {int(self.timeout * 1_000)}")
        self._reader = reader
        self._openings += 1
        return reader

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    # --- forks

    @property
    def mutexes(self) -> Sequence[threading.Lock]:
        return self._reading, self._writer.gate

    def before_fork(self) -> None:
        self._close_reader()
        self._writer.let_go()

    def after_fork_in_child(self) -> None:
        self._writer.forget_others()


class _Write:
    """One caller's part of a group commit."""

    __slots__ = ("deadline", "error", "is_done", "value", "work")

    def __init__(self, work: Callable[[Connection], Any], deadline: float) -> None:
        self.work = work
        self.deadline = deadline
        self.is_done = False
        self.value: Any = None
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.error = error
        self.is_done = True


class WritingPoint:
    """Commits what all threads of the process want written, together: whoever gets the gate writes for all."""

    def __init__(self, database: Database) -> None:
        self.gate = threading.Lock()
        self._database = database
        self._connection: Connection | None = None
        self._checkpoints = Checkpoints(database.path, database.connect)
        # What is not done yet, oldest first; only who has the gate takes from it.
        self._pending: deque[_Write] = deque()

    def run(self, work: Callable[[Connection], T]) -> T:
        write = _Write(work, time.monotonic() + self._database.timeout)
        try:
            self._pending.append(write)
            with self.gate:
                while not write.is_done:
                    self._lead()
        finally:
            # Interrupted (Ctrl-C): nobody shall write later what its caller has given up.
            write.is_done = True
        if write.error is not None:
            raise write.error
        return cast(T, write.value)

    def close(self) -> None:
        with self.gate:
            self.let_go()

    def let_go(self) -> None:
        """Close the connection; the next write opens it again. The caller has the gate."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._checkpoints.close()

    def forget_others(self) -> None:
        """Forget what the threads of the parent process are about to write."""
        self._pending.clear()

    def _lead(self) -> None:
        try:
            self._commit([write for write in self._pending.copy() if not write.is_done])
        finally:
            while self._pending and self._pending[0].is_done:
                self._pending.popleft()
        if self._connection is not None:
            self._checkpoints.after_commit(self._connection)

    def _commit(self, batch: list[_Write]) -> None:
        try:
            self._transact(batch)
        except FAILURES as error:
            told = translate(error, self._database.path, self._database.timeout)
            told.__cause__ = error
            self._fail(batch, told)
        except Exception as error:  # noqa: BLE001  (each caller gets its own error)
            self._fail(batch, error)

    def _fail(self, batch: list[_Write], error: Exception) -> None:
        if isinstance(error, StoreBusy):
            # Who came later waits on.
            now = time.monotonic()
            for write in batch:
                if write.deadline <= now:
                    write.fail(copy(error))
        elif len(batch) == 1:
            batch[0].fail(error)
        else:
            for write in batch:
                self._commit([write])

    def _transact(self, batch: list[_Write]) -> None:
        """Write and commit all of *batch*; where this raises, nothing of it is stored."""
        deadline = min(write.deadline for write in batch)
        connection = self._ready(deadline)
        is_written = False
        try:
            patiently(lambda: connection.execute("begin immediate"), deadline)
            for write in batch:
                write.value = write.work(connection)
            is_written = True
            # Where there is no write-ahead log, a reader can be in the way.
            patiently(lambda: connection.execute("commit"), deadline)
            _finish(batch)
        except BaseException as error:
            if is_written and not connection.in_transaction and not isinstance(error, FAILURES):
                # Interrupted (Ctrl-C), but the commit was through.
                _finish(batch)
            self._roll_back(connection)
            raise

    def _ready(self, deadline: float) -> Connection:
        if self._connection is not None:
            # An interruption at the wrong moment can have left a transaction open.
            self._roll_back(self._connection)
        if self._connection is None:
            self._connection = self._database.open_store(deadline)
            self._connection.text_factory = opening.LENIENT
        return self._connection

    def _roll_back(self, connection: Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("rollback")
        except sqlite3.Error:
            # Closing it rolls back as well.
            self.let_go()


def _finish(batch: list[_Write]) -> None:
    for write in batch:
        write.is_done = True
