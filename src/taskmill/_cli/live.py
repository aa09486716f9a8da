"""A screen that is drawn again and again, until a key says that it is enough."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

from taskmill._cli.output import as_rich, put, styled
from taskmill._cli.text import Line, plain

if TYPE_CHECKING:
    from rich.live import Live

_QUIT = frozenset(b"qQ\x03\x04")
# What a key sends that stands for no character: a Q is a part of that of F2.
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")
# Terminals have these since the VT100: the other screen and back, the cursor, home, and what to wipe.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _WIPE_LINE, _WIPE_REST = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen(Protocol):
    """What lines are drawn on."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these, and nothing else."""
        ...


def is_possible() -> bool:
    """Whether somebody sits at both ends."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def screen() -> Iterator[Screen]:
    """The whole terminal inside of the block, drawn by rich where it is installed; afterwards all is as it was."""
    with _keys_at_once(), _terminable():
        console = styled(sys.stdout)
        if console is None:
            with _plain_screen() as found:
                yield found
            return
        from rich.live import Live  # noqa: PLC0415  (an extra)

        with Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False) as live:
            yield _RichScreen(live)


def wants_to_quit(seconds: float) -> bool:
    """Wait so long for a key; whether one of those that came says enough."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    if not readable:
        return False
    keys = os.read(sys.stdin.fileno(), 64)
    return not keys or not _QUIT.isdisjoint(_SEQUENCE.sub(b"", keys))


class _RichScreen:
    def __init__(self, live: Live) -> None:
        self._live = live

    def draw(self, lines: Sequence[Line]) -> None:
        self._live.update(as_rich(lines), refresh=True)


class _PlainScreen:
    def draw(self, lines: Sequence[Line]) -> None:
        put(_HOME + "".join(f"{plain(line)}{_WIPE_LINE}\r\n" for line in lines) + _WIPE_REST)


class _Paper:
    """A terminal that cannot go back: each picture below the one before."""

    def draw(self, lines: Sequence[Line]) -> None:
        put(*map(plain, lines), "")


@contextmanager
def _plain_screen() -> Iterator[Screen]:
    if os.environ.get("TERM") == "dumb":
        yield _Paper()
        return
    print(_ENTER, end="", flush=True)
    try:
        yield _PlainScreen()
    finally:
        print(_LEAVE, end="", flush=True)


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """Keys are read without Enter, and not shown."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _terminable() -> Iterator[None]:
    """Who is ended by a signal leaves the terminal as it was, too."""

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
