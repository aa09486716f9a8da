"""One file as this process sees it: a connection that reads, one that writes, and what a fork does to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from taskmill._storage import forks
from taskmill._storage.sqlite import anchor, opening, schema
from taskmill._storage.sqlite.anchor import Anchor
from taskmill._storage.sqlite.insert import Rows
from taskmill._storage.sqlite.opening import Connection, Durability
from taskmill._storage.sqlite.trouble import FAILURES, patiently, translate
from taskmill._storage.sqlite.writing import WritingPoint
from taskmill.errors import StoreUnavailable

T = TypeVar("T")

# How often, in seconds, is looked whether the file is still the one that is open, and its schema one that is known.
_LOOK = 1.0


class Opened:
    """A connection, and the files that it was opened on."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self.connection = connection
        self.anchor = Anchor(path)
        self._path = path
        self._look_at = time.monotonic() + _LOOK

    def look(self) -> bool:
        """As `is_the_store`, once a second."""
        now = time.monotonic()
        if now < self._look_at:
            return True
        is_the_store = self.is_the_store()
        self._look_at = now + _LOOK
        return is_the_store

    def is_the_store(self) -> bool:
        """Whether it is still what others find there; SchemaTooNew if this taskmill must not touch it any more."""
        if not self.anchor.holds():
            return False
        # If that cannot be read, others will say why.
        with suppress(*FAILURES):
            schema.check(self.connection, str(self._path))
        return True

    def look_again(self) -> None:
        """Let the next look be one."""
        self._look_at = 0.0

    def close(self) -> None:
        self.anchor.close(self.connection)


class Database:
    """One SQLite file as this process sees it; opened by the first read or write, and anew after a fork."""

    def __init__(self, path: Path, *, durability: Durability, timeout: float) -> None:
        self.path = path
        self.durability = durability
        self.timeout = timeout
        self._writer = WritingPoint(self)
        # A signal handler may interrupt the thread that has it.
        self._reading = threading.RLock()
        self._reader: Opened | None = None
        self._openings = 0
        self._latest: Anchor | None = None
        # How often another file has taken the place of the one that was open.
        self.replacements = 0
        forks.watch(self)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in a write transaction and commit it; nothing is stored if it raises.

        *work* may run several times (after the failure of a call that was to be committed with it), so it must
        have no effects of its own.
        """
        return self._writer.run(work)

    def write_one(self, work: Callable[[Connection], T]) -> T:
        """As `write`, for *work* that executes one statement: less to do, and the lock is not held between two."""
        return self._writer.run(work, is_single=True)

    def add_jobs(self, rows: Rows) -> None:
        """Insert new jobs, together with those of other threads."""
        self._writer.add(rows)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work* on the reading connection; each of its statements sees what is committed."""
        with self._reading:
            try:
                return self._read(work)
            except FAILURES as error:
                raise translate(error, self.path, self.timeout) from error

    def _read(self, work: Callable[[Connection], T]) -> T:
        reader = self._ready_reader()
        try:
            return work(reader.connection)
        except FAILURES as error:
            if not reader.is_the_store():
                self._close_reader()
            elif not opening.grew_lenient(reader.connection, error):
                raise
        return work(self._ready_reader().connection)

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
        self._latest = None

    def __del__(self) -> None:
        # Most programs keep their store until they end, and close it never.
        self._close_reader()
        self._writer.let_go()

    def connect(self) -> Connection:
        return opening.connect(self.path, self.durability)

    def open_store(self, deadline: float) -> Opened:
        """A connection to the store; where this process had it open before, only to what is there since."""
        anchor.check_usable(self.path)
        if self._latest is not None:
            self._latest.check_successor()
        opened = self._opened(deadline)
        before, self._latest = self._latest, opened.anchor
        if before is not None and not opened.anchor.is_same_file(before):
            self.replacements += 1
        return opened

    def _opened(self, deadline: float) -> Opened:
        while True:
            before = Anchor(self.path)
            opened = Opened(opening.open_store(self.path, self.durability, deadline), self.path)
            if not before.is_there or opened.anchor.is_same_file(before):
                return opened
            # Replaced meanwhile, so that nobody knows which of the two the connection has.
            opened.close()

    def look_again(self) -> None:
        """Let the next read look whether its file is still the one."""
        reader = self._reader
        if reader is not None:
            reader.look_again()

    def _ready_reader(self) -> Opened:
        if self._reader is not None and not self._reader.look():
            self._close_reader()
        if self._reader is None:
            self._reader = self.open_store(time.monotonic() + self.timeout)
            self._reader.connection.execute(f"pragma busy_timeout = {int(self.timeout * 1_000)}")
            self._openings += 1
        return self._reader

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    # --- forks

    @property
    def mutexes(self) -> Sequence[forks.Mutex]:
        return self._reading, self._writer.gate

    def before_fork(self) -> None:
        self._close_reader()
        self._writer.let_go()

    def after_fork_in_child(self) -> None:
        self._writer.forget_others()
