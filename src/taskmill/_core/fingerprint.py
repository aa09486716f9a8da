"""Errors that are the same but for their figures: pure, so that they can be counted and retried together."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from taskmill._core.job import ErrorInfo

_VARIES = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "<text>"),
    (re.compile(r"(?<![\w.])[\w.+-]+@[\w-]+\.[\w.-]+"), "<address>"),
    (re.compile(r"\b[0-9a-f]{12,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
)
_FRAME = re.compile(r'^  File "(?P<file>[^"]*)", line \d+, in (?P<function>.*)$', re.MULTILINE)
_LONGEST = 500


class Fingerprint(NamedTuple):
    """What errors of a kind share: *mark* names the kind, *place* is where they were raised, if that is known."""

    mark: str
    type: str
    message: str
    place: str


def fingerprint(task: str, reason: str | None, error: ErrorInfo | None) -> Fingerprint:
    """The kind of an error: its task, type and place, and its message without what varies.

    The line is no part of the place, since any change of the file above it would make the same error another one.
    """
    kind = error.type if error is not None else reason or "failed"
    message = _steady(error.message if error is not None else "")
    place = _place(error.traceback if error is not None else "")
    mark = hashlib.sha256(repr((task, kind, message, place)).encode()).hexdigest()[:16]
    return Fingerprint(mark, kind, message, place)


def _steady(message: str) -> str:
    text = message[:_LONGEST]
    for pattern, name in _VARIES:
        text = pattern.sub(name, text)
    return text


def _place(traceback: str) -> str:
    """The innermost frame: of a long traceback, only the end is looked at."""
    frames = _FRAME.findall(traceback[-20_000:])
    if not frames:
        return ""
    file, function = frames[-1]
    return f"{file.replace(chr(92), '/').rpartition('/')[2]} in {function}"
