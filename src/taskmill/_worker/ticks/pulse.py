"""Lets the supervisor know that the loop of this process goes round: what does not come is what it notices."""

from __future__ import annotations

from collections.abc import Callable

from taskmill._worker.messages import Pulse

REST = 1.0


class Pulses:
    """*look* says what there is to say, and *say* says it."""

    def __init__(self, look: Callable[[], Pulse], say: Callable[[Pulse], None]) -> None:
        self._look = look
        self._say = say

    def tick(self) -> float:
        self._say(self._look())
        return REST
