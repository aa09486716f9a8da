"""The one class for background loops: what is due is done, and how long to rest follows."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from taskmill._worker.outage import Outage
from taskmill.errors import StoreError, StoreRefused

logger = logging.getLogger("taskmill.worker")

_AFTER_ERROR = 1.0


class Tick(Protocol):
    """Something to be done again and again."""

    def tick(self) -> float:
        """Do it; return how many seconds to rest."""
        ...


class Service:
    """Runs ticks when they are due, one after the other; an error in one delays it and harms no other.

    What the store refuses is told by *outage*.
    """

    def __init__(self, ticks: Sequence[Tick], outage: Outage) -> None:
        self._outage = outage
        self._due = [(0.0, tick) for tick in ticks]
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def run_due(self) -> float:
        """Run what is due; return how many seconds until something is."""
        now = time.monotonic()
        if any(at <= now for at, _ in self._due):
            self._due = [(at if at > now else now + self._run(tick), tick) for at, tick in self._due]
        return max(0.0, min(at for at, _ in self._due) - now)

    def skip(self) -> None:
        """Nothing is asked of it for now: of what has failed, nothing waits for the store."""
        for _, tick in self._due:
            self._outage.worked(_name(tick))

    def start(self, name: str) -> None:
        """Run in a thread of its own until stopped."""
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for its end."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stopped.is_set():
            self._stopped.wait(self.run_due())

    def _run(self, tick: Tick) -> float:
        try:
            rest = tick.tick()
        except Exception as error:
            # What a store refuses it would refuse again, and for the others it is there.
            if isinstance(error, StoreError) and not isinstance(error, StoreRefused):
                self._outage.failed(_name(tick), error)
            else:
                logger.exception("%s failed; it is tried again", _name(tick))
        else:
            self._outage.worked(_name(tick))
            return rest
        # Spread, so that the workers that a trouble hit together do not come back together.
        return _AFTER_ERROR * random.uniform(0.5, 1.5)  # noqa: S311  (no secret)


def _name(tick: Tick) -> str:
    return type(tick).__name__
