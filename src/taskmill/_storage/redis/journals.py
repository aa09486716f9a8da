"""What jobs say of themselves, on Redis: a hash for each job, by fence and number of the sheet."""

from __future__ import annotations

import json
from collections.abc import Sequence

from taskmill._core.journal import KEPT_CLAIMS, Sheet
from taskmill._storage.base import JournalStore, Writing
from taskmill._storage.redis.call import Caller


class RedisJournals(JournalStore):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def write(self, session: int, writings: Sequence[Writing]) -> None:
        told = [
            (writing.claimed.job_id, writing.claimed.fence, writing.sheets, list(writing.torn))
            for writing in writings
        ]
        self._caller.change("write", session, KEPT_CLAIMS, json.dumps(told))

    def read(self, job_id: str) -> Sequence[Sheet]:
        [sheets] = sheets_of(self._caller, [job_id])
        return sheets


def sheets_of(caller: Caller, job_ids: Sequence[str]) -> list[tuple[Sheet, ...]]:
    """The sheets of each of the jobs."""
    return [tuple(sorted(map(_sheet, told[::2], told[1::2]))) for told in caller.look("sheets", *job_ids)]


def journal_text(sheets: Sequence[Sheet]) -> str:
    """As unpack.lua takes it: what the hash holds, one after the other; '' of none."""
    entries = [
        text for fence, attempt, number, said in sheets for text in (f"{fence} {number}", f"{attempt} {said}")
    ]
    return json.dumps(entries) if entries else ""


def _sheet(place: bytes, text: bytes) -> Sheet:
    fence, number = map(int, place.split())
    attempt, _, said = text.decode().partition(" ")
    return Sheet(fence, int(attempt), number, said)
