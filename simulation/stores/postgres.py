"""PostgreSQL: the real server and adapter, and between them connections that can break at each statement.

All that taskmill opens lead over one real connection: each statement is a transaction by itself, and nothing that it
uses belongs to a connection. Notifications come back on that one with the reply, and so always in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Self, TypeVar

import psycopg
from psycopg import Notify, OperationalError

from simulation.rows import JobRow, LockRow, Picture, ScheduleRow, SessionRow
from simulation.stores.base import Machine, Put
from simulation.stores.gate import Gate, NotedJobs
from simulation.stores.slots import MortalSlotFiles
from simulation.world import World
from taskmill._storage import slot_files
from taskmill._storage.open import open_storage
from taskmill._storage.postgres import address, database, doorbell, pool, sessions, storage
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.jobs import PostgresJobs

T = TypeVar("T")

# Seconds that the adapter goes on trying: shorter than a lease, and often shorter than what keeps it from the server.
_TIMEOUT = 1

_TABLES = """
select array_agg(format('taskmill.%I', tablename)) from pg_tables
where schemaname = 'taskmill' and tablename <> 'meta'
"""
_LISTEN = "listen taskmill"
_CHANGES = "select pg_snapshot_xmax(pg_current_snapshot())::text"
_OF_A_LANE = {"queue", "executor", "priority"}
_COLUMNS = ", ".join(f"{'l' if name in _OF_A_LANE else 'j'}.{name}" for name in JobRow._fields)
_JOBS = f"select {_COLUMNS} from taskmill.job j join taskmill.lane l on l.id = j.lane order by j.id"  # noqa: S608  (names of our own)
_SESSIONS = "select id, parent, slots, lease, leased_until from taskmill.session order by id"
_LOCKS = "select token, name, session, job from taskmill.lock order by token"
_SCHEDULES = "select name, last_slot, fired, skipped from taskmill.schedule order by name"


class Clock(StrEnum):
    """What a statement is given in the place of an instant: the server reads its clock when it carries it out."""

    WALL = "the server's wall clock"
    STEADY = "the server's steady clock"


class PostgresStore:
    """A database that is emptied; *way* is the one real connection to it, *eye* the witness's."""

    def __init__(
        self, url: str, folder: Path, way: Connection, eye: psycopg.Connection[tuple[Any, ...]]
    ) -> None:
        self.url = f"{url}?timeout={_TIMEOUT}"
        self.way = way
        self._folder = folder
        self._eye = eye
        self._changes = ""

    def has_changed(self) -> bool:
        before = self._changes
        [[self._changes]] = self._eye.execute(_CHANGES).fetchall()
        return self._changes != before

    def picture(self) -> Picture:
        read = self._eye.execute
        return Picture(
            {row[0]: JobRow._make(row) for row in read(_JOBS.encode())},
            {row[0]: SessionRow._make(row) for row in read(_SESSIONS)},
            {row[1]: LockRow._make(row) for row in read(_LOCKS)},
            {row[0]: ScheduleRow._make(row) for row in read(_SCHEDULES)},
        )

    def replace(self, world: World, machine: Machine, put: Put) -> None:
        server = SimulatedServer(world, self.way)
        put(address, Connection=SimpleNamespace(connect=lambda *_, **__: server.connect()))
        put(pool, threading=machine.threading)
        put(database, threading=machine.threading, time=machine.time, random=world.host.chance)
        put(doorbell, threading=machine.threading, random=world.host.chance)
        put(sessions, os=machine.os, process_identity=machine.process_identity, has_ended=machine.has_ended)
        put(sessions, SlotFiles=lambda: MortalSlotFiles(Gate(world, OperationalError)))
        put(slot_files, tempfile=SimpleNamespace(gettempdir=lambda: str(self._folder)))
        put(storage, Database=SimulatedDatabase)
        put(storage, PostgresJobs=lambda *parts: NotedJobs(world, PostgresJobs(*parts)))


@contextmanager
def postgres_store(url: str) -> Iterator[PostgresStore]:
    """The one in that database, emptied."""
    with (
        TemporaryDirectory(prefix="taskmill-") as folder,
        Connection.connect(url, autocommit=True, prepare_threshold=None) as way,
        psycopg.connect(url, autocommit=True) as eye,
    ):
        storage = open_storage(url)
        storage.version()
        storage.close()
        [[tables]] = eye.execute(_TABLES).fetchall()
        eye.execute(f"truncate {', '.join(tables)} restart identity".encode())
        way.execute("listen taskmill")
        try:
            # It comes when it likes, and rows may lie in another order then.
            for table in tables:
                eye.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
            yield PostgresStore(url, Path(folder), way, eye)
        finally:
            for table in tables:
                eye.execute(f"alter table {table} reset (autovacuum_enabled)".encode())


class SimulatedDatabase(Database):
    """The real one, by the server's clock: what is read here would be another instant than that of the call."""

    @property
    def wall(self) -> Any:
        return Clock.WALL

    @property
    def monotonic(self) -> Any:
        return Clock.STEADY


class SimulatedServer:
    """Where all connections lead, and who listens there."""

    def __init__(self, world: World, way: Connection) -> None:
        self.world = world
        self.listeners: list[SimulatedConnection] = []
        self.way = way
        self._pids = count(1)
        self._heard: list[Notify] = []
        way.add_notify_handler(self._heard.append)

    def connect(self) -> SimulatedConnection:
        gate = Gate(self.world, OperationalError)
        gate.enter()
        return SimulatedConnection(self, gate, next(self._pids))

    def carry_out(self, pid: int, statement: Callable[[Connection], T]) -> T:
        """Run *statement*, and let all who listen have what it tells them."""
        answer = statement(self.way)
        while told := self.way.pgconn.notifies():
            self._heard.append(Notify(told.relname.decode(), told.extra.decode(), told.be_pid))
        for notification in self._heard:
            for listener in self.listeners:
                listener.heard.append(notification._replace(pid=pid))
        self._heard.clear()
        return answer

    def given(self, parameter: T) -> T | int:
        """What the server takes *parameter* for, at this moment."""
        match parameter:
            case Clock.WALL:
                return self.world.host.wall()
            case Clock.STEADY:
                return self.world.host.monotonic()
        return parameter


class SimulatedConnection:
    """What the adapter takes for a connection; one that broke is closed."""

    def __init__(self, server: SimulatedServer, gate: Gate, pid: int) -> None:
        self.closed = False
        self.patience: float | None = None
        self.info = SimpleNamespace(transaction_status=0, backend_pid=pid)
        self.heard: list[Notify] = []
        self._server = server
        self._gate = gate
        self._is_inside = False
        gate.process.open.add(self)

    def execute(
        self, statement: str | bytes, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """See psycopg."""
        if statement == _LISTEN:
            self._server.listeners.append(self)
        given = self._server.given

        def carry_out(way: Connection) -> psycopg.Cursor[tuple[Any, ...]]:
            query: Any = statement
            if isinstance(parameters, Mapping):
                return way.execute(query, {name: given(value) for name, value in parameters.items()})
            return way.execute(query, [given(value) for value in parameters])

        return self._run(carry_out)

    def text(self, statement: str, parameters: Sequence[object]) -> str:
        """See `Connection`."""
        return self._run(lambda way: way.text(statement, list(map(self._server.given, parameters))))

    def cursor(self, **options: Any) -> Any:
        """See psycopg; in a transaction."""
        assert self._is_inside
        return self._server.way.cursor(**options)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See psycopg. What is used here only reads, and all of it sees one moment: so it is one step."""
        with self._closed_if_lost():
            self._gate.enter()
        self._is_inside = True
        try:
            with self._server.way.transaction():
                yield
        finally:
            self._is_inside = False

    def _run(self, statement: Callable[[Connection], T]) -> T:
        if self._is_inside:
            return statement(self._server.way)
        with self._closed_if_lost():
            return self._gate.commit(lambda: self._server.carry_out(self.info.backend_pid, statement))

    @contextmanager
    def _closed_if_lost(self) -> Iterator[None]:
        try:
            yield
        except OperationalError:
            self.close()
            raise

    def notifies(self, *, timeout: float, stop_after: int) -> Iterator[Notify]:
        """See psycopg; one at most."""
        assert stop_after == 1
        self._server.world.host.scheduler.wait(lambda: bool(self.heard), timeout)
        self._gate.require_way()
        if self.heard:
            yield self.heard.pop(0)

    def close(self) -> None:
        """Once it is closed, nothing leads to it or away from it."""
        self.closed = True
        self._gate.process.open.discard(self)
        if self in self._server.listeners:
            self._server.listeners.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
