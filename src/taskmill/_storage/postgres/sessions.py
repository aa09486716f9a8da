"""Sessions on PostgreSQL: a row with a lease by the server's clock, and a file on this host that says what runs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from typing import NamedTuple

from taskmill._core.census import Life, Serves
from taskmill._core.event import Notice
from taskmill._storage.base import SessionStore, Slots
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.doorbell import Doorbell
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.news import News
from taskmill._storage.postgres.version import Version
from taskmill._storage.process import boot_id, has_ended, host_name, process_identity
from taskmill._storage.rows import serves_text
from taskmill._storage.slot_files import SlotFiles

SQL = Statements("sessions.sql")


class Session(NamedTuple):
    """What the database knows of a session; *is_silent*: its lease has run out."""

    session: int
    parent: int | None
    process: str
    boot: str
    slots: str
    is_silent: bool

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended for certain, which is known on its own host only."""
        return self.boot == boot_id() and has_ended(self.process)


class PostgresSessions(SessionStore):
    def __init__(self, database: Database, wake: Doorbell, version: Version) -> None:
        self._database = database
        self._wake = wake
        self._version = version
        self._slots = SlotFiles()

    def open(self, *, kind: str, lease: int, parent: int | None = None, serves: Serves | None = None) -> int:
        slots = self._slots.new_name()
        row = {
            "kind": kind,
            "parent": parent,
            "host": host_name(),
            "pid": os.getpid(),
            "process": process_identity(),
            "boot": boot_id(),
            "slots": slots,
            "lease": lease,
            "serves": serves_text(serves),
            "wall": self._database.wall,
            "monotonic": self._database.monotonic,
        }
        [session] = self._database.row(SQL.open, row)
        self._version.changed()
        self._slots.begin(session, slots)
        return int(session)

    def slots(self, session: int, count: int) -> Slots:
        return self._slots.open(session, count)

    def renew(self, session: int) -> bool:
        # Once in a third of a lease: often enough to see a migration.
        self._database.check()
        [is_known] = self._database.row(SQL.renew, (session, self.word(session), self._database.monotonic))
        return bool(is_known)

    def end(self, session: int) -> Sequence[Notice]:
        known = self.find(session)
        if known is None or self.word(session) not in {"", known.slots}:
            return []
        [news] = self._database.row(SQL.end, (session, self._database.wall))
        self._version.changed()
        self.let_go(known)
        told = News.of(news)
        told.announce(self._wake)
        return told.notices

    def ask_to_stop(self, session: int) -> bool:
        [is_new] = self._database.row(SQL.ask_to_stop, (session,))
        if is_new:
            self._version.changed()
        return bool(is_new)

    def is_asked_to_stop(self, session: int) -> bool:
        return self._database.row(SQL.is_asked_to_stop, {"session": session}) == (True,)

    # --- what the other roles need

    def word(self, session: int) -> str:
        """What says that a session is meant, and not one of the same number in a database that was made anew."""
        return self._slots.name(session)

    def find(self, session: int) -> Session | None:
        return self._look()[0].get(session)

    def is_dead(self, session: int) -> bool:
        """Whether what it holds may be taken."""
        known, _ = self._look()
        found = known.get(session)
        return found is not None and is_dead(found, known.get(found.parent))

    def _look(self) -> tuple[dict[int | None, Session], bool]:
        """All sessions, and whether a lock is free that somebody waits for.

        Every worker asks that four times a second, so it is one call, the short way.
        """
        rows, is_lock_awaited = json.loads(self._database.text(SQL.look, (self._database.monotonic,)))
        return {row[0]: Session._make(row) for row in rows}, is_lock_awaited

    def running(self, session: Session) -> Collection[tuple[int, int]]:
        """The claims that its slots name, by ref and fence; none where it ran on another host."""
        return self._slots.running(session.slots)

    def let_go(self, session: Session) -> None:
        """After the commit that removed it: its file goes too."""
        self._slots.remove(session.session, session.slots)

    def rescue(self) -> Sequence[Notice]:
        """What the contract calls `JobStore.rescue`."""
        known, is_lock_awaited = self._look()
        dead = [session for session in known.values() if is_dead(session, known.get(session.parent))]
        if not dead and not is_lock_awaited:
            return []
        request = {
            "candidates": [session.session for session in dead],
            "gone": [session.session for session in dead if session.is_gone],
            "wall": self._database.wall,
            "monotonic": self._database.monotonic,
        }
        rescued, news = self._database.row(SQL.rescue, request)
        for session in rescued:
            self.let_go(known[session])
        told = News.of(news)
        if told.changed:
            self._version.changed()
        told.announce(self._wake)
        return told.notices


def is_dead(session: Session, parent: Session | None) -> bool:
    """While its parent lives, the lease alone counts."""
    is_watched = parent is not None and not is_dead(parent, None)
    return session.is_silent or (not is_watched and session.is_gone)


def life_of(session: Session, parent: Session | None) -> Life:
    """Of a session that the database still holds."""
    if not is_dead(session, parent):
        return "alive"
    return "gone" if session.is_gone else "silent"
