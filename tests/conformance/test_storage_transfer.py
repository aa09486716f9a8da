"""What is taken from store to store: as it was, once, in one of them only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from taskmill._core.instant import HOUR, MINUTE, SECOND
from taskmill._core.job import ErrorInfo
from taskmill._core.record import Job
from taskmill._storage.base import Crate, Load, Storage
from taskmill._storage.memory.storage import MemoryStorage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    Worker,
    a_job,
    a_pipeline,
    failed,
    handed_on,
    job_of,
    retrying,
    succeeded,
)


@pytest.fixture
def other(clock: FakeClock) -> MemoryStorage:
    return MemoryStorage(clock)


def a_life(storage: Storage, clock: FakeClock) -> Worker:
    """Jobs of all kinds; what runs is "running"."""
    worker = Worker(storage)
    add = storage.jobs.add
    long = '[["' + "é" * 2_000 + '"],{}]'
    add([a_job("ok", args=long), a_job("bad"), a_job("again", max_attempts=3), a_job("elsewhere", task="t")])
    add(a_pipeline("p0", "p1", "p2", delay=7 * SECOND, headers='{"a": "b"}'))
    add(a_pipeline("r0", "r1", pipeline="r", priority=-1))
    endings = {
        "ok": succeeded('"' + "x" * 2_000 + '"'),
        "bad": failed(ErrorInfo("E", "é\n", "t")),
        "again": retrying(HOUR),
        "elsewhere": handed_on(),
        "p0": succeeded(),
    }
    clock.travel(7)
    for each in worker.claim(5):
        worker.settle(each, endings[each.job_id])
    add([a_job("late", delay=HOUR, expires_in=2 * HOUR, tags='["x", "y"]'), a_job("key", key="k")])
    add([a_job("cancelled"), a_job("high", priority=9, run_at=0), a_job("lock", lock="l", delay=HOUR)])
    storage.jobs.cancel("cancelled")
    return worker


def all_of(storage: Storage) -> list[Job]:
    jobs = []
    after = None
    while True:
        page = storage.transfer.read(after=after, limit=3)
        jobs += page.jobs
        after = page.more
        if after is None:
            return jobs


def moved(job: Job) -> Job:
    """As it is in another store."""
    return replace(job, session=None, waits_for=None, progress=None)


def crates(storage: Storage, target: str = "t", limit: int = 4) -> Iterator[Crate]:
    while (crate := storage.transfer.pack(target, limit=limit)) is not None:
        yield crate
        storage.transfer.forget(crate.crate_id)


class TestMoving:
    @pytest.mark.parametrize("way", ["out", "in"])
    def test_all_is_as_it_was(
        self, storage: Storage, other: MemoryStorage, clock: FakeClock, way: str
    ) -> None:
        source, target = (storage, other) if way == "out" else (other, storage)
        a_life(source, clock)
        before = {job.job_id: moved(job) for job in all_of(source)}
        for crate in crates(source):
            assert target.transfer.unpack(crate.crate_id, crate.load) == []
        assert all_of(source) == []
        assert {job.job_id: job for job in all_of(target)} == before
        assert source.health.verify() == target.health.verify() == []
        assert [each.queue for each in source.inspection.queues()] == []

    def test_it_goes_on_in_the_same_order(
        self, storage: Storage, other: MemoryStorage, clock: FakeClock
    ) -> None:
        a_life(other, clock)
        for crate in crates(other):
            storage.transfer.unpack(crate.crate_id, crate.load)
        worker = Worker(storage)
        clock.travel(7)
        first = worker.claim(10)
        assert [claimed.job_id for claimed in first] == ["high", "key", "p1", "r0"]
        [handed] = worker.turn(elsewhere=9, knows=["t"]).claimed
        assert handed.job_id == "elsewhere"
        clock.travel(3600)
        assert {claimed.job_id for claimed in worker.claim(10)} == {"again", "late", "lock"}
        for each in first:
            worker.settle(each, succeeded())
        clock.travel(7)
        assert {claimed.job_id for claimed in worker.claim(10)} == {"p2", "r1"}

    def test_a_crate_is_unpacked_once(self, storage: Storage, other: MemoryStorage) -> None:
        other.jobs.add([a_job("a", result_ttl=0)])
        crate = other.transfer.pack("t", limit=1)
        assert crate is not None
        assert storage.transfer.unpack(crate.crate_id, crate.load) == []
        worker = Worker(storage)
        [claimed] = worker.claim()
        worker.settle(claimed, succeeded())
        assert storage.transfer.unpack(crate.crate_id, crate.load) is None
        assert all_of(storage) == []

    def test_a_crate_stays_until_it_is_forgotten(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        first = storage.transfer.pack("one", limit=1)
        assert first is not None
        assert [job.job_id for job in first.load.jobs] == ["a"]
        assert storage.transfer.pack("two", limit=2) == first
        assert storage.inspection.job("a") is None
        storage.transfer.forget("another")
        assert storage.transfer.pack("two", limit=2) == first
        storage.transfer.forget(first.crate_id)
        second = storage.transfer.pack("two", limit=2)
        assert second is not None
        assert (second.target, [job.job_id for job in second.load.jobs]) == ("two", ["b"])

    def test_what_runs_stays_with_its_pipeline(self, storage: Storage) -> None:
        storage.jobs.add([a_job("runs"), *a_pipeline("p0", "p1", "p2")])
        worker = Worker(storage)
        runs, first = worker.claim()
        worker.settle(first, succeeded())
        [second] = worker.claim()
        running = [runs, second]
        storage.jobs.add([a_job("waits")])
        [crate] = crates(storage)
        assert [job.job_id for job in crate.load.jobs] == ["waits"]
        for each in running:
            assert worker.settle(each, succeeded()).stale == []
        assert sum(len(crate.load.jobs) for crate in crates(storage)) == 4

    def test_the_next_one_comes_to_a_lock(self, storage: Storage) -> None:
        worker = Worker(storage)
        storage.jobs.add([a_job(name, lock="l") for name in ("a", "b", "c")])
        [first] = worker.claim()
        storage.transfer.pack("t", limit=1)
        worker.settle(first, succeeded())
        assert job_of(storage, "c").waits_for is None
        assert storage.health.verify() == []

    def test_what_is_known_is_told(self, storage: Storage, other: MemoryStorage) -> None:
        storage.jobs.add([a_job("a", args="[[0],{}]"), a_job("mine", key="k")])
        other.jobs.add([a_job("a"), a_job("theirs", key="k"), a_job("new")])
        jobs = [moved(job) for job in all_of(other)]
        assert storage.transfer.unpack("c", Load(jobs)) == ["a", "theirs"]
        assert job_of(storage, "a").args == "[[0],{}]"
        assert {job.job_id for job in all_of(storage)} == {"a", "mine", "new"}

    def test_identity(self, storage: Storage, other: MemoryStorage) -> None:
        assert storage.transfer.identity() == storage.transfer.identity() != other.transfer.identity()


class TestSchedules:
    def test_they_go_on_where_they_were(
        self, storage: Storage, other: MemoryStorage, clock: FakeClock
    ) -> None:
        begun = other.schedules.register(name="s", task="t", spec="x")
        clock.travel(3600)
        other.schedules.fire("s", after=begun.last_slot, slot=clock.wall() - 5, fire=a_job("a"), skipped=2)
        [before] = other.schedules.list()
        storage.schedules.register(name="s", task="t", spec="x")
        [crate] = crates(other)
        storage.transfer.unpack(crate.crate_id, crate.load)
        assert other.schedules.list() == []
        assert storage.schedules.list() == [before]

    def test_one_that_fires_in_both_goes_on_behind_the_later(
        self, storage: Storage, other: MemoryStorage, clock: FakeClock
    ) -> None:
        for number, store in enumerate((other, storage)):
            begun = store.schedules.register(name="s", task="t", spec="x")
            clock.travel(3600)
            store.schedules.fire(
                "s", after=begun.last_slot, slot=clock.wall(), fire=a_job(str(number)), skipped=1
            )
        [mine] = storage.schedules.list()
        for crate in crates(other):
            storage.transfer.unpack(crate.crate_id, crate.load)
        assert storage.schedules.list() == [mine._replace(fired=2, skipped=2)]

    def test_one_that_is_paused_in_either_is_paused(
        self, storage: Storage, other: MemoryStorage, clock: FakeClock
    ) -> None:
        for store, name in (
            (other, "came"),
            (other, "fresh"),
            (other, "mine"),
            (storage, "came"),
            (storage, "mine"),
        ):
            store.schedules.register(name=name, task="t", spec="x")
        other.schedules.pause("came")
        other.schedules.pause("fresh")
        storage.schedules.pause("mine")
        clock.travel(60)
        for crate in crates(other):
            storage.transfer.unpack(crate.crate_id, crate.load)
        since = {state.name: state.paused_at for state in storage.schedules.list()}
        assert since == dict.fromkeys(["came", "fresh", "mine"], clock.wall() - MINUTE)

    def test_they_are_taken_out_of_each(self, storage: Storage, other: MemoryStorage) -> None:
        known = storage.schedules.register(name="s", task="t", spec="x")
        [crate] = crates(storage)
        assert crate.load == Load([], [known])
        assert storage.schedules.list() == []
