"""What a process counts for those who watch it, by task and queue: what it tells of its jobs to Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from taskmill._core.event import EventKind
from taskmill._core.instant import SECOND
from taskmill._core.lifecycle import Settlement

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300)
"""The steps of a histogram, by what they end with, in seconds; one more is for what took longer."""

_ENDS = tuple(round(bound * SECOND) for bound in BOUNDS)


class Count(NamedTuple):
    """What was counted of the jobs of a task in a queue, to be told to another process.

    *runs* and *waits*: how many took so long, by the steps of `BOUNDS`; the times are theirs in all, in microseconds.
    """

    task: str
    queue: str
    events: tuple[tuple[EventKind, int], ...]
    runs: tuple[int, ...]
    run_time: int
    waits: tuple[int, ...]
    wait_time: int


class Meter:
    """Any thread may count, and any take what was counted."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def happened(self, event: EventKind, jobs: Iterable[tuple[str, str]]) -> None:
        """That happened to jobs, which are given by task and queue."""
        with self._mutex:
            for kind in jobs:
                events = self._kind(kind).events
                events[event] = events.get(event, 0) + 1

    def ended(self, settlements: Sequence[Settlement], now: int) -> None:
        """That attempts ended has just been recorded; *now* by the store's clock."""
        with self._mutex:
            # By places, not names, and without calls: this is done for every job. Most of a turn are of one kind.
            names, kind = None, _Kind()
            for claimed, transition, started_at in settlements:
                if (own := claimed[2:4]) != names:
                    names, kind = own, self._kind(own)
                event = transition[1]
                kind.events[event] = kind.events.get(event, 0) + 1
                if started_at is not None:
                    # A clock that was set back must not take from the sums.
                    run = now - started_at if now > started_at else 0
                    wait = started_at - claimed[13] if started_at > claimed[13] else 0
                    kind.runs[bisect_left(_ENDS, run)] += 1
                    kind.run_time += run
                    kind.waits[bisect_left(_ENDS, wait)] += 1
                    kind.wait_time += wait

    def add(self, counts: Iterable[Count]) -> None:
        """What another process has counted."""
        with self._mutex:
            for count in counts:
                self._kind((count.task, count.queue)).add(count)

    def counts(self) -> tuple[Count, ...]:
        """All that was counted."""
        with self._mutex:
            return tuple(kind.count(*names) for names, kind in self._kinds.items())

    def take(self) -> tuple[Count, ...]:
        """All that was counted since it was last taken."""
        with self._mutex:
            taken, self._kinds = self._kinds, {}
        return tuple(kind.count(*names) for names, kind in taken.items())

    def _kind(self, names: tuple[str, str]) -> _Kind:
        try:
            return self._kinds[names]
        except KeyError:
            return self._kinds.setdefault(names, _Kind())


class _Kind:
    __slots__ = ("events", "run_time", "runs", "wait_time", "waits")

    def __init__(self) -> None:
        self.events: dict[EventKind, int] = {}
        self.runs = [0] * (len(BOUNDS) + 1)
        self.waits = [0] * (len(BOUNDS) + 1)
        self.run_time = self.wait_time = 0

    def add(self, count: Count) -> None:
        for event, number in count.events:
            self.events[event] = self.events.get(event, 0) + number
        self.runs = [a + b for a, b in zip(self.runs, count.runs, strict=True)]
        self.waits = [a + b for a, b in zip(self.waits, count.waits, strict=True)]
        self.run_time += count.run_time
        self.wait_time += count.wait_time

    def count(self, task: str, queue: str) -> Count:
        events = tuple(self.events.items())
        return Count(task, queue, events, tuple(self.runs), self.run_time, tuple(self.waits), self.wait_time)
