"""Sessions on SQLite: a row for what people see and for never reusing an id, a file for liveness."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import NamedTuple

from taskmill._core.census import Life, Serves
from taskmill._core.event import Notice
from taskmill._storage.base import WISHES, SessionStore, Slots
from taskmill._storage.clock import Clock
from taskmill._storage.process import boot_id, host_name, process_identity
from taskmill._storage.rows import serves_text
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.changes import SQL as JOBS
from taskmill._storage.sqlite.changes import Changes
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.liveness import Liveness, Session
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.wake import Wake
from taskmill.errors import StoreError

SQL = Queries("taskmill._storage.sqlite", "sessions.sql")

# The number of no session: they begin with 1.
_NOBODY = 0


class _Own(NamedTuple):
    """A session that was opened here: its files, and how often the database had been replaced by then."""

    file: str
    replacements: int


class SqliteSessions(SessionStore):
    def __init__(self, database: Database, clock: Clock, wake: Wake) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._liveness = Liveness(database.path, clock)
        self._own: dict[int, _Own] = {}
        # Those of other processes that are renewed from here.
        self._watched: dict[int, Session] = {}

    def open(self, *, kind: str, lease: int, parent: int | None = None, serves: Serves | None = None) -> int:
        # Nothing is begun beside a store that is not there.
        self._database.version()
        # Before the commit: a session that others can see is one that they can see alive.
        file = self._liveness.begin(lease)
        try:
            session = self._insert(kind, lease, file, parent, serves)
        except BaseException:
            self._liveness.let_go(file)
            raise
        self._own[session] = _Own(file, self._database.replacements)
        return session

    def _insert(self, kind: str, lease: int, file: str, parent: int | None, serves: Serves | None) -> int:
        row = {
            "kind": kind,
            "parent": parent,
            "host": host_name(),
            "pid": os.getpid(),
            "process": process_identity(),
            "boot": boot_id(),
            "lease": lease,
            "file": file,
            "started_at": self._clock.wall(),
            "serves": serves_text(serves),
        }

        def work(connection: Connection) -> int:
            session = connection.execute(SQL.open, row).lastrowid
            assert session is not None  # noqa: S101  (an insert without "on conflict" has a row id)
            return session

        return self._database.write(work)

    def slots(self, session: int, count: int) -> Slots:
        return self._liveness.slots(self._own[session].file, count)

    def renew(self, session: int) -> bool:
        own = self._own.get(session)
        if own is None:
            return self._renew_for(session)
        if self.here(session) == _NOBODY:
            return False
        is_renewed = self._liveness.renew(own.file)
        try:
            # Asked even where its files are in place: who took it for dead may have died before it removed them.
            is_known = self._database.read(lambda connection: _find(connection, session)) is not None
        except StoreError:
            # One that was renewed is not lost because the store cannot be read.
            if is_renewed:
                return True
            raise
        if not is_known:
            self._let_go(session, own.file)
            return False
        return is_renewed or self._liveness.restore(own.file)

    def _renew_for(self, session: int) -> bool:
        """Renew the lease of a session of another process."""
        known = self._watched.get(session) or self._database.read(lambda c: _find(c, session))
        if known is None:
            return False
        self._watched[session] = known
        if self._liveness.renew_for(known):
            return True
        del self._watched[session]
        # Its files are gone, and it will make them anew, unless it is gone itself.
        return self._database.read(lambda c: _find(c, session)) is not None

    def end(self, session: int) -> Sequence[Notice]:
        session = self.here(session)

        def work(connection: Connection) -> tuple[Changes, Session | None]:
            done = Changes(connection, self._clock.wall())
            known = _find(connection, session)
            done.take_back(session, "released")
            self.remove(connection, session)
            return done, known

        done, known = self._database.write(work)
        # Others may have ended it; what is still open here is the file of a session that was opened here.
        own = self._own.get(session)
        file = known.file if known is not None else own.file if own is not None else None
        if file is not None:
            self._let_go(session, file)
        done.announce(self._wake)
        return done.notices

    def ask_to_stop(self, session: int) -> bool:
        row = {"session": session}
        return self._database.write(lambda connection: connection.execute(SQL.ask_to_stop, row).rowcount > 0)

    def is_asked_to_stop(self, session: int) -> bool:
        row = {"session": self.here(session)}
        [is_asked] = self._database.read(
            lambda connection: connection.execute(SQL.is_asked_to_stop, row).fetchone()
        )
        return bool(is_asked)

    # --- what the other roles need

    def here(self, session: int) -> int:
        """*session*, or the number of nobody where it was opened in a file that another one has replaced.

        In the file of now, that number may be somebody else's; and even in a backup of the same store, what it held
        when that was made is nothing that this process knows of.
        """
        own = self._own.get(session)
        if own is None or own.replacements == self._database.replacements:
            return session
        self._liveness.let_go(own.file)
        return _NOBODY

    def find(self, session: int) -> Session | None:
        return self._database.read(lambda connection: _find(connection, session))

    def running(self, session: Session) -> Collection[tuple[int, int]]:
        """The claims that its slots name, by ref and fence."""
        return self._liveness.running(session.file)

    @staticmethod
    def remove(connection: Connection, session: int) -> None:
        connection.execute(SQL.end, {"session": session})

    def let_go(self, session: Session) -> None:
        """After the commit that removed it: its files go too."""
        self._let_go(session.session, session.file)

    def _let_go(self, session: int, file: str) -> None:
        self._own.pop(session, None)
        self._watched.pop(session, None)
        self._liveness.let_go(file)

    def rescue(self) -> Sequence[Notice]:
        """What the contract calls `JobStore.rescue`."""
        known = self._database.read(lambda connection: connection.execute(SQL.known).fetchall())
        sessions: dict[int | None, Session] = {
            session.session: session for session in map(Session._make, known)
        }
        gone = [
            session for session in sessions.values() if self.is_dead(session, sessions.get(session.parent))
        ]
        if not gone and not self._is_anybody_left_waiting():
            return []

        def work(connection: Connection) -> tuple[Changes, list[Session]]:
            done = Changes(connection, self._clock.wall())
            # Asked again under the lock: a stopped process may have come back and renewed.
            dead = [session for session in gone if self.is_dead(session, sessions.get(session.parent))]
            for session in dead:
                done.take_back(session.session, "rescued")
                _keep_wish(connection, session.session)
                self.remove(connection, session.session)
            done.wake_all_awaited()
            return done, dead

        done, dead = self._database.write(work)
        for session in dead:
            self.let_go(session)
        done.announce(self._wake)
        return done.notices

    def is_dead(self, session: Session, parent: Session | None) -> bool:
        is_watched = parent is not None and not self._liveness.is_dead(parent)
        return self._liveness.is_dead(session, is_watched=is_watched)

    def life(self, session: Session, parent: Session | None) -> Life:
        """Of a session that the database still holds."""
        if not self.is_dead(session, parent):
            return "alive"
        return "gone" if self._liveness.is_gone(session) else "silent"

    def is_gone_or_dead(self, connection: Connection, session: int) -> bool:
        known = _find(connection, session)
        return known is None or self.is_dead(known, _find(connection, known.parent))

    def _is_anybody_left_waiting(self) -> bool:
        return bool(self._database.read(lambda connection: connection.execute(JOBS.awaited_locks).fetchone()))


def _keep_wish(connection: Connection, session: int) -> None:
    if connection.execute(SQL.keep_wish, {"session": session}).rowcount:
        connection.execute(SQL.forget_wishes, {"session": session, "kept": WISHES})


def _find(connection: Connection, session: int | None) -> Session | None:
    row = connection.execute(SQL.one, {"session": session}).fetchone()
    return None if row is None else Session._make(row)
