"""Schedules on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.job import NewJob
from taskmill._storage.base import ScheduleState, ScheduleStore
from taskmill._storage.postgres.calls import as_columns
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.doorbell import Doorbell
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.version import Version

SQL = Statements("schedules.sql")


class PostgresSchedules(ScheduleStore):
    def __init__(self, database: Database, wake: Doorbell, version: Version) -> None:
        self._database = database
        self._wake = wake
        self._version = version

    def register(self, *, name: str, task: str, spec: str) -> ScheduleState:
        changed, *state = self._database.row(SQL.register, (name, task, spec, self._database.wall))
        if changed:
            self._version.changed()
        return ScheduleState._make(state)

    def fire(self, name: str, *, after: int, slot: int, fire: NewJob | None, skipped: int) -> bool:
        step = {
            "name": name,
            "after": after,
            "slot": slot,
            "job": None if fire is None else as_columns([fire]),
            "job_id": None if fire is None else fire.job_id,
            "skipped": skipped,
            "wall": self._database.wall,
        }
        [is_first] = self._database.row(SQL.fire, step)
        if is_first:
            self._version.changed()
        if is_first and fire is not None:
            self._wake.jobs_added()
        return bool(is_first)

    def pause(self, name: str) -> bool:
        return self._turn(SQL.pause, name)

    def resume(self, name: str) -> bool:
        return self._turn(SQL.resume, name)

    def _turn(self, statement: str, name: str) -> bool:
        [is_done] = self._database.row(statement, (name, self._database.wall))
        if is_done:
            self._version.changed()
        return bool(is_done)

    def list(self) -> Sequence[ScheduleState]:
        return [ScheduleState._make(row) for row in self._database.rows(SQL.all)]
