"""Takes what the running jobs of a worker say to the store, twice a second and before their attempts end there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from taskmill._app.notes import Notes
from taskmill._core.job import Claimed
from taskmill._core.wording import counted
from taskmill._storage.base import JournalStore, Writing
from taskmill._worker.slot import JobKey
from taskmill.errors import StoreRefused

logger = logging.getLogger("taskmill.worker")

REST = 0.5


class Journal:
    """Of one session. Jobs that say nothing are not in it.

    Any thread opens notes; all else is done by the machine's. What the store did not take is written again, and until
    then nothing more is taken from the notes, which have their own bounds.
    """

    def __init__(self, store: JournalStore, session: int, now: Callable[[], int]) -> None:
        self._store = store
        self._session = session
        self._now = now
        self._open: dict[JobKey, Notes] = {}
        self._unwritten: list[Writing] = []

    def open(self, claimed: Claimed) -> Notes:
        """The notes of that claim, which are new if it says something for the first time."""
        return self._open.setdefault(_key_of(claimed), Notes(claimed, self._now))

    def tick(self) -> float:
        """Write what is new."""
        if self._open or self._unwritten:
            self._write(list(self._open.values()))
        return REST

    def conclude(self, claims: Iterable[Claimed]) -> None:
        """Write what is new of these, whose attempts are over and not yet settled; they say nothing more."""
        if not self._open and not self._unwritten:
            return
        keys = [key for key in map(_key_of, claims) if key in self._open]
        self._write([self._open[key] for key in keys])
        for key in keys:
            del self._open[key]

    def _write(self, notes: Iterable[Notes]) -> None:
        self._write_out()
        self._unwritten = [
            Writing(each.claimed, said.sheets, said.torn)
            for each in notes
            if (said := each.take()) is not None
        ]
        self._write_out()

    def _write_out(self) -> None:
        if not self._unwritten:
            return
        try:
            self._store.write(self._session, self._unwritten)
        except StoreRefused as error:
            # No reason to hold back how the jobs ended.
            logger.warning("what %s said cannot be stored: %s", counted(len(self._unwritten), "job"), error)
        self._unwritten = []


def _key_of(claimed: Claimed) -> JobKey:
    return JobKey(claimed.job_id, claimed.fence)
