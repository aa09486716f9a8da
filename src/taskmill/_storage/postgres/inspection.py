"""What people and waiting callers read from PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from psycopg.rows import dict_row

from taskmill._core.filter import EVERY, Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Inspection, Outcome, Page, QueueCount, SessionState
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.rows import attempt_of, error_of, job_of, page_of, queue_count

T = TypeVar("T")

SQL = Statements("inspection.sql")

# How many jobs are read for one page of a search: where a text is sought in 2 kB of each, some 50 ms.
_READ = 5_000
_BEYOND = (1 << 63) - 1


class PostgresInspection(Inspection):
    def __init__(self, database: Database) -> None:
        self._database = database

    def outcome(self, job_id: str) -> Outcome | None:
        for task, state, reason, result, error in self._database.rows(SQL.outcome, (job_id,)):
            return Outcome(task, State(state), reason, result, error_of(error))
        return None

    def job(self, job_id: str) -> Job | None:
        return next(iter(self._jobs(SQL.job, {"job_id": job_id}, with_attempts=True)), None)

    def find(self, wanted: Filter = EVERY, *, limit: int = 100) -> Sequence[Job]:
        asked = _asked(wanted, after=_BEYOND, last=-_BEYOND, limit=limit)
        return self._jobs(SQL.search, asked, with_attempts=False)

    def steps(self, pipeline: str, *, limit: int = 1_000) -> Sequence[Job]:
        return self._jobs(SQL.steps, {"pipeline": pipeline, "limit": limit}, with_attempts=False)

    def search(self, wanted: Filter = EVERY, *, after: str | None = None, limit: int = 100) -> Page:
        first = _BEYOND if after is None else int(after)

        def work(connection: Connection) -> Page:
            bound = {"after": first, "most": _READ}
            read, last = connection.execute(SQL.read_for_search.encode(), bound).fetchall()[0]
            rows = _named(connection, SQL.search, _asked(wanted, after=first, last=last, limit=limit))
            return page_of(rows, limit=limit, last=last if int(str(read)) == _READ else None)

        return self._at_once(work)

    def recent(self, limit: int) -> Sequence[Job]:
        return self._jobs(SQL.recent, {"limit": limit}, with_attempts=True)

    def queues(self) -> Sequence[QueueCount]:
        rows = self._database.rows(SQL.queues, (self._database.wall,))
        return [queue_count(name, group) for name, group in groupby(rows, key=lambda row: str(row[0]))]

    def paused(self) -> Mapping[str, datetime]:
        return {queue: to_datetime(since) for queue, since in self._database.rows(SQL.paused)}

    def has_suspects(self, queues: Collection[str] | None) -> bool:
        wanted = {"queues": None if queues is None else list(queues), "wall": self._database.wall}
        return self._database.row(SQL.has_suspects, wanted) == (True,)

    def sessions(self) -> Sequence[SessionState]:
        return [
            SessionState(
                session=session,
                host=host,
                pid=pid,
                kind=kind,
                parent=parent,
                started_at=to_datetime(started_at),
                running=running,
                is_asked_to_stop=bool(is_asked),
            )
            for session, host, pid, kind, parent, started_at, running, is_asked in self._database.rows(
                SQL.sessions
            )
        ]

    def _jobs(self, query: str, parameters: dict[str, Any], *, with_attempts: bool) -> list[Job]:
        def work(connection: Connection) -> list[Job]:
            rows = _named(connection, query, parameters)
            attempts: dict[int, list[tuple[Any, ...]]] = {}
            if with_attempts:
                numbers = [row["id"] for row in rows]
                for job, *attempt in connection.execute(SQL.attempts.encode(), (numbers,)):
                    attempts.setdefault(job, []).append(tuple(attempt))
            return [job_of(row, tuple(map(attempt_of, attempts.get(row["id"], ())))) for row in rows]

        return self._at_once(work)

    def _at_once(self, work: Callable[[Connection], T]) -> T:
        """Run *work*, all of whose statements see the same moment."""

        def snapshot(connection: Connection) -> T:
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read, read only")
                return work(connection)

        return self._database.run(snapshot)


def _asked(wanted: Filter, *, after: int, last: Any, limit: int) -> dict[str, Any]:
    """The parameters of a search that reads from before the number *after* down to *last*."""
    text = wanted.text
    return {
        **asdict(wanted),
        "states": sorted(wanted.states) if wanted.states else None,
        "tag": None if wanted.tag is None else json.dumps(wanted.tag),
        # No text of PostgreSQL has a NUL in it; JSON writes it in other characters.
        "text": None if text is None or "\0" in text else text,
        "json": None if text is None else json.dumps(text)[1:-1],
        "after": after,
        "last": last,
        "limit": limit,
    }


def _named(connection: Connection, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows, whose columns are known by their names."""
    return connection.cursor(row_factory=dict_row).execute(query.encode(), parameters).fetchall()
