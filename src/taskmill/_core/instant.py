"""Time as the stores keep it: integer microseconds since the epoch, and its forms at the edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def from_datetime(moment: datetime) -> int:
    """The instant of an aware datetime; a naive one raises ValueError."""
    if moment.utcoffset() is None:
        raise ValueError(
            f"{moment!r} has no time zone, so it names no instant: use datetime.now(timezone.utc), "
            "moment.astimezone(), or a delay"
        )
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant: int) -> datetime:
    """The aware UTC datetime of *instant*; the nearest there is, where that lies beyond the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=instant)
    except OverflowError:
        return _LAST if instant > 0 else _FIRST


def instant_of(moment: datetime | None) -> int | None:
    """As `from_datetime`, of what may be missing."""
    return None if moment is None else from_datetime(moment)


def moment_of(instant: int | None) -> datetime | None:
    """As `to_datetime`, of what may be missing."""
    return None if instant is None else to_datetime(instant)


def duration(value: float | timedelta) -> int:
    """Float seconds or a timedelta as microseconds; negative and non-finite values raise ValueError."""
    micros = value // _MICROSECOND if isinstance(value, timedelta) else round(float(value) * SECOND)
    if micros < 0:
        raise ValueError(f"{value!r} is a negative duration; give seconds or a timedelta from 0 up")
    return micros
