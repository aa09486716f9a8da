"""Locks on SQLite; those of jobs are taken and freed in the turn that claims and settles the job."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.instant import to_datetime
from taskmill._storage.base import LimitStore, LockState
from taskmill._storage.clock import Clock
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.changes import Changes
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.sessions import SqliteSessions
from taskmill._storage.wake import Wake

SQL = Queries("taskmill._storage.sqlite", "limits.sql")


class SqliteLimits(LimitStore):
    def __init__(self, database: Database, clock: Clock, wake: Wake, sessions: SqliteSessions) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._sessions = sessions

    def acquire(self, name: str, session: int) -> int | None:
        session = self._sessions.here(session)
        # Looked at before asking for the write lock: whoever waits for a lock asks often.
        holder = self._database.read(lambda connection: self._living_holder(connection, name))
        return (
            None if holder else self._database.write(lambda connection: self._take(connection, name, session))
        )

    def _living_holder(self, connection: Connection, name: str) -> bool:
        lock = connection.execute(SQL.holder, {"name": name}).fetchone()
        return lock is not None and not self._sessions.is_gone_or_dead(connection, lock[1])

    def _take(self, connection: Connection, name: str, session: int) -> int | None:
        if self._sessions.is_gone_or_dead(connection, session):
            return None
        lock = connection.execute(SQL.holder, {"name": name}).fetchone()
        if lock is not None and self._sessions.is_gone_or_dead(connection, lock[1]):
            connection.execute(SQL.drop, {"token": lock[0]})
        request = {"name": name, "session": session, "now": self._clock.wall()}
        taken = connection.execute(SQL.acquire, request).fetchall()
        return int(taken[0][0]) if taken else None

    def release(self, name: str, session: int, token: int) -> bool:
        session = self._sessions.here(session)

        def work(connection: Connection) -> Changes | None:
            owner = {"name": name, "session": session, "token": token}
            if not connection.execute(SQL.release, owner).rowcount:
                return None
            done = Changes(connection, self._clock.wall())
            done.wake_waiter(name)
            return done

        done = self._database.write(work)
        if done is None:
            return False
        done.announce(self._wake)
        return True

    def list(self) -> Sequence[LockState]:
        rows = self._database.read(lambda connection: connection.execute(SQL.all).fetchall())
        return [
            LockState(name, token, session, job_id, to_datetime(since))
            for name, token, session, job_id, since in rows
        ]
