"""Moving from and to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from psycopg.rows import dict_row

from taskmill._core.identity import new_job_id
from taskmill._core.job import State
from taskmill._core.journal import Sheet
from taskmill._core.record import Job
from taskmill._storage.base import Crate, Load, Page, ScheduleState, Transfer
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.doorbell import Doorbell
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.version import Version
from taskmill._storage.records import load_of, load_text
from taskmill._storage.rows import attempt_of, attempt_row, job_of, row_of

T = TypeVar("T")

SQL = Statements("transfer.sql")


class PostgresTransfer(Transfer):
    def __init__(self, database: Database, wake: Doorbell, version: Version) -> None:
        self._database = database
        self._wake = wake
        self._version = version

    def identity(self) -> str:
        def work(connection: Connection) -> str:
            _do(connection, SQL.know_me, (new_job_id(),))
            [[identity]] = _do(connection, SQL.identity)
            return str(identity)

        return self._alone(work)

    def read(self, *, after: str | None, limit: int) -> Page:
        def work(connection: Connection) -> Page:
            connection.execute("set transaction isolation level repeatable read, read only")
            heads = _heads(connection, after=int(after or 0), limit=limit, with_running=True)
            jobs = list(_jobs(connection, heads).values())
            return Page(jobs, str(heads[-1]) if len(heads) == limit else None)

        return self._at_once(work)

    def pack(self, target: str, *, limit: int) -> Crate | None:
        crate_id = new_job_id()

        def work(connection: Connection) -> Crate | None:
            for crate, its_target, text in _do(connection, SQL.outgoing):
                return Crate(crate, its_target, load_of(text))
            load = _take_out(connection, limit)
            if not any(load):
                return None
            _do(connection, SQL.keep, {"crate": crate_id, "target": target, "load": load_text(load)})
            return Crate(crate_id, target, load)

        crate = self._alone(work)
        if crate is not None:
            self._version.changed()
            self._wake.jobs_ended([job.job_id for job in crate.load.jobs])
            self._wake.jobs_added()
        return crate

    def unpack(self, crate_id: str, load: Load) -> Sequence[str] | None:
        def work(connection: Connection) -> list[str] | None:
            if not _do(connection, SQL.mark, (crate_id,)):
                return None
            for schedule in load.schedules:
                _do(connection, SQL.adopt, schedule._asdict())
            refs = {
                job.job_id: ref for job in load.jobs for [ref] in _do(connection, SQL.insert, row_of(job))
            }
            for job in load.jobs:
                for attempt in job.attempts if job.job_id in refs else ():
                    _do(connection, SQL.insert_attempt, {"job": refs[job.job_id], **attempt_row(attempt)})
                for sheet in job.sheets if job.job_id in refs else ():
                    _do(connection, SQL.insert_sheet, (refs[job.job_id], *sheet))
            _do(connection, SQL.settle_in, (list(refs.values()),))
            return [job.job_id for job in load.jobs if job.job_id not in refs]

        known = self._alone(work)
        if known is not None:
            self._version.changed()
            self._wake.jobs_added()
        return known

    def forget(self, crate_id: str) -> None:
        self._alone(lambda connection: _do(connection, SQL.forget, (crate_id,)))

    def _alone(self, work: Callable[[Connection], T]) -> T:
        """Run *work* as a transaction while nobody else touches more than what is his own."""

        def change(connection: Connection) -> T:
            _do(connection, SQL.alone)
            return work(connection)

        return self._at_once(change)

    def _at_once(self, work: Callable[[Connection], T]) -> T:
        def transaction(connection: Connection) -> T:
            with connection.transaction():
                return work(connection)

        return self._database.run(transaction)


def _do(connection: Connection, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
    cursor = connection.execute(statement.encode(), parameters)
    return [] if cursor.description is None else cursor.fetchall()


def _heads(connection: Connection, *, after: int, limit: int, with_running: bool) -> list[int]:
    wanted = {"after": after, "limit": limit, "with_running": with_running}
    return [ref for [ref] in _do(connection, SQL.heads, wanted)]


def _jobs(connection: Connection, heads: Sequence[int]) -> dict[int, Job]:
    """By their numbers, with the later steps."""
    rows = connection.cursor(row_factory=dict_row).execute(SQL.jobs.encode(), {"ids": heads}).fetchall()
    attempts: dict[int, list[tuple[Any, ...]]] = {}
    for ref, *attempt in _do(connection, SQL.attempts, ([row["id"] for row in rows],)):
        attempts.setdefault(ref, []).append(tuple(attempt))
    sheets: dict[int, list[Sheet]] = {}
    for ref, *sheet in _do(connection, SQL.sheets, ([row["id"] for row in rows],)):
        sheets.setdefault(ref, []).append(Sheet._make(sheet))
    jobs = {row["id"]: job_of(row, tuple(map(attempt_of, attempts.get(row["id"], ())))) for row in rows}
    return {ref: replace(job, sheets=tuple(sheets.get(ref, ()))) for ref, job in jobs.items()}


def _take_out(connection: Connection, limit: int) -> Load:
    heads = _heads(connection, after=0, limit=limit, with_running=False)
    queued = [ref for ref, job in _jobs(connection, heads).items() if job.state is State.QUEUED]
    seized = {ref for [ref] in _do(connection, SQL.seize, (queued,))}
    # Read again: now nobody can claim what was seized, and all else is changed by one at a time.
    jobs = _jobs(connection, heads)
    claimed = {ref for ref, job in jobs.items() if _is_active(job) and ref not in seized}
    held_back = {job.pipeline for ref, job in jobs.items() if ref in claimed} - {None}
    taken = {ref: job for ref, job in jobs.items() if ref not in claimed and job.pipeline not in held_back}
    _do(connection, SQL.line_up, (sorted(seized - taken.keys()),))
    _do(connection, SQL.take_out, (list(taken),))
    schedules = [ScheduleState._make(row) for row in _do(connection, SQL.take_schedules)]
    return Load(list(taken.values()), sorted(schedules))


def _is_active(job: Job) -> bool:
    return job.state in {State.QUEUED, State.RUNNING}
