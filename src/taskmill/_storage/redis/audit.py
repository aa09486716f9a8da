"""What was done by hand, on Redis: a hash of the deeds, and their order."""

from __future__ import annotations

import json
from datetime import datetime

from taskmill._core.deed import MOST_DEEDS, Deed
from taskmill._core.instant import to_datetime
from taskmill._storage.base import AuditStore, DeedPage
from taskmill._storage.redis.call import Caller


class RedisAudit(AuditStore):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def append(self, deed: Deed) -> None:
        self._caller.change("note", deed.deed_id, json.dumps(deed), MOST_DEEDS)

    def page(self, *, after: str | None = None, limit: int) -> DeedPage:
        first = "+inf" if after is None else f"({after}"
        told = self._caller.look("deeds", first, limit + 1)
        rows = [*zip(told[::2], told[1::2], strict=True)]
        more = rows[limit - 1][0].decode() if len(rows) > limit else None
        return DeedPage([_noted(text) for _, text in rows[:limit]], more)


def _noted(text: bytes) -> tuple[datetime, Deed]:
    at, _, deed = text.partition(b" ")
    return to_datetime(int(at)), Deed._make(json.loads(deed))
