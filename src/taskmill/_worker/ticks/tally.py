"""Counts the attempts that end, and now and then adds what was counted to the store: no turn is any longer for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from taskmill._core.instant import MINUTE
from taskmill._core.lifecycle import Settlement
from taskmill._core.tally import WAITED, Tally, bucket_of
from taskmill._storage.base import StatisticStore

REST = 5.0


class Tallies:
    """A worker that is killed takes what it has counted since the last time with it."""

    def __init__(self, store: StatisticStore) -> None:
        self._store = store
        self._counts: Counter[tuple[int, str, str, int]] = Counter()

    def note(self, settlements: Sequence[Settlement], now: int) -> None:
        """Count what has been recorded; *now* by the store's clock."""
        minute = now // MINUTE
        # By their places, not their names: this is done for every job.
        self._counts.update(
            [
                (minute, claimed[2], transition[1], 0 if started_at is None else bucket_of(now - started_at))
                for claimed, transition, started_at in settlements
            ]
        )
        self._counts.update(
            [
                (minute, claimed[2], WAITED, bucket_of(started_at - claimed[13]))
                for claimed, _, started_at in settlements
                if started_at is not None
            ]
        )

    def tick(self) -> float:
        """Add what was counted; if that fails it is tried again, with what is counted until then."""
        if self._counts:
            self._store.add([Tally(*place, count) for place, count in self._counts.items()])
            self._counts.clear()
        return REST
