"""For tests of programs that use taskmill."""

from __future__ import annotations

from datetime import timedelta

from taskmill._core.instant import duration


class FakeClock:
    """A clock that stands still until told to move; give it to ``Mill("memory://", clock=FakeClock())``."""

    def __init__(self, start: int = 1_750_000_000_000_000) -> None:
        self._wall = start
        self._monotonic = 1_000_000_000

    def wall(self) -> int:
        """Microseconds since the epoch."""
        return self._wall

    def monotonic(self) -> int:
        """Microseconds since some instant."""
        return self._monotonic

    def travel(self, by: float | timedelta) -> None:
        """Let time pass."""
        self._wall += duration(by)
        self._monotonic += duration(by)

    def step_wall(self, by: timedelta) -> None:
        """Set the wall clock by hand, as NTP or an administrator does; no time passes."""
        self._wall += by // timedelta(microseconds=1)
