"""What people ask about a PostgreSQL store as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from taskmill._core.census import Census, HeldLock, KnownSchedule, OpenCrate, Presence, Waiting
from taskmill._core.finding import Finding
from taskmill._storage.base import Backup, Health, Violation
from taskmill._storage.postgres import surroundings
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.sessions import Session, life_of
from taskmill._storage.rows import serves_of
from taskmill.errors import BackupFailed

SQL = Statements("health.sql")
RULES = Statements("verification.sql")
_EXAMPLES = 5


class PostgresHealth(Health):
    def __init__(self, database: Database) -> None:
        self._database = database

    def findings(self) -> Iterator[Finding]:
        yield from surroundings.of_url(self._database.address)
        yield from self._database.look(lambda connection: list(surroundings.of_server(connection)))

    def census(self) -> Census:
        return self._database.look(self._count)

    def verify(self) -> Sequence[Violation]:
        return self._database.look(_violations)

    def backup(self, target: Path, *, replace: bool) -> Backup:  # noqa: ARG002  (nothing is copied)
        raise BackupFailed(
            "a database of PostgreSQL is backed up by its own tools, with the rest of it or alone: "
            f"pg_dump --schema=taskmill --format=custom --file={target} '{self._database.address.shown}'"
        )

    def _count(self, connection: Connection) -> Census:
        clocks = {"wall": self._database.wall, "monotonic": self._database.monotonic}

        def rows(statement: str) -> list[tuple[Any, ...]]:
            return connection.execute(statement.encode(), clocks).fetchall()

        [totals] = rows(SQL.totals)
        now, newest, ended, outlived, outlived_at, attempts, payload = totals
        return Census(
            now=now,
            newest=newest,
            sessions=_presences(rows(SQL.sessions)),
            waiting=[Waiting._make(row) for row in rows(SQL.waiting)],
            locks=[HeldLock._make(row) for row in rows(SQL.locks)],
            schedules=[KnownSchedule._make(row) for row in rows(SQL.schedules)],
            paused=dict(rows(SQL.paused)),
            ended=ended,
            outlived=outlived,
            outlived_at=outlived_at,
            attempts=attempts,
            payload=payload,
            crate=next(map(OpenCrate._make, rows(SQL.crate)), None),
        )


def _presences(rows: Sequence[Sequence[Any]]) -> list[Presence]:
    sessions = {row[0]: Session._make(row[:6]) for row in rows}
    return [
        Presence(
            session=session,
            kind=kind,
            host=host,
            pid=pid,
            life=life_of(sessions[session], sessions.get(parent)),
            serves=serves_of(serves),
            held=held,
            is_stopping=bool(is_asked),
        )
        for session, parent, _, _, _, _, kind, host, pid, serves, held, is_asked in rows
    ]


def _violations(connection: Connection) -> list[Violation]:
    found = []
    for rule, statement in RULES:
        broken = [str(what) for [what] in connection.execute(statement.encode())]
        if broken:
            found.append(Violation(rule, len(broken), broken[:_EXAMPLES]))
    return found
