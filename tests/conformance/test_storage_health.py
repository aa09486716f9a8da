"""The contract of `health`: what is counted, and the rules that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskmill._core.census import HeldLock, KnownSchedule, OpenCrate, Serves, Waiting
from taskmill._core.instant import DAY, HOUR, MINUTE, SECOND
from taskmill._core.job import FAILED_TTL
from taskmill._storage.base import Storage
from taskmill._storage.memory.storage import MemoryStorage
from taskmill.errors import BackupFailed
from taskmill.testing import FakeClock
from tests.conformance.builders import LEASE, Worker, a_job, a_pipeline, failed, retrying, succeeded


class TestCensus:
    def test_an_empty_store(self, storage: Storage, worker: Worker) -> None:
        census = storage.health.census()

        assert census.now == storage.now()
        assert (census.newest, census.ended, census.outlived, census.outlived_at) == (0, 0, 0, None)
        assert (census.attempts, census.payload) == (0, 0)
        assert [*census.waiting, *census.locks, *census.schedules] == []

    def test_what_waits_by_queue_executor_and_task(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        begun = clock.wall()
        storage.jobs.add([a_job(), a_job(delay=HOUR), a_job(task="mail", queue="mail", executor="asyncio")])
        clock.travel(60)
        storage.jobs.add([a_job(), a_job(task="later", delay=HOUR), a_job(expires_in=SECOND)])
        clock.travel(2)

        assert list(storage.health.census().waiting) == [
            Waiting("default", "thread", "add", 4, 2, begun),
            Waiting("default", "thread", "later", 1, 0, None),
            Waiting("mail", "asyncio", "mail", 1, 1, begun),
        ]

    def test_who_waits_for_a_lock_is_not_due(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L"), a_job("c", lock="L")])
        assert len(worker.claim()) == 1

        census = storage.health.census()

        [waiting] = census.waiting
        assert (waiting.queued, waiting.due) == (2, 0)
        assert list(census.locks) == [HeldLock("L", worker.session, "a", storage.now(), 2)]

    def test_a_suspect_waits_for_its_own_executor(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(executor="asyncio")])
        worker.start(worker.claim_one())
        worker.crash(alone=False)

        [waiting] = storage.health.census().waiting

        assert (waiting.executor, waiting.due) == ("asyncio", 1)

    def test_sessions_and_what_they_serve(self, storage: Storage) -> None:
        serves = Serves(["mail", "default"], ["thread"], ["shop.mail", "add"])
        storage.sessions.open(kind="client", lease=LEASE)
        storage.sessions.open(kind="worker", lease=LEASE, serves=serves)
        storage.sessions.open(kind="worker", lease=LEASE, serves=Serves(None, ["asyncio"], []))

        client, some, every = storage.health.census().sessions

        assert (client.kind, client.serves, client.life) == ("client", None, "alive")
        assert some.serves is not None
        assert [set(names or ()) for names in some.serves] == [set(names or ()) for names in serves]
        assert every.serves is not None
        assert (every.serves.queues, list(every.serves.executors)) == (None, ["asyncio"])

    def test_what_a_session_holds(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(), a_job(lock="L"), a_job()])
        worker.claim(2)
        storage.limits.acquire("M", worker.session)

        [presence] = storage.health.census().sessions

        # The lock of a job is not counted beside it.
        assert presence.held == 3

    def test_one_whose_lease_has_run_out_is_silent(self, storage: Storage, clock: FakeClock) -> None:
        session = storage.sessions.open(kind="worker", lease=SECOND)
        clock.travel(2)

        [silent] = storage.health.census().sessions
        storage.sessions.renew(session)
        [alive] = storage.health.census().sessions

        assert (silent.life, alive.life) == ("silent", "alive")

    def test_a_lock_outside_of_jobs(self, storage: Storage, worker: Worker) -> None:
        storage.limits.acquire("L", worker.session)

        assert list(storage.health.census().locks) == [HeldLock("L", worker.session, None, storage.now(), 0)]

    def test_schedules(self, storage: Storage) -> None:
        storage.schedules.register(name="tick", task="add", spec="every 60s")

        assert list(storage.health.census().schedules) == [
            KnownSchedule("tick", "add", "every 60s", storage.now())
        ]
        storage.schedules.pause("tick")
        assert [schedule.paused_at for schedule in storage.health.census().schedules] == [storage.now()]

    def test_paused_queues(self, storage: Storage) -> None:
        storage.jobs.pause("b")
        storage.jobs.pause("a")

        assert storage.health.census().paused == {"a": storage.now(), "b": storage.now()}

    def test_what_has_ended_and_what_should_be_gone(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job(result_ttl=MINUTE), a_job(result_ttl=DAY), a_job(result_ttl=MINUTE)])
        first, second, third = worker.claim()
        for claimed in (first, second):
            worker.settle(claimed, succeeded())
        worker.settle(third, failed())
        ended_at = clock.wall()

        clock.travel(59)
        assert storage.health.census().outlived == 0
        clock.travel(2)

        census = storage.health.census()
        assert (census.ended, census.outlived, census.outlived_at) == (3, 1, ended_at + MINUTE)
        clock.travel(FAILED_TTL / SECOND)
        assert storage.health.census().outlived == 3

    def test_the_newest_instant_is_not_that_of_the_clock(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job()])
        clock.travel(60)
        worker.settle(worker.claim_one(), succeeded())
        ended_at = clock.wall()
        clock.travel(60)

        assert storage.health.census().newest == ended_at

    def test_history_and_payload(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(args="[[1],{}]", max_attempts=2), a_job(args='["' + "x" * 5_000 + '"]')])
        first, second = worker.claim()
        worker.settle(first, retrying())
        worker.settle(second, succeeded('"' + "y" * 5_000 + '"'))

        census = storage.health.census()

        assert (census.attempts, census.payload) == (1, 8 + 5_004 + 5_002)

    def test_what_a_move_has_taken_out(self, storage: Storage, worker: Worker) -> None:
        assert storage.health.census().crate is None
        storage.jobs.add([a_job(), a_job(), *a_pipeline("a", "b")])
        crate = storage.transfer.pack("elsewhere", limit=2)
        assert crate is not None

        assert storage.health.census().crate == OpenCrate(crate.crate_id, 2)
        storage.transfer.forget(crate.crate_id)
        assert storage.health.census().crate is None


class TestVerify:
    def test_a_store_in_use_breaks_no_rule(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([*a_pipeline("a", "b", "c"), a_job(lock="L"), a_job(lock="L"), a_job(lock="L")])
        storage.limits.acquire("M", worker.session)
        for claimed in worker.claim():
            worker.settle(claimed, succeeded('"x"'))
        worker.claim()

        assert list(storage.health.verify()) == []


class TestBackup:
    def test_what_lives_in_this_process_cannot_be_backed_up(self, tmp_path: Path, clock: FakeClock) -> None:
        with pytest.raises(BackupFailed, match="only a store in a file can be backed up"):
            MemoryStorage(clock).health.backup(tmp_path / "copy.db", replace=False)
