"""What is dear to make, kept: asked for often, made so seldom that a store can bear it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from taskmill.errors import StoreError

T = TypeVar("T")

# In seconds: what takes less is made whenever it is asked for; what takes more, for a twentieth of the time at most;
# and what takes longer than the second, behind the back of who asks.
_CHEAP = 0.03
_LONGEST_WAIT = 0.25
_SHARE = 20


class Kept(Generic[T]):
    """The latest of what *make* made; where that takes long, an older one while a new one is made.

    It is good for *rest* seconds, even if it is cheap.
    """

    def __init__(
        self, make: Callable[[], T], *, rest: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._rest = rest
        self._clock = clock
        self._mutex = threading.Lock()
        self._value: T | None = None
        self._took = 0.0
        self._made_at = 0.0
        self._maker: threading.Thread | None = None

    def get(self) -> T:
        """Made now, or a while ago; whatever making it raises, if there is none yet."""
        with self._mutex:
            if self._value is None or (self._is_old() and self._took < _LONGEST_WAIT):
                self._renew()
            elif self._is_old() and (self._maker is None or not self._maker.is_alive()):
                self._maker = threading.Thread(
                    target=self._renew_behind, name="taskmill-counting", daemon=True
                )
                self._maker.start()
            assert self._value is not None  # noqa: S101  (for type checkers: it was just made)
            return self._value

    def _is_old(self) -> bool:
        pause = 0 if self._took < _CHEAP else self._took * _SHARE
        return self._clock() - self._made_at >= max(pause, self._rest)

    def _renew(self) -> None:
        began_at = self._clock()
        self._value = self._make()
        self._made_at = self._clock()
        self._took = self._made_at - began_at

    def _renew_behind(self) -> None:
        # A store in trouble says so to who reads it; what was made before is still the best there is.
        with suppress(StoreError):
            self._renew()
