"""What people ask about a SQLite store as a whole, on connections of their own that only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from taskmill._core.census import Census, HeldLock, KnownSchedule, OpenCrate, Presence, Waiting
from taskmill._core.finding import Finding
from taskmill._storage.base import Backup, Health, Violation
from taskmill._storage.clock import Clock
from taskmill._storage.rows import serves_of
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite import copying, opening, surroundings, verification
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.liveness import Session
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.sessions import SqliteSessions
from taskmill._storage.sqlite.trouble import FAILURES, translate

SQL = Queries("taskmill._storage.sqlite", "health.sql")

T = TypeVar("T")


class SqliteHealth(Health):
    def __init__(self, database: Database, clock: Clock, sessions: SqliteSessions) -> None:
        self._path = database.path
        self._durability = database.durability
        self._timeout = database.timeout
        self._clock = clock
        self._sessions = sessions

    def findings(self) -> Iterator[Finding]:
        yield from surroundings.of_file(self._path, self._durability)
        processes = self._look(lambda connection: [row[2] for row in connection.execute(SQL.sessions)])
        yield from surroundings.of_processes(self._path, processes)
        yield from self._look(lambda connection: list(surroundings.of_pages(connection)))

    def census(self) -> Census:
        return self._look(self._count)

    def verify(self) -> Sequence[Violation]:
        return self._look(verification.violations)

    def backup(self, target: Path, *, replace: bool) -> Backup:
        copy = copying.Copy(self._path, target, self._clock.wall())
        copy.check(replace=replace)
        return self._look(copy.make)

    def _look(self, work: Callable[[Connection], T]) -> T:
        try:
            with closing(opening.look(self._path, self._timeout)) as connection:
                connection.text_factory = opening.LENIENT
                return work(connection)
        except FAILURES as error:
            raise translate(error, self._path, self._timeout) from error

    def _count(self, connection: Connection) -> Census:
        now = {"now": self._clock.wall()}
        connection.execute("begin")
        newest, ended, outlived, outlived_at, attempts, payload = connection.execute(
            SQL.totals, now
        ).fetchone()
        return Census(
            now=now["now"],
            newest=newest or 0,
            sessions=self._presences(connection),
            waiting=[Waiting._make(row) for row in connection.execute(SQL.waiting, now)],
            locks=[HeldLock._make(row) for row in connection.execute(SQL.locks)],
            schedules=[KnownSchedule._make(row) for row in connection.execute(SQL.schedules)],
            paused=dict(connection.execute(SQL.paused).fetchall()),
            ended=ended,
            outlived=outlived,
            outlived_at=outlived_at,
            attempts=attempts,
            payload=payload,
            crate=next(map(OpenCrate._make, connection.execute(SQL.crate)), None),
        )

    def _presences(self, connection: Connection) -> list[Presence]:
        rows = connection.execute(SQL.sessions).fetchall()
        sessions = {row[0]: Session._make(row[:6]) for row in rows}
        return [
            Presence(
                session=session,
                kind=kind,
                host=host,
                pid=pid,
                life=self._sessions.life(sessions[session], sessions.get(parent)),
                serves=serves_of(serves),
                held=held,
                is_stopping=bool(is_asked),
            )
            for session, parent, _, _, _, _, kind, host, pid, serves, held, is_asked in rows
        ]
