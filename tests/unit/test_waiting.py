"""Why a job waits, from real stores: each cause once, by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from taskmill._core.census import Life, Serves
from taskmill._core.instant import HOUR
from taskmill._core.lifecycle import Settlement
from taskmill._core.waiting import Cause, causes
from taskmill._storage.memory.storage import MemoryStorage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    Worker,
    a_job,
    a_pipeline,
    handed_on,
    job_of,
    retrying,
    snoozed,
    succeeded,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storage(clock: FakeClock) -> MemoryStorage:
    return MemoryStorage(clock)


@pytest.fixture
def worker(storage: MemoryStorage) -> Worker:
    return Worker(storage)


def serve(storage: MemoryStorage, **said: Sequence[str] | None) -> None:
    serves = {"queues": None, "executors": ["thread"], "tasks": ["add"]} | said
    storage.sessions.open(kind="worker", lease=HOUR, serves=Serves(**serves))


def why(storage: MemoryStorage, job_id: str = "a") -> Sequence[Cause]:
    job = job_of(storage, job_id)
    steps = storage.inspection.steps(job.pipeline) if job.pipeline else ()
    before = next((step for step in steps if step.step == job.step - 1), None)
    return causes(job, storage.health.census(), before=before, paused=storage.inspection.paused())


def names(storage: MemoryStorage, job_id: str = "a") -> list[str]:
    return [cause.name for cause in why(storage, job_id)]


def test_nobody_is_there_to_run_it(storage: MemoryStorage) -> None:
    storage.jobs.add([a_job("a")])

    assert why(storage) == [Cause("no-worker", "no worker is alive")]


def test_who_stops_takes_it_no_more(storage: MemoryStorage) -> None:
    serve(storage)
    storage.jobs.add([a_job("a")])
    for state in storage.inspection.sessions():
        storage.sessions.ask_to_stop(state.session)

    assert why(storage) == [Cause("no-worker", "the workers that live are all stopping")]


def test_others_come_first(storage: MemoryStorage, clock: FakeClock) -> None:
    serve(storage)
    storage.jobs.add([a_job("a", priority=-3), a_job(), a_job(queue="x")])
    clock.travel(90)

    assert why(storage) == [
        Cause(
            "line",
            "it is due for 2 min and its turn comes: 2 other jobs are due for the 1 worker process that takes it, "
            "by priority (its own is -3), then by time",
        )
    ]


@pytest.mark.parametrize(
    "said, name",
    [
        ({"queues": ["x"]}, "unserved-queue"),
        ({"executors": ["asyncio"]}, "unserved-executor"),
        ({"tasks": ["sub"]}, "unknown-task"),
    ],
)
def test_no_worker_takes_such_a_job(storage: MemoryStorage, said: dict[str, list[str]], name: str) -> None:
    serve(storage, **said)
    storage.jobs.add([a_job("a")])

    assert names(storage) == [name]


def test_its_time_has_not_come(storage: MemoryStorage, worker: Worker) -> None:
    serve(storage)
    storage.jobs.add([a_job("a", delay=HOUR), a_job("b", max_attempts=3), a_job("c")])
    worker.settle(worker.claim_one(), retrying(HOUR))
    worker.settle(worker.claim_one(), snoozed(HOUR))

    assert why(storage) == [Cause("delay", "it was enqueued for later and is due in 1 h")]
    assert why(storage, "b") == [Cause("retry", "attempt 1 of 3 failed; the next one is in 1 h")]
    assert why(storage, "c") == [Cause("snooze", "it was put off and is due again in 1 h")]


def test_somebody_has_its_lock(storage: MemoryStorage, worker: Worker, clock: FakeClock) -> None:
    serve(storage)
    storage.jobs.add([a_job("first", lock="L"), a_job("a", lock="L")])
    worker.claim()
    clock.travel(20)

    assert why(storage) == [
        Cause("lock", "the lock 'L' is held by a job for 20 s; 1 job waits for it", "first")
    ]


def test_a_program_has_its_lock(storage: MemoryStorage, worker: Worker) -> None:
    serve(storage)
    storage.limits.acquire("L", worker.session)
    storage.jobs.add([a_job("a", lock="L")])
    worker.claim()

    [cause] = why(storage)

    assert (cause.name, cause.job_id) == ("lock", None)
    assert f"held by session {worker.session}" in cause.told


def test_its_queue_is_paused(storage: MemoryStorage, clock: FakeClock) -> None:
    serve(storage)
    storage.jobs.add([a_job("a")])
    storage.jobs.pause("default")
    clock.travel(600)

    assert why(storage) == [Cause("paused", "its queue 'default' has been paused for 10 min")]


def test_it_is_suspected(storage: MemoryStorage, worker: Worker) -> None:
    serve(storage)
    storage.jobs.add([a_job("a")])
    worker.start(worker.claim_one())
    worker.crash(alone=False)

    assert names(storage) == ["suspect"]


def test_it_was_handed_on(storage: MemoryStorage, worker: Worker) -> None:
    serve(storage)
    storage.jobs.add([a_job("a")])
    worker.turn(Settlement(worker.claim_one(), handed_on()))

    assert names(storage) == ["handed-on"]


def test_it_expires(storage: MemoryStorage) -> None:
    serve(storage)
    storage.jobs.add([a_job("a", delay=HOUR, expires_in=2 * HOUR)])

    assert names(storage) == ["delay", "expires"]


def test_the_step_before_it_has_not_succeeded(storage: MemoryStorage, worker: Worker) -> None:
    storage.jobs.add(a_pipeline("first", "a"))

    assert why(storage) == [Cause("step", "it is step 2 of a pipeline; step 1, add, is queued", "first")]
    worker.claim()
    assert "step 1, add, runs" in why(storage)[0].told


@pytest.mark.parametrize(
    "life, is_served, told",
    [
        ("silent", True, "has given no sign of life for longer than its lease"),
        ("gone", True, "is gone; a living worker takes it back at once"),
        ("gone", False, "is gone; the next worker that starts takes it back"),
    ],
)
def test_the_process_that_ran_it_is_gone(
    life: Life, is_served: bool, told: str, storage: MemoryStorage, worker: Worker
) -> None:
    storage.jobs.add([a_job("a")])
    worker.claim()
    if is_served:
        serve(storage)
    census = storage.health.census()
    left = [each._replace(life=life) if each.session == worker.session else each for each in census.sessions]

    [cause] = causes(job_of(storage, "a"), replace(census, sessions=left))

    assert cause.name == ("silent-worker" if life == "silent" else "dead-worker")
    assert cause.told.endswith(f", which ran it, {told}")


def test_what_runs_or_has_ended_waits_for_nothing(storage: MemoryStorage, worker: Worker) -> None:
    storage.jobs.add([a_job("a")])
    claimed = worker.claim_one()
    assert why(storage) == []

    worker.settle(claimed, succeeded())
    assert why(storage) == []
