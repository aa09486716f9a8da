"""What a job says of itself while it runs, its journal: how far it is and its log lines, on sheets that stores keep."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import NamedTuple

from taskmill._core.instant import to_datetime
from taskmill._core.remark import LogLine, Progress

PROGRESS = 0
"""The number of the sheet that says how far the job is."""

KEPT_CLAIMS = 10
"""Of so many claims of a job, the newest ones, the journal is kept."""

# The log of a claim: so many sheets of so many characters, of which the first ones stay, and then the newest.
SHEET = 8_000
SHEETS = 8
FIRST_SHEETS = 2

_LONGEST_NAME = 100
# What a character can become in JSON.
_WIDEST = 12


class Sheet(NamedTuple):
    """A piece of what was said under a claim; sheet 0 is its progress, others have the numbers of their first lines."""

    fence: int
    attempt: int
    number: int
    text: str


class Said(NamedTuple):
    """What is new in the journal of a claim: sheets that are new or have grown, and those that are no longer kept."""

    sheets: tuple[tuple[int, str], ...]
    torn: tuple[int, ...]


class Draft:
    """What is said under a claim, by sheets; where there are too many log lines, those in the middle go."""

    __slots__ = ("_changed", "_count", "_lines", "_numbers", "_size", "_told", "_torn")

    def __init__(self) -> None:
        self._count = 0
        self._numbers: list[int] = []
        self._lines: list[str] = []
        self._size = 0
        self._changed: dict[int, str | list[str]] = {}
        self._told: set[int] = set()
        self._torn: set[int] = set()

    def add(self, line: str) -> None:
        """The next log line, as `line_text` writes it."""
        if not self._numbers or self._size + len(line) >= SHEET:
            self._begin_sheet()
        self._lines.append(line)
        self._size += len(line) + 1
        self._count += 1
        self._changed[self._numbers[-1]] = self._lines

    def put(self, number: int, text: str) -> None:
        """A sheet as it is, in the place of what it was."""
        self._changed[number] = text

    def tear(self, number: int) -> None:
        """A sheet that is no longer kept."""
        self._changed.pop(number, None)
        if number in self._told:
            self._told.remove(number)
            self._torn.add(number)

    def take(self) -> Said | None:
        """What is new since this was asked last."""
        if not self._changed and not self._torn:
            return None
        said = Said(
            tuple(
                [
                    (number, text if isinstance(text, str) else "\n".join(text))
                    for number, text in self._changed.items()
                ]
            ),
            tuple(self._torn),
        )
        self._told.update(self._changed)
        self._changed, self._torn = {}, set()
        return said

    def _begin_sheet(self) -> None:
        self._numbers.append(self._count + 1)
        self._lines, self._size = [], 0
        if len(self._numbers) > SHEETS:
            self.tear(self._numbers.pop(FIRST_SHEETS))


# --- as text


def progress_text(done: float, total: float | None, text: str, said_at: int) -> str:
    return json.dumps([done, total, text, said_at])


def progress_of(text: str | None) -> Progress | None:
    """None also of a text that is damaged."""
    try:
        if text is None:
            return None
        done, total, what, said_at = json.loads(text)
        if not all(map(math.isfinite, (done,) if total is None else (done, total))):
            return None
        return Progress(done, total, str(what), to_datetime(said_at))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def line_text(at: int, level: str, logger: str, message: str) -> str:
    """One line of ASCII that fits on a sheet; of a message that is too long, the middle is left out."""
    begin = f"[{at},{quoted(level[:_LONGEST_NAME])},{quoted(logger[:_LONGEST_NAME])},"
    line = f"{begin}{quoted(message)}]"
    for longest in (SHEET // 2, SHEET // (2 * _WIDEST)):
        if len(line) >= SHEET:
            line = f"{begin}{quoted(_shortened(message, longest))}]"
    return line


def _shortened(message: str, longest: int) -> str:
    # Of a traceback, the end says most.
    first, last = longest // 4, longest - longest // 4
    left_out = len(message) - first - last
    if left_out <= 0:
        return message
    return f"{message[:first]} [... {left_out:,} characters left out ...] {message[-last:]}"


def lines_of(sheets: Iterable[Sheet], attempt: int | None = None) -> Iterator[LogLine]:
    """The log lines (of one attempt) in their order; of a sheet that is damaged, its text."""
    return (line for _, line in placed_lines(sheets, attempt))


def placed_lines(
    sheets: Iterable[Sheet], attempt: int | None = None
) -> Iterator[tuple[tuple[int, int], LogLine]]:
    """As `lines_of`, each with its place (fence and number), which stays the same and only grows from line to line."""
    fence, following = 0, 1
    for sheet in sheets:
        if sheet.number == PROGRESS or attempt not in (None, sheet.attempt):
            continue
        if sheet.fence != fence:
            fence, following = sheet.fence, 1
        lines = [_line_of(sheet, text) for text in sheet.text.split("\n")]
        if sheet.number > following:
            yield (fence, sheet.number - 1), _gap(sheet, lines[0].at, sheet.number - following)
        for number, line in enumerate(lines, sheet.number):
            yield (fence, number), line
        following = sheet.number + len(lines)


def _line_of(sheet: Sheet, text: str) -> LogLine:
    try:
        at, level, logger, message = json.loads(text)
        return LogLine(sheet.attempt, to_datetime(at), str(level), str(logger), str(message))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return LogLine(sheet.attempt, to_datetime(0), "ERROR", "damaged", text)


def _gap(sheet: Sheet, at: datetime, count: int) -> LogLine:
    return LogLine(sheet.attempt, at, "", "", f"[... {count:,} lines left out ...]")


def current_progress(sheets: Sequence[Sheet], fence: int) -> str | None:
    """The text of the progress that was said under that claim."""
    return next((sheet.text for sheet in sheets if sheet[:3:2] == (fence, PROGRESS)), None)
