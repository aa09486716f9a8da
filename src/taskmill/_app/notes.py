"""What a job says while it runs, until somebody takes it to the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed
from taskmill._core.journal import PROGRESS, Draft, Said, line_text, progress_text

_TRACEBACKS = logging.Formatter()


class Notes:
    """Those of one claim. Any thread may say something, which costs next to nothing; one takes what is new.

    *now* is asked when progress is taken; `scrub` takes secrets out of texts.
    """

    __slots__ = ("_draft", "_mutex", "_now", "_progress", "claimed", "scrub")

    def __init__(self, claimed: Claimed, now: Callable[[], int]) -> None:
        self.claimed = claimed
        self.scrub: Callable[[str], str] = str
        self._now = now
        self._progress: tuple[float, float | None, str] | None = None
        self._draft = Draft()
        # Collecting garbage, or a signal, can make a thread log in the middle of it.
        self._mutex = threading.RLock()

    def progress(self, done: float, total: float | None, text: str) -> None:
        """How far the job is; only the latest is ever stored."""
        self._progress = (done, total, text)

    def log(self, record: logging.LogRecord) -> None:
        """One log line more."""
        message = self.scrub(_message_of(record))
        line = line_text(round(record.created * SECOND), record.levelname, record.name, message)
        with self._mutex:
            self._draft.add(line)

    def relay(self, said: Said) -> None:
        """What was taken in another process, which runs the job."""
        with self._mutex:
            for sheet in said.sheets:
                self._draft.put(*sheet)
            for number in said.torn:
                self._draft.tear(number)

    def take(self) -> Said | None:
        """What is new since this was asked last."""
        progress, self._progress = self._progress, None
        with self._mutex:
            if progress is not None:
                done, total, text = progress
                self._draft.put(PROGRESS, progress_text(done, total, self.scrub(text), self._now()))
            return self._draft.take()


def _message_of(record: logging.LogRecord) -> str:
    """With its traceback. What cannot be written is the program's error, not the job's."""
    try:
        trace = f"\n{_TRACEBACKS.formatException(record.exc_info)}" if record.exc_info else ""
        return record.getMessage() + trace
    except Exception as error:  # noqa: BLE001  (from the code of whatever is logged)
        return _instead(record, error)


def _instead(record: logging.LogRecord, error: Exception) -> str:
    try:
        return f"{record.msg!r} with {record.args!r}: {error}"
    except Exception:  # noqa: BLE001  (as above)
        return (
            f"what {record.filename} logs in line {record.lineno} cannot be written: {type(error).__name__}"
        )
