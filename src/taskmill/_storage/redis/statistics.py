"""What workers have counted, on Redis: a hash for each minute."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence

from taskmill._core.instant import MINUTE
from taskmill._core.tally import KEPT_MINUTES, Tally
from taskmill._storage.base import StatisticStore
from taskmill._storage.redis.call import Caller


class RedisStatistics(StatisticStore):
    def __init__(self, caller: Caller, now: Callable[[], int]) -> None:
        self._caller = caller
        self._now = now

    def add(self, tallies: Sequence[Tally]) -> None:
        counts: dict[int, Counter[str]] = {}
        for minute, task, event, bucket, number in tallies:
            counts.setdefault(minute, Counter())[f"{bucket} {event} {task}"] += number
        oldest = self._now() // MINUTE - KEPT_MINUTES
        self._caller.change("count", json.dumps(counts), oldest)

    def series(self, *, since: int, task: str | None = None) -> Sequence[Tally]:
        told = self._caller.look("series", since)
        found = []
        for minute, counted in zip(told[::2], told[1::2], strict=True):
            for name, number in zip(counted[::2], counted[1::2], strict=True):
                bucket, event, its_task = name.decode().split(" ", 2)
                if task in (None, its_task):
                    found.append(Tally(int(minute), its_task, event, int(bucket), int(number)))
        return sorted(found)
