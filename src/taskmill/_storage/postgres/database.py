"""One database as this process sees it: operations are run here, and repeated where that can help."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from taskmill._storage.clock import Clock
from taskmill._storage.postgres import schema
from taskmill._storage.postgres.address import Address
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.pool import Pool
from taskmill._storage.postgres.trouble import (
    FAILURES,
    is_collision,
    is_incomplete,
    is_loss,
    is_not_ready,
    translate,
)
from taskmill.errors import StoreError, StoreUnavailable

SQL = Statements("database.sql")

T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]

# Seconds between two tries: anything between nothing and this, twice as much with each, so that clients which lost the
# server at the same moment do not all come back at the same moment.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
# Seconds beyond the timeout until a connection that gives no answer is taken for one that leads nowhere. With a timeout
# of 5 s, a heartbeat that was sent into one is sent once more before its worker has to give up its jobs.
_SILENT = 3.0


class Database:
    """Opened by the first operation, which makes the schema; and anew after a fork, or when the server was away."""

    def __init__(self, address: Address, clock: Clock | None) -> None:
        self.address = address
        self._clock = clock
        self._pool = Pool(address)
        self._mutex = threading.RLock()
        self._is_open = False
        # By how much the server's clock is ahead of this host's.
        self._ahead = 0

    @property
    def timeout(self) -> float:
        return self.address.timeout

    # --- operations

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """What one statement, which is a transaction by itself, finds or returns.

        It may be run several times: where the connection was lost nobody knows whether it has been done.
        """
        return self.run(lambda connection: connection.execute(statement.encode(), parameters).fetchall())

    def row(self, statement: str, parameters: Parameters = ()) -> Row:
        """The only one that it returns."""
        [row] = self.rows(statement, parameters)
        return row

    def text(self, statement: str, parameters: Sequence[object]) -> str:
        """The only value of the only row, of a statement with ``$1`` and so on; as `rows` otherwise."""
        return self.run(lambda connection: connection.text(statement, parameters))

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run *work*, as `rows` does with a statement."""

        def on_an_open_one(connection: Connection) -> T:
            self._open(connection)
            connection.patience = self.timeout + _SILENT
            return work(connection)

        return self._repeated(on_an_open_one)

    def _repeated(self, work: Callable[[Connection], T]) -> T:
        deadline = None
        pause = _FIRST_PAUSE
        while True:
            try:
                with self._pool.connection(self.timeout) as connection:
                    return work(connection)
            except FAILURES as error:
                # From the first failure on: to find out that nobody answers may have taken longer than that.
                deadline = deadline or time.monotonic() + self.timeout
                if not self._is_worth_another_try(error) or time.monotonic() > deadline:
                    self._check_what_is_missing(error)
                    raise self._told(error) from error
            time.sleep(random.uniform(0, pause))  # noqa: S311  (spreads retries, no secret)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_worth_another_try(self, error: BaseException) -> bool:
        if is_collision(error):
            return True
        if is_loss(error):
            self._pool.drop_idle()
            # Before it was ever reached, the URL is more likely wrong than the server away.
            return self._is_open or is_not_ready(error)
        return False

    def _check_what_is_missing(self, error: BaseException) -> None:
        """SchemaTooNew where it is missing because a newer taskmill has migrated."""
        if is_incomplete(error) and self._is_open:
            with suppress(*FAILURES), self._pool.connection(self.timeout) as connection:
                schema.check(connection, self.address.shown)

    def _told(self, error: BaseException) -> StoreError:
        return translate(error, self.address.shown, self.timeout)

    # --- opening

    def _open(self, connection: Connection) -> None:
        if self._is_open:
            return
        with self._mutex:
            if not self._is_open:
                # A migration takes what it takes.
                connection.patience = None
                if not schema.is_complete(connection, self.address.shown):
                    schema.migrate(connection, self.address.shown)
                self._set_clock(connection)
                self._is_open = True

    def open(self) -> None:
        """Open it, if it is not."""
        if not self._is_open:
            self.run(lambda _: None)

    def check(self) -> None:
        """Look at the schema and at the clock once more; SchemaTooNew if this taskmill must not go on."""

        def look(connection: Connection) -> None:
            schema.check(connection, self.address.shown)
            self._set_clock(connection)

        self.run(look)

    def exists(self) -> bool:
        """Whether taskmill has its tables there."""
        if self._is_open:
            return True
        try:
            with self._pool.connection(self.timeout) as connection:
                return schema.version(connection) > 0
        except FAILURES as error:
            raise self._told(error) from error

    def look(self, work: Callable[[Connection], T]) -> T:
        """Run *work*, which only reads, on what is there: all that it sees is of one moment, and nothing is made."""

        def snapshot(connection: Connection) -> T:
            # Of millions of rows, for somebody who waits and can end it.
            connection.patience = None
            if not schema.check(connection, self.address.shown):
                raise StoreUnavailable(
                    f"there is no store in {self.address.shown}: name one with --url, or enqueue a first job"
                )
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read, read only")
                return work(connection)

        return self._repeated(snapshot)

    def has_backend(self, pid: int) -> bool:
        """Whether the server's process *pid* works for this one."""
        return self._pool.has_backend(pid)

    def close(self) -> None:
        self._pool.drop_idle()

    # --- clocks

    @property
    def wall(self) -> int | None:
        """What operations are given as the wall clock: None, that of the server, unless a test brings its own."""
        return None if self._clock is None else self._clock.wall()

    @property
    def monotonic(self) -> int | None:
        """The same for leases."""
        return None if self._clock is None else self._clock.monotonic()

    def now(self) -> int:
        """The server's wall clock, as far as it is known here."""
        if self._clock is not None:
            return self._clock.wall()
        self.open()
        return time.time_ns() // 1_000 + self._ahead

    def _set_clock(self, connection: Connection) -> None:
        before = time.time_ns() // 1_000
        row = connection.execute(SQL.clock.encode()).fetchone()
        after = time.time_ns() // 1_000
        if row is not None:
            self._ahead = int(row[0]) - (before + after) // 2
