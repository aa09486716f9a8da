"""What people and waiting callers read from SQLite, on a connection that writes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any

from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Attempt, Job
from taskmill._storage.base import Inspection, Outcome, QueueCount, SessionState
from taskmill._storage.clock import Clock
from taskmill._storage.rows import attempt_of, error_of, job_of, queue_count
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.opening import Connection

SQL = Queries("taskmill._storage.sqlite", "inspection.sql")


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

    def find(
        self,
        *,
        states: Collection[State] = (),
        task: str | None = None,
        queue: str | None = None,
        pipeline: str | None = None,
        limit: int = 100,
    ) -> Sequence[Job]:
        wanted = {
            "states": json.dumps(sorted(states)) if states else None,
            "task": task,
            "queue": queue,
            "pipeline": pipeline,
            "limit": limit,
        }
        return self._jobs(SQL.find if pipeline is None else SQL.steps, wanted, with_attempts=False)

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
            )
            for session, host, pid, kind, parent, started_at, running in self._rows(SQL.sessions)
        ]

    def _rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._database.read(lambda connection: connection.execute(query, parameters or {}).fetchall())

    def _jobs(self, query: str, parameters: dict[str, Any], *, with_attempts: bool) -> list[Job]:
        def work(connection: Connection) -> list[Job]:
            cursor = connection.cursor()
            cursor.row_factory = sqlite3.Row
            rows = cursor.execute(query, parameters).fetchall()
            return [job_of(row, self._attempts(connection, row) if with_attempts else ()) for row in rows]

        return self._database.snapshot(work)

    def _attempts(self, connection: Connection, row: sqlite3.Row) -> tuple[Attempt, ...]:
        return tuple(map(attempt_of, connection.execute(SQL.attempts, {"job": row["id"]})))
