"""The line between two processes of a worker: messages as lines of JSON over a socket, never pickles."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

from taskmill._core.wording import counted

logger = logging.getLogger("taskmill.worker")

NO_MESSAGE = (ValueError, LookupError, TypeError, RecursionError)

_CHUNK = 1 << 16


class Language:
    """Named tuples and enums as text, those of the given classes; whoever sends others is not understood."""

    def __init__(self, *classes: type) -> None:
        self._known: dict[str, Any] = {cls.__name__: cls for cls in classes} | {"tuple": _tuple}

    def line_of(self, message: tuple[Any, ...]) -> bytes:
        """The message as one line."""
        return json.dumps(_told(message)).encode() + b"\n"

    def message_of(self, line: bytes) -> Any:
        """The message that a line is; raises one of `NO_MESSAGE` where it is none."""
        return self._understood(json.loads(line))

    def messages_in(self, lines: Iterable[bytes]) -> list[Any]:
        """The messages that they are; what is none, such as what a task wrote there by mistake, is left out."""
        found, rubbish = [], []
        for line in lines:
            try:
                found.append(self.message_of(line))
            except NO_MESSAGE:
                rubbish.append(line)
        if rubbish:
            logger.warning(
                "no message between two processes of the worker, and left out: %s, such as %r; does a task write "
                "into descriptors that are not its own?",
                counted(len(rubbish), "line"),
                rubbish[0][:100],
            )
        return found

    def _understood(self, value: Any) -> Any:
        if isinstance(value, list):
            return self._known[value[0]](*map(self._understood, value[1:]))
        return value


def _told(value: Any) -> Any:
    """A tuple or an enum as a list that begins with its name; all lists on the line are such."""
    if isinstance(value, Enum):
        return [type(value).__name__, value.value]
    if isinstance(value, tuple):
        return [type(value).__name__, *map(_told, value)]
    return value


def _tuple(*values: Any) -> tuple[Any, ...]:
    return values


class Line:
    """One end; any thread may say something, one of them hears.

    Saying never waits: what a process that stands still does not take in goes out with the next message, or by
    `say_the_rest`.
    """

    def __init__(self, end: socket.socket, language: Language) -> None:
        self._end = end
        self._language = language
        self._received = b""
        self._unsent = b""
        self._saying = threading.Lock()

    def fileno(self) -> int:
        """For whoever waits for several."""
        return self._end.fileno()

    def say(self, message: tuple[Any, ...]) -> None:
        """Send, if there is still somebody."""
        line = self._language.line_of(message)
        with self._saying:
            self._unsent += line
        self.say_the_rest()

    def say_the_rest(self) -> None:
        """Send what the other end could not take in so far; never waits."""
        with self._saying, suppress(OSError):
            if self._unsent:
                self._unsent = self._unsent[self._end.send(self._unsent, socket.MSG_DONTWAIT) :]

    def hear(self) -> Sequence[Any] | None:
        """Wait for the next messages; None when the other end is closed."""
        return self._messages(0)

    def overhear(self) -> Sequence[Any]:
        """The messages that are there, without waiting."""
        with suppress(BlockingIOError):
            return self._messages(socket.MSG_DONTWAIT) or ()
        return ()

    def close(self) -> None:
        self._end.close()

    def _messages(self, flags: int) -> Sequence[Any] | None:
        try:
            more = self._end.recv(_CHUNK, flags)
        except ConnectionError:
            more = b""
        if not more:
            return None
        *lines, self._received = (self._received + more).split(b"\n")
        return self._language.messages_in(lines)
