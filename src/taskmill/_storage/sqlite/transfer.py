"""Moving from and to SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from taskmill._core.identity import new_job_id
from taskmill._core.job import State
from taskmill._core.journal import Sheet
from taskmill._core.record import Job
from taskmill._storage.base import Crate, Load, Page, ScheduleState, Transfer
from taskmill._storage.records import load_of, load_text
from taskmill._storage.rows import attempt_of, attempt_row, job_of, row_of
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.changes import delete
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.insert import INLINE
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.wake import Wake

SQL = Queries("taskmill._storage.sqlite", "transfer.sql")


class SqliteTransfer(Transfer):
    def __init__(self, database: Database, wake: Wake) -> None:
        self._database = database
        self._wake = wake

    def identity(self) -> str:
        def work(connection: Connection) -> str:
            connection.execute(SQL.know_me, {"identity": new_job_id()})
            [identity] = connection.execute(SQL.identity).fetchone()
            return str(identity)

        return self._database.write(work)

    def read(self, *, after: str | None, limit: int) -> Page:
        def work(connection: Connection) -> Page:
            heads = _heads(connection, after=int(after or 0), limit=limit, with_running=True)
            jobs = list(_jobs(connection, heads).values())
            return Page(jobs, str(heads[-1]) if len(heads) == limit else None)

        return self._database.snapshot(work)

    def pack(self, target: str, *, limit: int) -> Crate | None:
        crate_id = new_job_id()

        def work(connection: Connection) -> tuple[Crate | None, bool]:
            before = connection.execute(SQL.outgoing).fetchone()
            if before is not None:
                return Crate(before[0], before[1], load_of(before[2])), False
            load = _take_out(connection, limit)
            if not any(load):
                return None, False
            connection.execute(SQL.keep, {"crate": crate_id, "target": target, "load": load_text(load)})
            return Crate(crate_id, target, load), True

        crate, is_new = self._database.write(work)
        if crate is not None and is_new:
            self._wake.jobs_ended([job.job_id for job in crate.load.jobs])
            self._wake.jobs_added()
        return crate

    def unpack(self, crate_id: str, load: Load) -> Sequence[str] | None:
        def work(connection: Connection) -> list[str] | None:
            if not connection.execute(SQL.mark, {"crate": crate_id}).rowcount:
                return None
            for schedule in load.schedules:
                connection.execute(SQL.adopt, schedule._asdict())
            return [job.job_id for job in load.jobs if not _insert(connection, job)]

        known = self._database.write(work)
        if known is not None:
            self._wake.jobs_added()
        return known

    def forget(self, crate_id: str) -> None:
        self._database.write(lambda connection: connection.execute(SQL.forget, {"crate": crate_id}).rowcount)


def _heads(connection: Connection, *, after: int, limit: int, with_running: bool) -> list[int]:
    wanted = {"after": after, "limit": limit, "with_running": with_running}
    return [ref for [ref] in connection.execute(SQL.heads, wanted)]


def _jobs(connection: Connection, heads: Iterable[int]) -> dict[int, Job]:
    """By their numbers, with the later steps."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute(SQL.jobs, {"ids": json.dumps(list(heads))}).fetchall()
    jobs = {row["id"]: job_of(row, tuple(map(attempt_of, _attempts(connection, row["id"])))) for row in rows}
    return {ref: replace(job, sheets=_sheets(connection, ref)) for ref, job in jobs.items()}


def _attempts(connection: Connection, ref: int) -> list[tuple[Any, ...]]:
    return connection.execute(SQL.attempts, {"job": ref}).fetchall()


def _sheets(connection: Connection, ref: int) -> tuple[Sheet, ...]:
    return tuple(map(Sheet._make, connection.execute(SQL.sheets, {"job": ref}).fetchall()))


def _take_out(connection: Connection, limit: int) -> Load:
    jobs = _jobs(connection, _heads(connection, after=0, limit=limit, with_running=False))
    delete(connection, jobs)
    for lock in {job.lock for job in jobs.values() if job.state is State.QUEUED and job.lock is not None}:
        connection.execute(SQL.first_waiter, {"lock": lock})
    schedules = [ScheduleState._make(row) for row in connection.execute(SQL.schedules).fetchall()]
    if schedules:
        connection.execute(SQL.take_schedules)
    return Load(list(jobs.values()), schedules)


def _insert(connection: Connection, job: Job) -> bool:
    """Whether it is new."""
    row = row_of(job)
    long = {
        kind: row[kind] for kind in ("args", "result") if row[kind] is not None and len(row[kind]) > INLINE
    }
    found = connection.execute(SQL.insert, {**row, **dict.fromkeys(long)}).fetchone()
    if found is None:
        return False
    [ref] = found
    for kind, data in long.items():
        connection.execute(SQL.insert_payload, {"job": ref, "kind": kind, "data": data})
    for attempt in job.attempts:
        connection.execute(SQL.insert_attempt, {"job": ref, **attempt_row(attempt)})
    for sheet in job.sheets:
        connection.execute(SQL.insert_sheet, (ref, *sheet))
    return True
