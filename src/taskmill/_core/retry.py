"""When a failed attempt is tried again."""

from __future__ import annotations

from typing import NamedTuple

from taskmill._core.instant import HOUR, SECOND


class RetryPolicy(NamedTuple):
    """Exponential back-off; durations in microseconds.

    After the n-th failed attempt the wait is ``delay * backoff**(n - 1)``, at most *longest* (or *delay*, where that
    is longer), stretched by a random part of up to *jitter* of itself, so that jobs which failed together do not
    come back together.
    """

    delay: int = 1 * SECOND
    backoff: float = 2.0
    jitter: float = 0.1
    longest: int = 1 * HOUR

    def wait(self, attempt: int, chance: float) -> int:
        """How long to wait after failed attempt number *attempt*; *chance* is a random number in [0, 1)."""
        try:
            grown = self.delay * self.backoff ** (attempt - 1)
        except OverflowError:
            grown = float(self.longest)
        return round(min(grown, max(self.longest, self.delay)) * (1 + self.jitter * chance))
