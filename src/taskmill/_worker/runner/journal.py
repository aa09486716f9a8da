"""Tells the worker what the job in this process says, a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from taskmill._app.notes import Notes
from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed
from taskmill._core.journal import Said

# With that of the worker, what is said is stored within a second.
_REST = 0.25


class RunnerJournal:
    """Its thread begins with the first job that says something: without such jobs there is none."""

    def __init__(self, tell: Callable[[Said], None]) -> None:
        self._tell = tell
        self._notes: Notes | None = None
        self._has_notes = threading.Event()
        self._thread: threading.Thread | None = None
        # What was taken is told before anybody can say that the attempt has ended.
        self._telling = threading.Lock()

    def open(self, claimed: Claimed) -> Notes:
        """The notes of the job that runs here, which says something for the first time."""
        with self._telling:
            if self._notes is None:
                self._notes = Notes(claimed, lambda: round(time.time() * SECOND))
                self._has_notes.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="taskmill-journal", daemon=True)
                self._thread.start()
            return self._notes

    def conclude(self) -> None:
        """Tell the rest: the attempt is over."""
        with self._telling:
            self._tell_news()
            self._notes = None
            self._has_notes.clear()

    def _keep(self) -> None:
        while self._has_notes.wait():
            time.sleep(_REST)
            with self._telling:
                self._tell_news()

    def _tell_news(self) -> None:
        if self._notes is not None and (said := self._notes.take()) is not None:
            self._tell(said)
