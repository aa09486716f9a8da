"""Sessions on Redis: a row and a lease by the server's clock; what runs in the slots is in a file of this host."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from typing import NamedTuple

from taskmill._core.census import Life, Serves
from taskmill._core.event import Notice
from taskmill._storage.base import SessionStore, Slots
from taskmill._storage.process import boot_id, has_ended, host_name, process_identity
from taskmill._storage.redis.call import Caller
from taskmill._storage.rows import serves_text
from taskmill._storage.slot_files import SlotFiles


class Session(NamedTuple):
    """The columns of a session, as shared/session.lua has them; `started_at` is set there."""

    word: str
    lease: int
    boot: str
    process: str
    parent: int | None
    started_at: str | None
    kind: str
    host: str
    pid: int
    slots: str
    serves: str | None


class RedisSessions(SessionStore):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        # Of those that were opened here.
        self._own: dict[int, Session] = {}
        self._slots = SlotFiles()

    def open(self, *, kind: str, lease: int, parent: int | None = None, serves: Serves | None = None) -> int:
        word = os.urandom(6).hex()
        row = Session(
            word=word,
            lease=lease,
            boot=boot_id(),
            process=process_identity(),
            parent=parent,
            started_at=None,
            kind=kind,
            host=host_name(),
            pid=os.getpid(),
            slots=self._slots.new_name(),
            serves=serves_text(serves),
        )
        session = int(self._caller.change("open", json.dumps(row)))
        self._own[session] = row
        self._slots.begin(session, row.slots)
        return session

    def slots(self, session: int, count: int) -> Slots:
        return self._slots.open(session, count)

    def renew(self, session: int) -> bool:
        # Once in a third of a lease: often enough to see a newer schema.
        self._caller.link.check()
        is_renewed = bool(self._caller.look("renew", session, self.word(session)))
        if not is_renewed:
            self.let_go(session)
        return is_renewed

    def end(self, session: int) -> Sequence[Notice]:
        notices = self._caller.notices("end", session, self.word(session))
        self.let_go(session)
        return notices

    def ask_to_stop(self, session: int) -> bool:
        return bool(self._caller.change("ask_to_stop", session))

    def is_asked_to_stop(self, session: int) -> bool:
        return bool(self._caller.look("is_asked_to_stop", session))

    # --- what the other roles need

    def word(self, session: int) -> str:
        """What says that a session is meant, and not one of the same number in a server that was emptied."""
        own = self._own.get(session)
        return "" if own is None else own.word

    def running(self, known: Session) -> Collection[tuple[int, int]]:
        """The claims that its slots name, by ref and fence; none where it ran on another host."""
        return self._slots.running(known.slots)

    def find(self, session: int) -> Session | None:
        link = self._caller.link
        text = link.ask("HGET", link.key("sessions"), session)
        return None if text is None else Session(*json.loads(text))

    def let_go(self, session: int, known: Session | None = None) -> None:
        """It has ended: its file goes too; *known*: what the store held of it."""
        ended = self._own.pop(session, known)
        if ended is not None:
            self._slots.remove(session, ended.slots)

    def rescue(self) -> Sequence[Notice]:
        """What the contract calls `JobStore.rescue`."""
        here, notices = self._caller.answer("rescue", boot_id(), "[]")
        gone = [session for session, process in here if process != process_identity() and has_ended(process)]
        if gone:
            _, more = self._caller.answer("rescue", boot_id(), json.dumps(gone))
            notices += more
        return notices

    @staticmethod
    def life(session: Session, *, is_leased: bool) -> Life:
        is_here = session.boot == boot_id() and session.process != process_identity()
        if is_here and has_ended(session.process):
            return "gone"
        return "alive" if is_leased else "silent"
