"""Locks on PostgreSQL; those of jobs are taken and freed in the turn that claims and settles the job."""

from __future__ import annotations

import os
from collections.abc import Sequence

from taskmill._core.instant import to_datetime
from taskmill._storage.base import LimitStore, LockState
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.doorbell import Doorbell
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.sessions import PostgresSessions
from taskmill._storage.postgres.version import Version

SQL = Statements("limits.sql")


class PostgresLimits(LimitStore):
    def __init__(
        self, database: Database, wake: Doorbell, version: Version, sessions: PostgresSessions
    ) -> None:
        self._database = database
        self._wake = wake
        self._version = version
        self._sessions = sessions

    def acquire(self, name: str, session: int) -> int | None:
        # A reply that was lost must not leave it taken without anybody who knows its token.
        request = os.urandom(8).hex()
        token, holder = self._take(name, session, request, None)
        if token is None and holder is not None and self._sessions.is_dead(holder):
            token, _ = self._take(name, session, request, holder)
        if token is not None:
            self._version.changed()
        return token

    def _take(self, name: str, session: int, request: str, gone: int | None) -> tuple[int | None, int | None]:
        clocks = (self._database.wall, self._database.monotonic)
        token, holder = self._database.row(
            SQL.acquire, (name, session, self._sessions.word(session), request, gone, *clocks)
        )
        return token, holder

    def release(self, name: str, session: int, token: int) -> bool:
        [is_released] = self._database.row(SQL.release, (name, session, token))
        if is_released:
            self._version.changed()
            self._wake.jobs_added()
        return bool(is_released)

    def list(self) -> Sequence[LockState]:
        return [
            LockState(name, token, session, job_id, to_datetime(since))
            for name, token, session, job_id, since in self._database.rows(SQL.all)
        ]
