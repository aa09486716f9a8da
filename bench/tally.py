"""Counts jobs, and what they take."""

from __future__ import annotations

import threading
import time


class Tally:
    """Counts jobs, and what they take from the start of the first; no library must be held up by it."""

    def __init__(self, goal: int) -> None:
        self._goal = goal
        self._left = list(range(goal))
        self._began = self._ended = (0.0, 0.0)
        self.is_complete = threading.Event()

    def __call__(self, sent: float) -> float:
        # list.pop is atomic: no lock of ours is in the way.
        number = self._left.pop() if self._left else -1
        if number == self._goal - 1:
            self._began = _clocks()
        if number == 0:
            self.end()
            self.is_complete.set()
        return sent

    def end(self) -> None:
        """Up to now; if nobody says so, up to the start of the last job."""
        self._ended = _clocks()

    def numbers(self) -> dict[str, float]:
        """Jobs a second, and microseconds of CPU a job."""
        wall, cpu = (end - begin for begin, end in zip(self._began, self._ended, strict=True))
        return {"rate": self._goal / wall, "cpu": cpu / self._goal * 1e6}


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
