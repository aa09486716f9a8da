"""The contract of what people do to single jobs,: `delete` and `hasten`; and to queues: `pause` and `resume`."""

from __future__ import annotations

from taskmill._core.instant import HOUR, SECOND, to_datetime
from taskmill._core.job import State
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    Worker,
    a_job,
    a_pipeline,
    ids,
    job_of,
    retrying,
    run_at_of,
    states_of,
    succeeded,
)


class TestDelete:
    def test_waiting_and_ended_jobs_are_gone(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("ended"), a_job("waiting"), a_job("other")])
        worker.settle(worker.claim_one(), succeeded())

        assert storage.jobs.delete(["ended", "waiting", "nobody", "waiting"]) == 2
        assert list(states_of(storage)) == ["other"]

    def test_a_running_job_stays(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()

        assert storage.jobs.delete(["a"]) == 0
        assert states_of(storage) == {"a": State.RUNNING}

    def test_the_steps_behind_a_waiting_one_go_with_it(self, storage: Storage) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))

        assert storage.jobs.delete(["b"]) == 2
        assert list(states_of(storage)) == ["a"]

    def test_a_result_that_a_later_step_needs_stays(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        worker.settle(worker.claim_one(), succeeded())

        assert storage.jobs.delete(["a"]) == 0
        assert storage.jobs.delete(["b", "a"]) == 2

    def test_who_waits_for_the_same_lock_has_its_turn(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("first", lock="L"), a_job("second", lock="L"), a_job("third", lock="L")])
        held = worker.claim_one()
        worker.claim()
        worker.settle(held, succeeded())

        storage.jobs.delete(["second"])

        assert ids(worker.claim()) == ["third"]


class TestHasten:
    def test_a_job_that_is_to_run_later_runs_now(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", delay=HOUR)])
        clock.travel(1)

        assert storage.jobs.hasten("a")
        assert run_at_of(storage, "a") == storage.now()
        assert ids(worker.claim()) == ["a"]

    def test_so_does_one_that_waits_for_its_next_attempt(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        worker.settle(worker.claim_one(), retrying(HOUR))

        assert storage.jobs.hasten("a")
        assert worker.claim_one().attempt == 2
        assert len(job_of(storage, "a").attempts) == 1

    def test_it_stands_behind_those_that_were_due_before(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("later", delay=HOUR), a_job("due")])
        clock.travel(1)

        storage.jobs.hasten("later")

        assert ids(worker.claim()) == ["due", "later"]

    def test_what_is_due_or_not_queued_is_left_alone(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("runs"), *a_pipeline("due", "blocked"), a_job("ended", priority=9)])
        worker.settle(worker.claim_one(), succeeded())
        worker.claim_one()
        clock.travel(1)
        before = states_of(storage)
        version = storage.version()

        assert not any(
            storage.jobs.hasten(job_id) for job_id in ["runs", "due", "blocked", "ended", "nobody"]
        )
        assert states_of(storage) == before
        assert storage.version() == version
        assert run_at_of(storage, "due") == storage.now() - SECOND

    def test_who_waits_for_jobs_is_woken(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", delay=HOUR)])
        assert worker.turn(thread=1).next_at == storage.now() + HOUR

        storage.jobs.hasten("a")

        assert worker.turn(thread=0).next_at is None
        assert ids(worker.claim()) == ["a"]


class TestPause:
    def test_nothing_of_a_paused_queue_is_claimed(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", queue="x", priority=50), a_job("b"), a_job("c", queue="x", lock="L")])

        assert storage.jobs.pause("x")

        assert ids(worker.claim()) == ["b"]
        assert ids(worker.claim(queues=["x"])) == []
        assert states_of(storage) == {"a": State.QUEUED, "b": State.RUNNING, "c": State.QUEUED}

    def test_it_goes_on_when_it_is_resumed(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", queue="x")])
        storage.jobs.pause("x")

        assert storage.jobs.resume("x")

        assert ids(worker.claim(queues=["x"])) == ["a"]

    def test_nobody_waits_for_what_is_paused(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", queue="x"), a_job("b", delay=HOUR), a_job("c", queue="x", delay=SECOND)])
        storage.jobs.pause("x")

        assert worker.turn(thread=1).next_at == storage.now() + HOUR
        storage.jobs.resume("x")
        assert worker.turn(thread=0, asyncio=1).next_at is None
        assert worker.turn(thread=1).next_at == storage.now() + SECOND

    def test_a_suspect_is_held_back_too(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", queue="x")])
        worker.start(worker.claim_one())
        worker.crash(alone=False)
        storage.jobs.pause("x")

        assert not storage.inspection.has_suspects(None)
        assert not storage.inspection.has_suspects(["x"])
        assert ids(Worker(storage).turn(alone=1).claimed) == []
        storage.jobs.resume("x")
        assert storage.inspection.has_suspects(["x"])

    def test_what_runs_goes_on_and_what_waits_expires(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("runs", queue="x", priority=9), a_job("expires", queue="x", expires_in=HOUR)])
        running = worker.claim_one()
        storage.jobs.pause("x")

        assert worker.settle(running, succeeded()).stale == []
        clock.travel(3600)
        worker.turn()
        assert states_of(storage) == {"runs": State.SUCCEEDED, "expires": State.CANCELLED}

    def test_it_is_said_once_and_told_since_when(self, storage: Storage, clock: FakeClock) -> None:
        since = to_datetime(storage.now())
        assert [storage.jobs.pause("x"), storage.jobs.pause("y")] == [True, True]
        clock.travel(1)
        version = storage.version()

        assert not storage.jobs.pause("x")

        assert storage.inspection.paused() == {"x": since, "y": since}
        assert storage.version() == version
        assert storage.jobs.resume("y")
        assert not storage.jobs.resume("y")
        assert list(storage.inspection.paused()) == ["x"]
