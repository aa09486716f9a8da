"""What a change of the store looks like from this process: what it did itself, what it was notified of, and time.

No counter in the database: whoever changes anything would have to wait for everybody else who does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from taskmill._core.instant import SECOND
from taskmill._storage.clock import Clock

# More periods than pass while a process lives.
_PERIODS = 1 << 40


class Version:
    """See `Storage.version`; since what others do may not be heard of, also another one after each *patience*."""

    def __init__(self, clock: Clock, patience: Callable[[], float]) -> None:
        self._clock = clock
        self._patience = patience
        self._mutex = threading.Lock()
        self._changes = 0

    def now(self) -> int:
        return self._changes * _PERIODS + int(self._clock.monotonic() / (self._patience() * SECOND))

    def changed(self) -> None:
        """Something is not as it was."""
        with self._mutex:
            self._changes += 1

    def after(self, seen: int, *, has_changed: bool) -> int:
        """What *seen* became by one change, or none; if it is still that, nobody else changed anything."""
        if not has_changed:
            return seen
        self.changed()
        return seen + _PERIODS
