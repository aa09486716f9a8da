"""Values as programs are told them."""

from __future__ import annotations

from datetime import datetime, timedelta

from taskmill._web.api.shapes import Duration


def instant(moment: datetime) -> str:
    """RFC 3339."""
    return moment.isoformat().replace("+00:00", "Z")


def instant_or_none(moment: datetime | None) -> str | None:
    """As `instant`, of what may be missing."""
    return None if moment is None else instant(moment)


def duration(ends: tuple[timedelta, timedelta] | None) -> Duration | None:
    """The middle and the slow one."""
    return None if ends is None else {"p50": ends[0].total_seconds(), "p95": ends[1].total_seconds()}
