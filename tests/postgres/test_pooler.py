"""Through a pooler that gives each transaction another connection: all goes on, and only notifications stay away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from taskmill import Mill
from taskmill._storage.wake import PATIENCE
from tests import servers
from tests.conftest import without_server
from tests.worker.builders import DEADLINE, wait_for

# What lies between is the same for all servers.
pytestmark = pytest.mark.parametrize("postgres_url", ["system"], indirect=True)


@pytest.fixture
def pooled(empty_postgres: str) -> Iterator[str]:
    """The URL by way of PgBouncer in transaction mode."""
    parts = urlsplit(empty_postgres)
    try:
        with servers.pgbouncer(parts.port or 5432) as pooler:
            yield f"{pooler.url}{parts.path}"
    except servers.NoServerError as error:
        without_server(str(error))


def test_jobs_locks_and_pipelines_go_through_it(pooled: str) -> None:
    mill, counted = Mill(pooled), Counter[str]()

    @mill.task(name="double")
    def double(number: int) -> int:
        counted["double"] += 1
        return 2 * number

    @mill.task(name="locked", lock="one at a time")
    def locked(number: int) -> int:
        counted["locked"] += 1
        return number

    with mill.worker(threads=4), ThreadPoolExecutor(4) as pool:
        doubled = list(pool.map(double.enqueue, range(20)))
        in_turn = mill.enqueue_many(locked.s(number) for number in range(5))
        last = (double.s(1) | double.s() | double.s()).enqueue()
        with mill.lock("another"):
            assert [result.get(timeout=DEADLINE) for result in doubled] == [2 * n for n in range(20)]
        assert [result.get(timeout=DEADLINE) for result in in_turn] == list(range(5))
        assert last.get(timeout=DEADLINE) == 8
        patience = mill.app.storage.wake.patience

    assert counted == {"double": 23, "locked": 5}
    assert patience < PATIENCE
    assert mill.app.storage.health.verify() == []
    mill.close()


def test_notifications_come_by_a_way_around_it(pooled: str, empty_postgres: str) -> None:
    mill = Mill(f"{pooled}?listen=127.0.0.1:{urlsplit(empty_postgres).port}")

    with mill.worker(threads=1):
        wait_for(lambda: mill.app.storage.wake.patience == PATIENCE, "it hears itself")

    mill.close()
