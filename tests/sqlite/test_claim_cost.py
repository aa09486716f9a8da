"""A claim reads what it claims, and not what lies around it: counted in steps of SQLite's virtual machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.storage import SqliteStorage
from tests.conformance.builders import Worker, a_job
from tests.sqlite.conftest import OpenStore

# Many jobs at once: as `add` would store them, but not one by one.
FILL = """
with recursive number (n) as (select 1 union all select n + 1 from number where n < :count)
insert into taskmill_job (
    job_id, state, queue, executor, priority, run_at, max_attempts, fence, task, enqueued_at, ended_at, kept_for, delay,
    result_ttl, lock, waits_for, step, args
)
select
    :name || n, :state, :queue, 'thread', :priority, :run_at + n, 1, 0, 'add', 0,
    iif(:state = 'succeeded', 1, null), iif(:state = 'succeeded', 1, null), 0, 1, :lock, :lock, 0, '[[],{}]'
from number
"""
FAR = 1 << 60


def fill(store: SqliteStorage, count: int, **columns: object) -> None:
    defaults = {"state": "queued", "queue": "default", "priority": 0, "run_at": 0, "lock": None}
    row = {**defaults, "name": str(columns), "count": count, **columns}
    store._database.write(lambda connection: connection.execute(FILL, row))


def steps(store: SqliteStorage, work: Callable[[], object]) -> int:
    """How many steps the writing connection takes for *work*."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    def watch(connection: Connection) -> None:
        connection.set_progress_handler(count, 1)

    store._database.write(watch)
    work()
    return taken


def claim_one(store: SqliteStorage, **neighbours: int) -> int:
    """The steps of claiming one due job beside so many others."""
    fill(store, neighbours.get("future", 1), priority=50, run_at=FAR)
    fill(store, neighbours.get("ended", 1), state="succeeded")
    fill(store, neighbours.get("behind", 1), priority=-50)
    fill(store, neighbours.get("elsewhere", 1), queue="other", priority=90)
    fill(store, neighbours.get("waiting", 1), priority=70, lock="L")
    store.jobs.add([a_job("due")])
    worker = Worker(store)
    claimed = []

    taken = steps(store, lambda: claimed.extend(worker.claim(1, queues=["default"])))

    assert [job.job_id for job in claimed] == ["due"]
    return taken


@pytest.fixture
def alone(open_store: OpenStore) -> int:
    return claim_one(open_store(durability="normal"))


def test_a_claim_does_not_read_the_future_jobs_of_a_higher_priority_nor_any_others(
    alone: int, open_store: OpenStore, path_elsewhere: str
) -> None:
    crowded = claim_one(
        open_store(path_elsewhere, durability="normal"),
        future=100_000,
        ended=50_000,
        behind=100_000,
        elsewhere=50_000,
    )

    assert crowded <= alone * 1.1
    assert crowded < 2_000


def test_a_claim_does_not_read_the_jobs_that_wait_for_a_lock(
    alone: int, open_store: OpenStore, path_elsewhere: str
) -> None:
    crowded = claim_one(open_store(path_elsewhere, durability="normal"), waiting=20_000)

    assert crowded <= alone * 1.1


@pytest.fixture
def path_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("crowded") / "jobs.db")


def test_a_turn_that_finds_nothing_due_reads_none_of_the_future_jobs(store: SqliteStorage) -> None:
    fill(store, 20_000, priority=50, run_at=FAR)
    worker = Worker(store)

    taken = steps(store, lambda: worker.claim(500))

    assert taken < 2_000


def test_claiming_all_costs_the_same_for_each(store: SqliteStorage) -> None:
    fill(store, 4_000)
    worker = Worker(store)

    first = steps(store, lambda: worker.claim(500))
    for _ in range(5):
        worker.claim(500)
    last = steps(store, lambda: worker.claim(500))

    assert last <= first * 1.1
