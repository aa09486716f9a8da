"""The contract of `statistics`."""

from __future__ import annotations

from taskmill._core.instant import MINUTE
from taskmill._core.tally import KEPT_MINUTES, Tally
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock


class TestStatistics:
    def test_what_is_added_comes_to_what_was_there(self, storage: Storage) -> None:
        minute = storage.now() // MINUTE
        storage.statistics.add([Tally(minute, "a", "failed", 3, 2), Tally(minute, "a", "succeeded", 3, 1)])
        storage.statistics.add([Tally(minute, "a", "failed", 3, 5), Tally(minute, "a", "failed", 4, 1)])

        assert storage.statistics.series(since=minute) == [
            Tally(minute, "a", "failed", 3, 7),
            Tally(minute, "a", "failed", 4, 1),
            Tally(minute, "a", "succeeded", 3, 1),
        ]

    def test_it_is_told_from_a_minute_on_and_of_one_task_or_of_all(self, storage: Storage) -> None:
        now = storage.now() // MINUTE
        tallies = [Tally(now - ago, task, "succeeded", 1, 1) for ago in (2, 1, 0) for task in ("a", "b")]
        storage.statistics.add(tallies)

        assert storage.statistics.series(since=now - 1) == tallies[2:]
        assert storage.statistics.series(since=now - 9, task="b") == tallies[1::2]
        assert storage.statistics.series(since=now + 1) == []

    def test_after_a_day_it_is_forgotten(self, storage: Storage, clock: FakeClock) -> None:
        first = storage.now() // MINUTE
        storage.statistics.add([Tally(first, "a", "succeeded", 1, 1)])
        clock.travel(KEPT_MINUTES * 60)
        storage.statistics.add([Tally(first + 1, "a", "succeeded", 1, 1)])
        assert len(storage.statistics.series(since=0)) == 2

        clock.travel(60)
        storage.statistics.add([])

        assert [tally.minute for tally in storage.statistics.series(since=0)] == [first + 1]
