"""The usual turn is one statement, and gives way to the careful one where a job needs more."""

from __future__ import annotations

import pytest

from taskmill._core.instant import SECOND
from taskmill._core.job import NewJob
from taskmill._storage.sqlite import quick
from taskmill._storage.sqlite.lanes import Request, look
from taskmill._storage.sqlite.quick import QuickTurn
from taskmill._storage.sqlite.storage import SqliteStorage
from tests.conformance.builders import Worker, a_job, a_pipeline, ids, succeeded


def written(store: SqliteStorage) -> list[str]:
    """A list that fills with what is executed in order to write, from now on."""
    seen: list[str] = []
    store._database.write(lambda connection: connection.set_trace_callback(seen.append))
    seen.clear()
    return seen


def begins(statements: list[str]) -> int:
    return sum(statement == "begin immediate" for statement in statements)


def planned(store: SqliteStorage, worker: Worker, want: int = 10) -> QuickTurn:
    request = Request(worker.session, [], 1, {"thread": want}, None, ())
    seen = store._database.read(lambda connection: look(connection, request))
    plan = quick.plan(request, seen, store.now())
    assert plan is not None
    return plan


def test_settling_and_claiming_plain_jobs_opens_no_transaction(store: SqliteStorage) -> None:
    store.jobs.add([a_job() for _ in range(6)])
    worker = Worker(store)
    seen = written(store)

    claimed = worker.claim(3)
    for job in claimed:
        worker.settle(job, succeeded())

    assert begins(seen) == 0
    assert len(claimed) == 3


def test_a_turn_that_finds_nothing_writes_nothing(store: SqliteStorage) -> None:
    store.jobs.add([a_job(delay=SECOND)])
    worker = Worker(store)
    seen = written(store)

    assert worker.claim(3) == []

    assert seen == []


@pytest.mark.parametrize(
    "jobs",
    [
        [a_job("a", lock="L")],
        [a_job("a", priority=1), a_job("b")],
        [a_job("a", queue="one"), a_job("b", queue="two")],
        [a_job("a", expires_in=0)],
    ],
    ids=["a lock", "two priorities", "two queues", "an expiry"],
)
def test_what_needs_more_is_claimed_with_care(jobs: list[NewJob], store: SqliteStorage) -> None:
    store.jobs.add(jobs)
    worker = Worker(store)
    seen = written(store)

    worker.claim(3)

    assert begins(seen) == 1


def test_so_is_a_step_of_a_pipeline_settled(store: SqliteStorage) -> None:
    store.jobs.add(a_pipeline("first", "second"))
    worker = Worker(store)
    [first] = worker.claim(1)
    seen = written(store)

    worker.settle(first, succeeded())

    assert begins(seen) == 1
    assert ids(worker.claim(1)) == ["second"]


def test_a_job_with_a_lock_that_came_after_the_look_is_left_to_the_next_turn(store: SqliteStorage) -> None:
    store.jobs.add([a_job("plain")])
    worker = Worker(store)
    plan = planned(store, worker)
    store.jobs.add([a_job("locked", lock="L")])

    _, claimed = store._database.write_one(plan.take)

    assert ids(claimed) == ["plain"]
    assert store.limits.list() == []


def test_repeated_under_the_same_number_it_claims_nothing_more(store: SqliteStorage) -> None:
    store.jobs.add([a_job(name) for name in "abc"])
    plan = planned(store, Worker(store), want=2)

    answers = [store._database.write_one(plan.take) for _ in range(2)]

    assert [ids(claimed) for _, claimed in answers] == [["a", "b"], ["a", "b"]]
    assert [changed for changed, _ in answers] == [2, 0]
