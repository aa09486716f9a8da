"""What a look at a store has found, for people: how bad it is, and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """With an error, jobs do not run or are at risk; a warning wants attention; a note can be left at that."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """`name` stays the same in all releases, for programs; `found` has the figures.

    `advice` says what to do; it is empty where `found` says that too.
    """

    name: str
    severity: Severity
    found: str
    advice: str


def error(name: str, found: str, advice: str) -> Finding:
    return Finding(name, Severity.ERROR, found, advice)


def warning(name: str, found: str, advice: str) -> Finding:
    return Finding(name, Severity.WARNING, found, advice)


def note(name: str, found: str, advice: str) -> Finding:
    return Finding(name, Severity.NOTE, found, advice)


def needs_doing(finding: Finding) -> bool:
    """Whether it is worse than a note."""
    return finding.severity is not Severity.NOTE
