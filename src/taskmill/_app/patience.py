"""How those who wait for another process look again: it cannot wake them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

_SHORTEST = 0.002
_LONGEST = 0.05


def pauses(timeout: float | None, longest: float = _LONGEST) -> Iterator[float]:
    """How long to wait before each further look, in seconds, until *timeout* is over (None: without end)."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    pause = _SHORTEST
    while (rest := deadline - time.monotonic()) > 0:
        yield min(pause, rest)
        pause = min(2 * pause, longest)
