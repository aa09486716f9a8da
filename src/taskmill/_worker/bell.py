"""Wakes a thread that waits."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class Bell:
    """Unlike an Event, a queue has no lock that whoever is interrupted while it rings could leave behind.

    A signal handler may ring it, and a job that is stopped at that moment.
    """

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        if self._rings.empty():
            self._rings.put(None)

    def wait(self, seconds: float) -> None:
        """Return when it rings, or rang since it was cleared, or after so many seconds."""
        with suppress(Empty):
            self._rings.get(timeout=seconds)

    def clear(self) -> None:
        """Forget that it rang."""
        while not self._rings.empty():
            self._rings.get()
