"""A Mill over each store, with real clocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill import Mill
from taskmill._core.identity import new_job_id


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def mill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mill]:
    match request.param:
        case "memory":
            mill = Mill("memory://")
        case "sqlite":
            mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
        case "postgres":
            mill = Mill(request.getfixturevalue("empty_postgres"))
        case _:
            mill = Mill(f"{request.getfixturevalue('redis_url')}?name={new_job_id()}")
    yield mill
    mill.close()


@pytest.fixture
def sqlite_mill(tmp_path: Path) -> Iterator[Mill]:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    yield mill
    mill.close()
