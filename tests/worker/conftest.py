"""A Mill in memory, under a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from taskmill import Mill
from taskmill.testing import FakeClock
from tests.worker.builders import Stepper


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def mill(clock: FakeClock) -> Mill:
    return Mill("memory://", clock=clock)


@pytest.fixture
def stepper(mill: Mill) -> Iterator[Callable[..., Stepper]]:
    """Makes steppers; they are closed in the end."""
    with ExitStack() as stack:

        def make(**options: Any) -> Stepper:
            return stack.enter_context(Stepper(mill, **options))

        yield make
