"""The clocks that an embedded store keeps time by; injected, so that tests and the simulator can turn them."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what users gave as wall time; monotonic time for leases, which no clock step may touch."""

    def wall(self) -> int:
        """Microseconds since the epoch."""
        ...

    def monotonic(self) -> int:
        """Microseconds since some instant of this boot, the same for all processes of the host."""
        ...


class SystemClock:
    """The clocks of this host."""

    def wall(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1_000
