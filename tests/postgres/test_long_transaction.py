"""Beside a transaction that stays open, what was claimed lies dead before what waits, and is not read each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from taskmill._core.instant import SECOND
from taskmill._storage.base import Storage
from taskmill._storage.open import open_storage
from taskmill._storage.postgres import frontier
from taskmill._storage.postgres.frontier import Frontier
from tests.conformance.builders import Worker, a_job, ids


class Clock:
    """Seconds, as they are told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestFrontier:
    def test_where_little_is_dead_all_is_looked_at(self, clock: Clock) -> None:
        known = Frontier(clock)

        known.note(None, passed=100, since={"1": 5})

        assert known.since() is None

    def test_where_much_is_dead_the_next_turns_begin_behind_it(self, clock: Clock) -> None:
        known = Frontier(clock)

        known.note(None, passed=100_000, since={"1": 5, "2": 7})
        known.note(known.since(), passed=1, since={"1": 6})

        assert json.loads(known.since() or "") == {"1": 6, "2": 7}

    def test_all_is_looked_at_again_the_later_the_more_that_is(self, clock: Clock) -> None:
        known = Frontier(clock)
        known.note(None, passed=200_000, since={"1": 5})

        clock.now = 1.9
        before = known.since()
        clock.now = 2.1
        after = known.since()

        assert (before, after) == ('{"1": 5}', None)

    def test_it_ends_when_the_dead_are_cleared_away(self, clock: Clock) -> None:
        known = Frontier(clock)
        known.note(None, passed=200_000, since={"1": 5})
        clock.now = 60

        known.note(known.since(), passed=0, since={"1": 5})

        assert known.since() is None


@pytest.fixture
def storage(empty_postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """A store beside a transaction that stays open, for which 20 dead rows are many."""
    monkeypatch.setattr(frontier, "_MANY", 20)
    monkeypatch.setattr(frontier, "_REST_EACH", 60.0)
    store = open_storage(empty_postgres)
    store.version()
    with psycopg.connect(empty_postgres) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from taskmill.job")
        yield store
    store.close()


def test_new_jobs_are_claimed_in_order_and_a_late_one_with_the_next_look_at_all(
    storage: Storage, empty_postgres: str
) -> None:
    worker = Worker(storage)
    storage.jobs.add([a_job(str(number)) for number in range(50)])
    claimed = ids(worker.claim(50))
    worker.claim(1)
    storage.jobs.add([a_job("late", run_at=storage.now() - 3600 * SECOND), a_job("x"), a_job("y")])

    new = ids(worker.claim(5))
    with closing(open_storage(empty_postgres)) as other:
        left = ids(Worker(other).claim(5))

    assert claimed == [str(number) for number in range(50)]
    assert new == ["x", "y"]
    assert left == ["late"]
