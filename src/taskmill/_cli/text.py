"""Text for a terminal: nothing from a store may steer it, and columns stay columns."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from taskmill._core.wording import clean
from taskmill.errors import TaskmillError

_GAP = "  "
_CUT = "..."
_NARROWEST = 8


class Column(NamedTuple):
    """How a column of a table gives way on a narrow terminal: it may be cut in front (*shrinks*), or left out.

    What is *optional* is left out first, the last such column before the others.
    """

    title: str
    to_right: bool = False
    shrinks: bool = False
    optional: bool = False


def complain(message: str) -> None:
    """Tell of an error: one sentence on standard error."""
    print(f"taskmill: error: {clean(message)}", file=sys.stderr)


class OutputLost(TaskmillError):
    """Standard output takes no more; the OSError that says why is its cause."""


def put(*lines: str) -> None:
    """Write lines to standard output, and all that was written before."""
    if sys.stdout is None:
        return
    try:
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
    except OSError as error:
        raise OutputLost(f"the output cannot be written: {error.strerror}") from error


def shortened(text: str, longest: int) -> str:
    """*text*, or its beginning and how much is missing."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}{_CUT} ({len(text) - longest:,} more characters, all of them with --json)"


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], limit: int | None = None) -> list[str]:
    """Aligned lines with a head, at most *limit* wide where the columns can be made so."""
    cells = [[clean(str(cell)) for cell in row] for row in rows]
    widths = [
        max([_width(column.title), *(_width(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    if limit is not None:
        shown = _fitting(columns, widths, limit)
        _shrink([index for index in shown if columns[index].shrinks], shown, widths, limit)
    lines = [[column.title for column in columns], *cells]
    return [_line(columns, widths, shown, line) for line in lines]


def terminal_width() -> int | None:
    """How wide standard output is; None where it is no terminal, so that nothing is cut for another program."""
    try:
        return int(os.environ["COLUMNS"]) or None
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (AttributeError, OSError, ValueError):
        return None


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fitting(columns: Sequence[Column], widths: Sequence[int], limit: int) -> list[int]:
    shown = list(range(len(columns)))
    for index in reversed(range(len(columns))):
        least = [min(widths[each], _NARROWEST) if columns[each].shrinks else widths[each] for each in shown]
        if _total(least) <= limit:
            break
        if columns[index].optional:
            shown.remove(index)
    return shown


def _shrink(flexible: Sequence[int], shown: Sequence[int], widths: list[int], limit: int) -> None:
    while _total([widths[index] for index in shown]) > limit:
        widest = max(flexible, key=lambda index: widths[index], default=None)
        if widest is None or widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _line(columns: Sequence[Column], widths: Sequence[int], shown: Sequence[int], line: Sequence[str]) -> str:
    return _GAP.join(_cell(line[index], widths[index], columns[index]) for index in shown).rstrip()


def _cell(text: str, width: int, column: Column) -> str:
    if _width(text) > width:
        text = _end(text, width)
    padding = " " * (width - _width(text))
    return padding + text if column.to_right else text + padding


def _end(text: str, width: int) -> str:
    # The end of a dotted name tells more than its beginning.
    while text and _width(text) > width - len(_CUT):
        text = text[1:]
    return _CUT + text
