"""A mill in memory under a clock that stands still, and somebody who runs its jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskmill import Mill
from taskmill.testing import FakeClock
from tests.unit.little_worker import LittleWorker


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def mill(clock: FakeClock) -> Iterator[Mill]:
    mill = Mill("memory://", clock=clock)
    yield mill
    mill.close()


@pytest.fixture
def worker(mill: Mill) -> LittleWorker:
    return LittleWorker(mill)
