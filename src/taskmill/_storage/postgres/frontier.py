"""Where a line begins behind rows that are dead.

While a transaction stays open somewhere in the database, nothing that others delete is cleared away, and who reads the
line of a queue from its beginning passes all that was claimed since. So, once that is much, turns begin where the last
one found the line to begin, and at its true beginning as often as that is a fiftieth of the time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

# Dead rows that are passed: fewer than these are not worth it.
_MANY = 2_000
# Seconds for each of them until all are passed again, and at most.
_REST_EACH, _LONGEST_REST = 10e-6, 30.0


class Frontier:
    """What the turns of this process know of each lane; what comes in before that is seen with the next look at all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, int] = {}
        self._look_at_all = 0.0

    def since(self) -> str | None:
        """What a turn is to be given: for each lane, the instant that its line begins at; None for all of it."""
        if not self._since or self._clock() >= self._look_at_all:
            return None
        return json.dumps(self._since)

    def note(self, given: str | None, *, passed: int, since: dict[str, int]) -> None:
        """What the turn answered that was *given* that: how many dead rows it passed, and where the lines begin."""
        if given is None and passed < _MANY:
            self._since = {}
            return
        self._since = self._since | since
        if given is None:
            self._look_at_all = self._clock() + min(_LONGEST_REST, passed * _REST_EACH)
