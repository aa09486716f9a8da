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
            url = "memory://"
        case "sqlite":
            url = f"sqlite:///{tmp_path}/jobs.db"
        case "postgres":
            url = request.getfixturevalue("empty_postgres")
        case _:
            url = f"{request.getfixturevalue('redis_url')}?name={new_job_id()}"
    mill = Mill(url)
    yield mill
    mill.close()


@pytest.fixture
def sqlite_mill(tmp_path: Path) -> Iterator[Mill]:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    yield mill
    mill.close()
