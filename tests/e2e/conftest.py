"""A Mill over each store, with real clocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill import Mill


@pytest.fixture(params=["memory", "sqlite"])
def mill(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mill]:
    mill = Mill("memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db")
    yield mill
    mill.close()


@pytest.fixture
def sqlite_mill(tmp_path: Path) -> Iterator[Mill]:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    yield mill
    mill.close()
