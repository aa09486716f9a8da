"""Where the answers of commands go: lines on standard output, in colours where rich is installed and somebody looks on.

Everything else (errors, logs, questions, progress) is on standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from taskmill._cli.text import Column, Line, plain, table
from taskmill._core.wording import clean
from taskmill.errors import TaskmillError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class OutputLost(TaskmillError):
    """Standard output takes no more; the OSError that says why is its cause."""


def complain(message: str) -> None:
    """Tell of an error: one sentence on standard error."""
    print(f"taskmill: error: {clean(message)}", file=sys.stderr)


def note(message: str) -> None:
    """Tell something beside the answer: one sentence on standard error."""
    print(clean(message), file=sys.stderr, flush=True)


def put(*lines: str) -> None:
    """Write lines to standard output, and all that was written before."""
    _write("".join(f"{line}\n" for line in lines))


def put_json(value: Any) -> None:
    """Write one JSON value as a line."""
    put(json.dumps(value))


def put_lines(lines: Iterable[Line]) -> None:
    """Write lines, in their styles if these are seen."""
    # A program can be started without any output.
    console = None if sys.stdout is None else styled(sys.stdout)
    if console is None:
        put(*map(plain, lines))
        return
    with console.capture() as captured:
        for line in lines:
            console.print(as_rich([line]), soft_wrap=True)
    _write(captured.get())


def put_table(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], *, otherwise: str = "nothing"
) -> None:
    """Write a table, or say beside the output that there is nothing to be in it."""
    if rows:
        put_lines(table(columns, rows, terminal_width()))
    else:
        note(otherwise)


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


def shows_colours(out: TextIO) -> bool:
    """Whether *out* is a terminal whose user has not refused colours (no-color.org), or FORCE_COLOR wants them."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (out.isatty() and os.environ.get("TERM") != "dumb")


def styled(out: TextIO) -> Console | None:
    """What writes styles to *out*; None where they are not seen, or rich is not installed."""
    if not shows_colours(out):
        return None
    try:
        from rich.console import Console  # noqa: PLC0415  (an extra, and 60 ms)
    except ModuleNotFoundError:
        return None
    return Console(file=out, force_terminal=True, highlight=False, emoji=False, markup=False)


def as_rich(lines: Iterable[Line]) -> Text:
    """The lines in rich's words; what is in them stays text."""
    from rich.text import Text  # noqa: PLC0415  (as above)

    told = (Text.assemble(*((span.text, span.style) for span in line)) for line in lines)
    return Text("\n", overflow="ignore", no_wrap=True).join(told)


def _write(text: str) -> None:
    if sys.stdout is None:
        return
    try:
        print(text, end="", flush=True)
    except OSError as error:
        raise OutputLost(f"the output cannot be written: {error.strerror}") from error
