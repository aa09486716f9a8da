"""Words for people: where a number decides about them, and where a text from a store must not steer who reads it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def counted(number: int, noun: str) -> str:
    """``1 job``, ``2,000 jobs``; for a noun that takes an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A duration: ``0.2 s``, ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    seconds = abs(seconds)
    if seconds < 1:
        return f"{seconds:.1f} s"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    return f"{seconds / size:.0f} {unit}"


def sized(count: int) -> str:
    """Bytes: ``512 B``, ``1.5 KiB``, ``8.0 MiB``."""
    for size, unit in _SIZES:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def listed(names: list[str], *, most: int = 5) -> str:
    """The first names, and how many more there are: ``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def nearest(name: str, names: Iterable[str]) -> str:
    """A suggestion for a message, if one of *names* is near."""
    from difflib import get_close_matches  # noqa: PLC0415  (only on the way to an error)

    near = get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def ago(moment: datetime, now: datetime) -> str:
    """How *moment* lies to *now*: ``5 min ago``, ``in 3 h``."""
    distance = (now - moment).total_seconds()
    return f"{span(distance)} ago" if distance >= 0 else f"in {span(distance)}"


def clean(text: str) -> str:
    r"""One line of *text* in which all that is not printable (controls, ANSI, bidi) is written as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def clean_lines(text: str) -> list[str]:
    """The lines of *text*, each clean, with tabs as spaces."""
    return [clean(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n")]
