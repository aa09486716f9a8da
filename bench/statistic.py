"""Numbers of samples."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

__all__ = ["median", "p99", "timed", "up_to"]


def p99(samples: Sequence[float]) -> float:
    """The smallest sample that 99 % of all do not exceed."""
    return sorted(samples)[math.ceil(len(samples) * 0.99) - 1]


def timed(call: Any, *arguments: Any) -> float:
    """How many milliseconds the call takes."""
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1000


def up_to(count: int, seconds: float) -> Iterator[None]:
    """Go round *count* times, or less often where that takes longer than so many seconds; at least once."""
    deadline = time.monotonic() + seconds
    for _ in range(count):
        yield
        if time.monotonic() > deadline:
            return
