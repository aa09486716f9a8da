"""What workers have counted, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.instant import MINUTE
from taskmill._core.tally import KEPT_MINUTES, Tally
from taskmill._storage.base import StatisticStore
from taskmill._storage.memory.changes import Memory


class MemoryStatistics(StatisticStore):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def add(self, tallies: Sequence[Tally]) -> None:
        with self._memory.change() as changes:
            counts = changes.tables.tallies
            for minute, task, event, bucket, number in tallies:
                counts[minute, task, event, bucket] += number
            oldest = changes.now // MINUTE - KEPT_MINUTES
            for place in [place for place in counts if place[0] < oldest]:
                del counts[place]
            changes.tables.version += 1

    def series(self, *, since: int, task: str | None = None) -> Sequence[Tally]:
        with self._memory.read() as tables:
            return [
                Tally(*place, number)
                for place, number in sorted(tables.tallies.items())
                if place[0] >= since and task in (None, place[1])
            ]
