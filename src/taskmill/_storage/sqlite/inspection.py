"""What people and waiting callers read from SQLite, on a connection that writes nothing."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from taskmill._core.filter import EVERY, Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Attempt, Job
from taskmill._storage.base import Inspection, Outcome, Page, QueueCount, SessionState
from taskmill._storage.clock import Clock
from taskmill._storage.matching import holds, matches
from taskmill._storage.rows import attempt_of, error_of, job_of, page_of, queue_count
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.opening import Connection

SQL = Queries("taskmill._storage.sqlite", "inspection.sql")

# How many jobs are read for one page of a search: where a text is sought in 2 kB of each, some 20 ms.
_READ = 5_000
_BEYOND = (1 << 63) - 1
_SPECIAL = re.compile(r"[!%_]")


class SqliteInspection(Inspection):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def outcome(self, job_id: str) -> Outcome | None:
        for task, state, reason, result, error in self._rows(SQL.outcome, {"job_id": job_id}):
            return Outcome(task, State(state), reason, result, error_of(error))
        return None

    def job(self, job_id: str) -> Job | None:
        return self._job(job_id=job_id)

    def _job(self, *, number: int | None = None, job_id: str | None = None) -> Job | None:
        wanted = {"id": number, "job_id": job_id}
        return next(iter(self._jobs(SQL.job, wanted, with_attempts=True)), None)

    def find(self, wanted: Filter = EVERY, *, limit: int = 100) -> Sequence[Job]:
        def work(connection: Connection) -> list[Job]:
            rows = _found(connection, wanted, after=_BEYOND, last=-_BEYOND, limit=limit)
            return [job_of(row, ()) for row in rows]

        return self._database.snapshot(work)

    def steps(self, pipeline: str, *, limit: int = 1_000) -> Sequence[Job]:
        return self._jobs(SQL.steps, {"pipeline": pipeline, "limit": limit}, with_attempts=False)

    def search(self, wanted: Filter = EVERY, *, after: str | None = None, limit: int = 100) -> Page:
        first = _BEYOND if after is None else int(after)

        def work(connection: Connection) -> Page:
            bound = {"after": first, "most": _READ}
            read, last = connection.execute(SQL.read_for_search, bound).fetchone()
            rows = _found(connection, wanted, after=first, last=last, limit=limit)
            return page_of(
                rows, limit=limit, last=last if read == _READ and not _is_of_running(wanted) else None
            )

        return self._database.snapshot(work)

    def recent(self, limit: int) -> Sequence[Job]:
        wanted = {"limit": limit}
        # By the numbers of their rows: a damaged id is one that cannot be asked for.
        numbers: dict[int, None] = {}
        for query in (SQL.recently_enqueued, SQL.recently_tried, SQL.recently_claimed):
            numbers.update((number, None) for [number] in self._rows(query, wanted))
        for [kept_for] in self._rows(SQL.lifetimes):
            ended = self._rows(SQL.recently_ended, {"limit": limit, "kept_for": kept_for})
            numbers.update((number, None) for [number] in ended)
        found = (self._job(number=number) for number in numbers)
        return [job for job in found if job is not None]

    def queues(self) -> Sequence[QueueCount]:
        rows = self._rows(SQL.queues, {"now": self._clock.wall()})
        return [queue_count(name, group) for name, group in groupby(rows, key=lambda row: str(row[0]))]

    def paused(self) -> Mapping[str, datetime]:
        return {queue: to_datetime(since) for queue, since in self._rows(SQL.paused)}

    def has_suspects(self, queues: Collection[str] | None) -> bool:
        wanted = {"queues": None if queues is None else json.dumps(sorted(queues)), "now": self._clock.wall()}
        return bool(self._rows(SQL.has_suspects, wanted))

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
            for session, host, pid, kind, parent, started_at, running, is_asked in self._rows(SQL.sessions)
        ]

    def _rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._database.read(lambda connection: connection.execute(query, parameters or {}).fetchall())

    def _jobs(self, query: str, parameters: dict[str, Any], *, with_attempts: bool) -> list[Job]:
        def work(connection: Connection) -> list[Job]:
            rows = _named(connection).execute(query, parameters).fetchall()
            return [job_of(row, self._attempts(connection, row) if with_attempts else ()) for row in rows]

        return self._database.snapshot(work)

    def _attempts(self, connection: Connection, row: sqlite3.Row) -> tuple[Attempt, ...]:
        return tuple(map(attempt_of, connection.execute(SQL.attempts, {"job": row["id"]})))


def _found(connection: Connection, wanted: Filter, *, after: int, last: int, limit: int) -> list[sqlite3.Row]:
    """The newest rows that are wanted, of those before the number *after*, down to *last*."""
    cursor = _named(connection)
    if _is_of_running(wanted):
        # They are few, and wherever they are, an index knows them.
        running = cursor.execute(SQL.running, {"after": after})
        return list(islice((row for row in running if _is_wanted(row, wanted)), limit))
    text = wanted.text
    parameters = {
        **asdict(wanted),
        "states": json.dumps(sorted(wanted.states)) if wanted.states else None,
        "text": None if text is None else _pattern(text),
        "json": None if text is None else _pattern(json.dumps(text)[1:-1]),
        "after": after,
        "last": last,
        "limit": limit,
    }
    return cursor.execute(SQL.search, parameters).fetchall()


def _is_of_running(wanted: Filter) -> bool:
    return set(wanted.states) == {State.RUNNING}


def _is_wanted(row: sqlite3.Row, wanted: Filter) -> bool:
    is_match = matches(
        wanted,
        state=State(row["state"]),
        task=row["task"],
        queue=row["queue"],
        tags=row["tags"],
        priority=row["priority"],
        enqueued_at=row["enqueued_at"],
        ended_at=row["ended_at"],
        session=row["session"],
    )
    return is_match and (
        wanted.text is None
        or holds(
            wanted.text,
            as_it_is=(row["job_id"], row["task"], row["queue"], row["key"]),
            as_json=(row["tags"], row["args"], row["result"], row["error"]),
        )
    )


def _named(connection: Connection) -> sqlite3.Cursor:
    """A cursor whose rows are known by the names of their columns."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor


def _pattern(text: str) -> str:
    """For `like`, of whatever holds *text*."""
    literal = _SPECIAL.sub(r"!\g<0>", text)
    return f"%{literal}%"
