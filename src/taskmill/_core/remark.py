"""What a job says of itself, as people see it; in a module of its own, which is imported without json."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a job said that it is: *done* of *total*, if that is known, and what it is at; *said_at* in UTC."""

    done: float
    total: float | None
    text: str
    said_at: datetime

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where the total is not known."""
        if not self.total or self.total < 0:
            return None
        return min(max(self.done / self.total, 0.0), 1.0)


class LogLine(NamedTuple):
    """A record of `logging` that was made while a job ran; where lines were left out, one says how many."""

    attempt: int
    at: datetime
    level: str
    logger: str
    message: str
