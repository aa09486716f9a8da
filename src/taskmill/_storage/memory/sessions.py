"""Sessions in memory: a row each, with a lease by the process's own clock."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.census import Serves
from taskmill._core.event import Notice
from taskmill._storage.base import SessionStore, Slots
from taskmill._storage.memory.changes import Memory
from taskmill._storage.memory.tables import Session


class MemorySlots(Slots):
    def __init__(self, slots: dict[int, tuple[int, int]]) -> None:
        self._slots = slots

    def note(self, slot: int, ref: int, fence: int) -> None:
        self._slots[slot] = ref, fence

    def clear(self, slot: int) -> None:
        self._slots.pop(slot, None)


class MemorySessions(SessionStore):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def open(self, *, kind: str, lease: int, parent: int | None = None, serves: Serves | None = None) -> int:
        with self._memory.change() as changes:
            session = next(changes.tables.session_ids)
            changes.tables.sessions[session] = Session(
                kind=kind,
                lease=lease,
                leased_until=changes.monotonic + lease,
                started_at=changes.now,
                parent=parent,
                serves=serves,
            )
            changes.tables.version += 1
            return session

    def slots(self, session: int, count: int) -> Slots:  # noqa: ARG002  (a dict has room for all)
        with self._memory.read() as tables:
            known = tables.sessions.get(session)
            # Of a session that is gone, nobody will read them.
            return MemorySlots({} if known is None else known.slots)

    def renew(self, session: int) -> bool:
        with self._memory.change() as changes:
            known = changes.tables.sessions.get(session)
            if known is None:
                return False
            known.leased_until = changes.monotonic + known.lease
            return True

    def end(self, session: int) -> Sequence[Notice]:
        with self._memory.change() as changes:
            changes.take_back(session, "released")
            changes.forget(session)
            return changes.notices

    def ask_to_stop(self, session: int) -> bool:
        with self._memory.change() as changes:
            known = changes.tables.sessions.get(session)
            if known is None or known.is_asked_to_stop:
                return False
            known.is_asked_to_stop = True
            changes.tables.version += 1
            return True

    def is_asked_to_stop(self, session: int) -> bool:
        with self._memory.read() as tables:
            known = tables.sessions.get(session)
            return session in tables.wishes if known is None else known.is_asked_to_stop
