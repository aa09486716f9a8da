"""What the log says of a store in trouble: that it is, for how long, and that it is over; not each call that fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from taskmill._core.wording import counted, span
from taskmill.errors import StoreError

# So often is said that it goes on.
AGAIN = 60.0


class Outage:
    """Of one process, whose loops all meet the same trouble: it is over when each that failed has worked again.

    *meanwhile* says what becomes of that which is under way. Any thread may say anything here.
    """

    def __init__(
        self, logger: logging.Logger, meanwhile: Callable[[], str], clock: Callable[[], float] | None = None
    ) -> None:
        self._logger = logger
        self._meanwhile = meanwhile
        self._clock = clock or time.monotonic
        self._mutex = threading.Lock()
        self._failing: set[str] = set()
        self._since = self._told_at = 0.0
        self._waited = 0

    @property
    def is_on(self) -> bool:
        """Whether somebody waits for the store."""
        return bool(self._failing)

    def failed(self, who: str, error: StoreError) -> None:
        """The store refused *who*, which asks again."""
        now = self._clock()
        with self._mutex:
            is_first = not self._failing
            self._failing.add(who)
            if is_first:
                self._since, self._waited = now, 0
            elif now - self._told_at < AGAIN:
                return
            self._told_at = now
        if is_first:
            self._logger.warning("%s; it is tried again and again; %s", error, self._meanwhile())
        else:
            lasted = span(now - self._since)
            self._logger.warning("in trouble for %s: %s; %s", lasted, error, self._meanwhile())

    def worked(self, who: str, recorded: int = 0) -> None:
        """*who* got what it asked for, or asks no more; so many endings of attempts were *recorded* by that."""
        if who not in self._failing:
            return
        with self._mutex:
            self._failing.discard(who)
            self._waited += recorded
            if self._failing:
                return
            lasted, waited = span(self._clock() - self._since), self._waited
        recorded_now = f"; recorded now: {counted(waited, 'attempt')} that had ended" if waited else ""
        self._logger.warning("the store is back after %s%s", lasted, recorded_now)
