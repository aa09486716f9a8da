"""Text for a terminal: nothing from a store may steer it, and columns stay columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from taskmill._core.wording import clean, counted

_GAP = "  "
_CUT = "..."
_NARROWEST = 8
# What may be cut has at least so much, as long as there is something to be left out for it.
_COMFORTABLE = 16

# The words that tell at a glance how things stand, in rich's names of colours.
_STYLES = {
    **dict.fromkeys(("failed", "error", "gone"), "red"),
    **dict.fromkeys(("retrying", "warning", "silent", "paused"), "yellow"),
    **dict.fromkeys(("succeeded", "alive"), "green"),
    "running": "cyan",
    **dict.fromkeys(("cancelled", "note"), "dim"),
}


class Span(NamedTuple):
    """Text with a style for terminals that have any."""

    text: str
    style: str = ""


Line = Sequence[Span]


class Column(NamedTuple):
    """How a column of a table gives way on a narrow terminal: it may be cut in front (*shrinks*), or left out.

    What is *optional* is left out first, the last such column before the others. Of text whose beginning tells most
    (*ends*), the end is cut.
    """

    title: str
    to_right: bool = False
    shrinks: bool = False
    optional: bool = False
    ends: bool = False


def word(text: str) -> Span:
    """A word for how something stands, in its colour."""
    return Span(clean(text), _STYLES.get(text, ""))


def plain(line: Line) -> str:
    """The text alone."""
    return "".join(span.text for span in line)


def shortened(text: str, longest: int) -> str:
    """*text*, or its beginning and how much is missing."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}{_CUT} ({len(text) - longest:,} more characters, all of them with --json)"


def contents(jobs: int, schedules: int, pauses: int) -> str:
    """``61,204 jobs, 3 schedules and 1 pause``, of what is taken from one store to another."""
    return f"{counted(jobs, 'job')}, {counted(schedules, 'schedule')} and {counted(pauses, 'pause')}"


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], limit: int | None = None
) -> list[Line]:
    """Aligned lines with a head, at most *limit* wide where the columns can be made so."""
    cells = [[clean(str(cell)) for cell in row] for row in rows]
    widths = [
        max([width_of(column.title), *(width_of(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    if limit is not None:
        shown = _shown(columns, widths, limit)
        _shrink([index for index in shown if columns[index].shrinks], shown, widths, limit)
    head = [Span(plain(_line(columns, widths, shown, [column.title for column in columns])), "bold")]
    return [head, *(_line(columns, widths, shown, line) for line in cells)]


def fields(pairs: Sequence[tuple[str, object]], width: int | None = None) -> list[Line]:
    """A line for each name with its value, the values below each other; those too long for *width* are cut."""
    longest = max((width_of(name) for name, _ in pairs), default=0)
    room = None if width is None else max(_NARROWEST, width - longest - len(_GAP))
    return [
        [Span(name + " " * (longest - width_of(name)), "bold"), Span(_GAP), _value(str(value), room)]
        for name, value in pairs
    ]


def width_of(text: str) -> int:
    """How many columns of a terminal it takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def beginning(text: str, width: int) -> str:
    """As much of it as fits, and a sign that there is more."""
    if width_of(text) <= width:
        return text
    return text[: _fitting(text, width - len(_CUT))] + _CUT


def _fitting(chars: Iterable[str], room: int) -> int:
    """How many of the first *chars* there is room for."""
    return sum(1 for used in accumulate(map(_columns, chars)) if used <= room)


def _value(text: str, room: int | None) -> Span:
    value = word(text)
    return value if room is None else value._replace(text=beginning(value.text, room))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _shown(columns: Sequence[Column], widths: Sequence[int], limit: int) -> list[int]:
    shown = list(range(len(columns)))
    for index in reversed(range(len(columns))):
        least = [min(widths[each], _COMFORTABLE) if columns[each].shrinks else widths[each] for each in shown]
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


def _line(
    columns: Sequence[Column], widths: Sequence[int], shown: Sequence[int], line: Sequence[str]
) -> Line:
    spans: list[Span] = []
    for index in shown:
        spans += [*([Span(_GAP)] if spans else []), *_cell(line[index], widths[index], columns[index])]
    while spans and not spans[-1].text.strip():
        spans.pop()
    return [*spans[:-1], spans[-1]._replace(text=spans[-1].text.rstrip())] if spans else spans


def _cell(text: str, width: int, column: Column) -> list[Span]:
    if width_of(text) > width:
        text = beginning(text, width) if column.ends else _end(text, width)
    padding = Span(" " * (width - width_of(text)))
    cell = word(text)
    return [padding, cell] if column.to_right else [cell, padding]


def _end(text: str, width: int) -> str:
    # The end of a dotted name tells more than its beginning.
    return _CUT + text[len(text) - _fitting(reversed(text), width - len(_CUT)) :]
