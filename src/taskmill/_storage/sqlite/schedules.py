"""Schedules on SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.job import NewJob
from taskmill._storage.base import ScheduleState, ScheduleStore
from taskmill._storage.clock import Clock
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.jobs import insert
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.wake import Wake

SQL = Queries("taskmill._storage.sqlite", "schedules.sql")


class SqliteSchedules(ScheduleStore):
    def __init__(self, database: Database, clock: Clock, wake: Wake) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    def register(self, *, name: str, task: str, spec: str) -> ScheduleState:
        row = {"name": name, "task": task, "spec": spec, "now": self._clock.wall()}

        def work(connection: Connection) -> ScheduleState:
            connection.execute(SQL.register, row)
            return ScheduleState._make(connection.execute(SQL.one, row).fetchone())

        return self._database.write(work)

    def fire(self, name: str, *, after: int, slot: int, fire: NewJob | None, skipped: int) -> bool:
        step = {
            "name": name,
            "after": after,
            "slot": slot,
            "fired": int(fire is not None),
            "skipped": skipped,
            "job_id": None if fire is None else fire.job_id,
        }

        def work(connection: Connection) -> bool:
            if not connection.execute(SQL.advance, step).rowcount:
                return False
            if fire is not None:
                insert(connection, [fire], self._clock.wall())
            return True

        is_first = self._database.write(work)
        if is_first and fire is not None:
            self._wake.jobs_added()
        return is_first

    def pause(self, name: str) -> bool:
        return self._turn(SQL.pause, name)

    def resume(self, name: str) -> bool:
        return self._turn(SQL.resume, name)

    def _turn(self, statement: str, name: str) -> bool:
        parameters = {"name": name, "now": self._clock.wall()}
        return self._database.write(lambda connection: connection.execute(statement, parameters).rowcount > 0)

    def list(self) -> Sequence[ScheduleState]:
        rows = self._database.read(lambda connection: connection.execute(SQL.all).fetchall())
        return [ScheduleState._make(row) for row in rows]
