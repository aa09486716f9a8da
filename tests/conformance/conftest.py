"""Every store, under a clock that stands still: a new adapter is one more parameter here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill._core.identity import new_job_id
from taskmill._storage.base import Storage
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._storage.open import open_storage
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "storage" in metafunc.fixturenames:
        # Valkey carries out the same scripts; the state machine is always run over it.
        more = ["valkey"] if metafunc.config.getoption("--long") else []
        metafunc.parametrize("storage", ["memory", "sqlite", "postgres", "redis", *more], indirect=True)


@pytest.fixture
def storage(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Storage]:
    store: Storage
    match request.param:
        case "memory":
            store = MemoryStorage(clock)
        case "sqlite":
            store = SqliteStorage(tmp_path / "jobs.db", durability="normal", clock=clock)
        case "postgres":
            store = open_storage(request.getfixturevalue("empty_postgres"), clock=clock)
        case kind:
            url = request.getfixturevalue(f"{kind}_url")
            store = open_storage(f"{url}?name={new_job_id()}", clock=clock)
    yield store
    store.close()


@pytest.fixture
def worker(storage: Storage) -> Worker:
    return Worker(storage)
