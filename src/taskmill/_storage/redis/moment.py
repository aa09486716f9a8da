"""The server's clock, as it is known here without asking it each time."""

from __future__ import annotations

import time

from taskmill._core.instant import SECOND
from taskmill._storage.redis.link import Link

# Two clocks drift apart by some 50 us in a second at worst.
_GOOD_FOR = 30 * SECOND


class Moment:
    """Learns with each turn how far the server's clock is from this host's; asks when it has not heard it lately."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._offset = 0
        self._learnt_at = -_GOOD_FOR

    def learn(self, now: int) -> None:
        """The server has just said that it is *now*."""
        self._learnt_at = _monotonic()
        self._offset = now - self._learnt_at

    def now(self) -> int:
        """Too early by the way of a reply, well below a millisecond."""
        if _monotonic() - self._learnt_at > _GOOD_FOR:
            seconds, micros = self._link.ask("TIME", peeks=True)
            self.learn(int(seconds) * SECOND + int(micros))
        return _monotonic() + self._offset


def _monotonic() -> int:
    return time.monotonic_ns() // 1_000
