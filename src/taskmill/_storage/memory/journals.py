"""What jobs say of themselves, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.job import State
from taskmill._core.journal import KEPT_CLAIMS, Sheet
from taskmill._storage.base import JournalStore, Writing
from taskmill._storage.memory.changes import Memory
from taskmill._storage.memory.row import Row


class MemoryJournals(JournalStore):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def write(self, session: int, writings: Sequence[Writing]) -> None:
        with self._memory.change() as changes:
            for writing in writings:
                row = changes.tables.rows.get(writing.claimed.job_id)
                if row is not None and _holds(row, session, writing.claimed.fence):
                    _write(row, writing)
                    changes.tables.version += 1

    def read(self, job_id: str) -> Sequence[Sheet]:
        with self._memory.read() as tables:
            row = tables.rows.get(job_id)
            return () if row is None else row.sheets


def _holds(row: Row, session: int, fence: int) -> bool:
    return row.state is State.RUNNING and (row.session, row.fence) == (session, fence)


def _write(row: Row, writing: Writing) -> None:
    fence, attempt = writing.claimed.fence, writing.claimed.attempt
    for number, text in writing.sheets:
        row.journal[fence, number] = Sheet(fence, attempt, number, text)
    for number in writing.torn:
        row.journal.pop((fence, number), None)
    for place in [place for place in row.journal if place[0] <= fence - KEPT_CLAIMS]:
        del row.journal[place]
