"""Huey's way with time: a datetime without a time zone is local time, or UTC where Huey shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

Delay = float | timedelta
"""Seconds, or a timedelta."""


def seconds(delay: Delay) -> float:
    """A delay in seconds; what lies in the past is now."""
    return max(0.0, delay.total_seconds() if isinstance(delay, timedelta) else delay)


def eta_of(eta: datetime | None, delay: Delay | None, *, utc: bool) -> datetime | None:
    """What a task shows as its eta: *delay* from now, or *eta*, in UTC or in local time, without a time zone."""
    if eta is not None and delay is not None:
        raise ValueError("eta and delay say the same in two ways: give one of them")
    if delay is not None:
        eta = datetime.now(UTC) + timedelta(seconds=seconds(delay))
    if eta is None:
        return None
    if not isinstance(eta, datetime):
        raise ValueError(f"eta={eta!r} is no datetime")  # noqa: TRY004  (as in Huey)
    return eta.astimezone(UTC if utc else None).replace(tzinfo=None)


def ahead(eta: datetime | None, *, utc: bool) -> datetime | None:
    """The aware datetime of what a task shows, unless that is none or past."""
    if eta is None:
        return None
    instant = eta.replace(tzinfo=UTC) if utc else eta.astimezone()
    return instant if instant > datetime.now(UTC) else None
