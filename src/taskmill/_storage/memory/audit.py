"""What was done by hand, in memory."""

from __future__ import annotations

from itertools import islice

from taskmill._core.deed import MOST_DEEDS, Deed
from taskmill._core.instant import to_datetime
from taskmill._storage.base import AuditStore, DeedPage
from taskmill._storage.memory.changes import Memory


class MemoryAudit(AuditStore):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def append(self, deed: Deed) -> None:
        with self._memory.change() as changes:
            deeds = changes.tables.deeds
            if deed.deed_id in deeds:
                return
            number = next(changes.tables.deed_numbers)
            deeds[deed.deed_id] = (number, to_datetime(changes.now), deed)
            if len(deeds) > MOST_DEEDS:
                del deeds[next(iter(deeds))]
            changes.tables.version += 1

    def page(self, *, after: str | None = None, limit: int) -> DeedPage:
        with self._memory.read() as tables:
            older = (
                each for each in reversed(tables.deeds.values()) if after is None or each[0] < int(after)
            )
            found = [*islice(older, limit + 1)]
        more = str(found[limit - 1][0]) if len(found) > limit else None
        return DeedPage([(at, deed) for _, at, deed in found[:limit]], more)
