"""The one writing point of a process: group commit, patience with other processes, and the log's length."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from copy import copy
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from taskmill._storage.sqlite import insert, opening, quick
from taskmill._storage.sqlite.anchor import Moved
from taskmill._storage.sqlite.checkpoint import Checkpoints
from taskmill._storage.sqlite.insert import Rows
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.trouble import FAILURES, patiently, translate
from taskmill.errors import StoreBusy, StoreError, StoreReentered, StoreUnavailable

if TYPE_CHECKING:
    from taskmill._storage.sqlite.database import Database, Opened

T = TypeVar("T")
Work = Callable[[Connection], Any]

# Who was not called for so long asks for the gate: a fork, or a close, had it and calls nobody.
_UNCALLED = 0.05


class _Write:
    """One caller's part of a group commit; *is_single*: its work is one statement."""

    __slots__ = ("_called", "deadline", "error", "is_done", "is_single", "value", "work")

    def __init__(self, work: Work, deadline: float, *, is_single: bool = False) -> None:
        self.work = work
        self.deadline = deadline
        self.is_single = is_single
        self.is_done = False
        self.value: Any = None
        self.error: Exception | None = None
        self._called = threading.Lock()
        self._called.acquire()

    def finish(self) -> None:
        self.is_done = True
        self.call()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.finish()

    def call(self) -> None:
        """Let its thread go on: it is done, or it may lead."""
        try:
            self._called.release()
        except RuntimeError:
            # Called already.
            return

    def wait(self) -> None:
        self._called.acquire(timeout=_UNCALLED)


class _Addition(_Write):
    """New jobs; those of several callers go into one statement."""

    __slots__ = ("rows",)

    def __init__(self, rows: Rows, deadline: float) -> None:
        super().__init__(lambda connection: insert.insert_rows(connection, rows()), deadline)
        self.rows = rows


class WritingPoint:
    """Commits what all threads of the process want written, together: whoever gets the gate writes for all.

    The others sleep until they are called, each by a lock of its own: woken one after the other at a common one, they
    would spend longer on that than the commit takes.
    """

    def __init__(self, database: Database) -> None:
        self.gate = threading.Lock()
        # The threads that are in here, each with the frame that brought it.
        self._inside: dict[int, FrameType] = {}
        self._database = database
        self._open: Opened | None = None
        self._checkpoints = Checkpoints(database.path, database.connect)
        # What is not done yet, oldest first; only who has the gate takes from it.
        self._pending: deque[_Write] = deque()

    def run(self, work: Callable[[Connection], T], *, is_single: bool = False) -> T:
        """Run *work* in a transaction; *is_single*: it is one statement, which is a transaction by itself."""
        return cast(T, self._done(_Write(work, self._deadline(), is_single=is_single)))

    def add(self, rows: Rows) -> None:
        """Insert new jobs."""
        self._done(_Addition(rows, self._deadline()))

    def close(self) -> None:
        with self.gate:
            self.let_go()

    def let_go(self) -> None:
        """Close the connection; the next write opens it again. The caller has the gate."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()
        self._checkpoints.close()

    def forget_others(self) -> None:
        """Forget what the threads of the parent process are about to write."""
        self._pending.clear()

    def _deadline(self) -> float:
        return time.monotonic() + self._database.timeout

    # --- who writes

    def _done(self, write: _Write) -> Any:
        """Have *write* done, by this thread or another one; its value."""
        thread = threading.get_ident()
        if thread in self._inside:
            self._refuse_to_wait_for_itself(self._inside[thread])
        try:
            self._inside[thread] = sys._getframe()  # noqa: SLF001  (documented, and nothing else tells)
            self._pending.append(write)
            self._wait_or_lead(write)
        except BaseException:
            # Interrupted (Ctrl-C): nobody shall write later what its caller has given up.
            write.is_done = True
            self._call_next()
            raise
        finally:
            self._inside.pop(thread, None)
        if write.error is not None:
            raise write.error
        return write.value

    @staticmethod
    def _refuse_to_wait_for_itself(outer: FrameType) -> None:
        """Raise if that call goes on below this one, which a signal handler makes; else an interruption has left it."""
        frame: FrameType | None = sys._getframe()  # noqa: SLF001  (as above)
        while frame is not None and frame is not outer:
            frame = frame.f_back
        if frame is outer:
            raise StoreReentered

    def _wait_or_lead(self, write: _Write) -> None:
        if self.gate.locked():
            write.wait()
            if write.is_done:
                return
        # `with` and not acquire(): an interruption behind that would leave the gate closed for ever.
        with self.gate:
            while not write.is_done:
                self._lead(write)
        # Who found the gate closed waits to be called.
        self._call_next()

    def _call_next(self) -> None:
        for write in self._pending.copy():
            if not write.is_done:
                write.call()
                return

    def _lead(self, own: _Write) -> None:
        try:
            self._commit([write for write in self._pending.copy() if not write.is_done])
        except (RecursionError, MemoryError) as error:
            # Of this thread: the others' writes are not to blame, and wait for one that has more room.
            own.fail(error)
        finally:
            while self._pending and self._pending[0].is_done:
                self._pending.popleft()
        if self._open is not None:
            self._checkpoints.after_commit(self._open.connection)

    # --- one transaction

    def _commit(self, batch: list[_Write]) -> None:
        try:
            self._transact(batch)
        except (Moved, *FAILURES) as error:
            self._after_failure(batch, error)
        except (RecursionError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  (each caller gets its own error)
            self._fail(batch, error)

    def _after_failure(self, batch: list[_Write], error: Exception) -> None:
        opened = self._open
        try:
            if isinstance(error, Moved) or (opened is not None and not opened.is_the_store()):
                self._go_on_elsewhere(batch)
            elif opened is not None and opening.grew_lenient(opened.connection, error):
                self._commit(batch)
            else:
                told = translate(error, self._database.path, self._database.timeout)
                told.__cause__ = error
                self._fail(batch, told)
        except FAILURES as another:
            self._fail(batch, translate(another, self._database.path, self._database.timeout))
        except StoreError as refusal:
            self._fail(batch, refusal)

    def _go_on_elsewhere(self, batch: list[_Write]) -> None:
        """Write new jobs into the file that is there now; the rest was about what the one of before held."""
        self.let_go()
        # One that reads what it has just written must find it.
        self._database.look_again()
        self._ready(self._deadline())
        for write in batch:
            if not isinstance(write, _Addition):
                write.fail(
                    StoreUnavailable(f"{self._database.path} was replaced by another file: try it again")
                )
        if additions := [write for write in batch if isinstance(write, _Addition)]:
            self._commit(list(additions))

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
        opened = self._ready(deadline)
        connection = opened.connection
        rows = [row for write in batch if isinstance(write, _Addition) for row in write.rows()]
        others = [write for write in batch if not isinstance(write, _Addition)]
        is_written = False
        try:
            if _is_one_statement(rows, others):
                patiently(lambda: _write(connection, rows, others), deadline)
            else:
                patiently(lambda: connection.execute("begin immediate"), deadline)
                _write(connection, rows, others)
                is_written = True
                # Where there is no write-ahead log, a reader can be in the way.
                patiently(lambda: connection.execute("commit"), deadline)
            opened.anchor.check()
            _finish(batch)
        except BaseException as error:
            is_interruption = not isinstance(error, (*FAILURES, Moved))
            if is_interruption and is_written and not connection.in_transaction and opened.anchor.holds():
                # The commit was through.
                _finish(batch)
            self._roll_back(connection)
            raise

    def _ready(self, deadline: float) -> Opened:
        if self._open is not None:
            # An interruption at the wrong moment can have left a transaction open.
            self._roll_back(self._open.connection)
        if self._open is not None and not self._open.look():
            raise Moved
        if self._open is None:
            self._open = self._database.open_store(deadline)
            quick.prepare(self._open.connection)
        return self._open

    def _roll_back(self, connection: Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("rollback")
        except sqlite3.Error:
            # Closing it rolls back as well.
            self.let_go()


def _is_one_statement(rows: Sequence[insert.Row], others: Sequence[_Write]) -> bool:
    """Whether it needs no transaction around it, so that the lock is not held while Python has its turn."""
    if others:
        return not rows and len(others) == 1 and others[0].is_single
    return len(rows) <= insert.MOST


def _write(connection: Connection, rows: Sequence[insert.Row], others: Sequence[_Write]) -> None:
    insert.insert_rows(connection, rows)
    for write in others:
        write.value = write.work(connection)


def _finish(batch: Sequence[_Write]) -> None:
    for write in batch:
        write.finish()
