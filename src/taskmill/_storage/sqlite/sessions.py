"""Sessions on SQLite: a row for what people see and for never reusing an id, a file for liveness."""

from __future__ import annotations

import os
from collections.abc import Sequence

from taskmill._core.event import Notice
from taskmill._storage.base import SessionStore
from taskmill._storage.clock import Clock
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.changes import SQL as JOBS
from taskmill._storage.sqlite.changes import Changes
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.liveness import Liveness, Session, boot_id, host_name, process_identity
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.wake import Wake

SQL = Queries("taskmill._storage.sqlite", "sessions.sql")


class SqliteSessions(SessionStore):
    def __init__(self, database: Database, clock: Clock, wake: Wake) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._liveness = Liveness(database.path, clock)
        # The files of the sessions that were opened here.
        self._files: dict[int, str] = {}

    def open(self, *, kind: str, lease: int) -> int:
        # Nothing is begun beside a store that is not there.
        self._database.version()
        # Before the commit: a session that others can see is one that they can see alive.
        file = self._liveness.begin(lease)
        try:
            session = self._insert(kind, lease, file)
        except BaseException:
            self._liveness.let_go(file)
            raise
        self._files[session] = file
        return session

    def _insert(self, kind: str, lease: int, file: str) -> int:
        row = {
            "kind": kind,
            "host": host_name(),
            "pid": os.getpid(),
            "process": process_identity(),
            "boot": boot_id(),
            "lease": lease,
            "file": file,
            "started_at": self._clock.wall(),
        }

        def work(connection: Connection) -> int:
            session = connection.execute(SQL.open, row).lastrowid
            assert session is not None  # noqa: S101  (an insert without "on conflict" has a row id)
            return session

        return self._database.write(work)

    def renew(self, session: int) -> bool:
        file = self._files.get(session)
        if file is None:
            return False
        if self._liveness.renew(file):
            return True
        if self._database.read(lambda c: _find(c, session)) is None:
            return False
        return self._liveness.restore(file)

    def end(self, session: int) -> Sequence[Notice]:
        def work(connection: Connection) -> tuple[Changes, Session | None]:
            done = Changes(connection, self._clock.wall())
            known = _find(connection, session)
            done.take_back(session, "released")
            connection.execute(SQL.end, {"session": session})
            return done, known

        done, known = self._database.write(work)
        self._files.pop(session, None)
        if known is not None:
            self._liveness.let_go(known.file)
        done.announce(self._wake)
        return done.notices

    def rescue(self) -> Sequence[Notice]:
        """What the contract calls `JobStore.rescue`."""
        known = self._database.read(lambda connection: connection.execute(SQL.known).fetchall())
        suspects = [session for session in map(Session._make, known) if self.is_dead(session)]
        if not suspects and not self._is_anybody_left_waiting():
            return []

        def work(connection: Connection) -> tuple[Changes, list[int]]:
            done = Changes(connection, self._clock.wall())
            # Asked again under the lock: a stopped process may have come back and renewed.
            dead = [session.session for session in suspects if self.is_dead(session)]
            for session in dead:
                done.take_back(session, "rescued")
                connection.execute(SQL.end, {"session": session})
            done.wake_all_awaited()
            return done, dead

        done, dead = self._database.write(work)
        for session in suspects:
            if session.session in dead:
                self._files.pop(session.session, None)
                self._liveness.let_go(session.file)
        done.announce(self._wake)
        return done.notices

    def is_dead(self, session: Session) -> bool:
        return self._liveness.is_dead(session)

    def is_gone_or_dead(self, connection: Connection, session: int) -> bool:
        known = _find(connection, session)
        return known is None or self.is_dead(known)

    def _is_anybody_left_waiting(self) -> bool:
        return bool(self._database.read(lambda connection: connection.execute(JOBS.awaited_locks).fetchone()))


def _find(connection: Connection, session: int) -> Session | None:
    row = connection.execute(SQL.one, {"session": session}).fetchone()
    return None if row is None else Session._make(row)
