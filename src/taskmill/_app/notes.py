"""What a job says while it runs, until somebody takes it to the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed
from taskmill._core.journal import PROGRESS, Log, Said, line_text, progress_text

if TYPE_CHECKING:
    from taskmill._app.context import Context
    from taskmill._app.scrubbing import Scrub

_TRACEBACKS = logging.Formatter()


class Notes:
    """Those of one claim. Any thread may say something, which costs next to nothing; one takes what is new.

    *now* is asked when progress is taken.
    """

    __slots__ = ("_log", "_mutex", "_now", "_progress", "_relayed", "_scrub", "_torn", "claimed")

    def __init__(self, claimed: Claimed, now: Callable[[], int]) -> None:
        self.claimed = claimed
        self._now = now
        self._progress: tuple[float, float | None, str] | None = None
        self._log = Log()
        self._scrub: Scrub | None = None
        self._relayed: dict[int, str] = {}
        self._torn: set[int] = set()
        # Collecting garbage, or a signal, can make a thread log in the middle of it.
        self._mutex = threading.RLock()

    def progress(self, done: float, total: float | None, text: str) -> None:
        """How far the job is; only the latest is ever stored."""
        self._progress = (done, total, text)

    def log(self, record: logging.LogRecord, context: Context) -> None:
        """One log line more, without the secrets of the job, which is that of *context*."""
        self._scrub = scrub = self._scrub or context.scrub
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001  (what does not fit its arguments is the program's error, not the job's)
            message = f"{record.msg!r} with {record.args!r}: {error}"
        if record.exc_info:
            message += "\n" + _TRACEBACKS.formatException(record.exc_info)
        line = line_text(round(record.created * SECOND), record.levelname, record.name, scrub(message))
        with self._mutex:
            self._log.add(line)

    def relay(self, said: Said) -> None:
        """What was taken in another process, which runs the job."""
        with self._mutex:
            self._relayed.update(said.sheets)
            self._torn.update(said.torn)
            for number in said.torn:
                self._relayed.pop(number, None)

    def take(self) -> Said | None:
        """What is new since this was asked last."""
        with self._mutex:
            sheets, torn = self._relayed, self._torn
            self._relayed, self._torn = {}, set()
            if (said := self._log.take()) is not None:
                sheets.update(said.sheets)
                torn.update(said.torn)
        progress, self._progress = self._progress, None
        if progress is not None:
            sheets[PROGRESS] = progress_text(*progress, self._now())
        return Said(tuple(sheets.items()), tuple(torn)) if sheets or torn else None
