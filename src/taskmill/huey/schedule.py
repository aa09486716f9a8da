"""Huey's crontab over the schedules of taskmill."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from taskmill._core.instant import SECOND
from taskmill._core.schedule import HORIZON, Cron, Schedule, cron
from taskmill.huey.exceptions import ConfigurationError

_MINUTES, _HOURS, _DAYS, _MONTHS = range(60), range(24), range(1, 32), range(1, 13)
_WEEKDAYS = range(8)  # 0 and 7 are Sunday
_WEEK = frozenset(range(7))

_LOCAL_TIME = Path("/etc/localtime")

_SPAN = re.compile(r"(\d+)-(\d+)(?:/(\d+))?")
_STEP = re.compile(r"\*/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """Minutes that match in all five fields; called with a datetime, it says whether that is one of them."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def __call__(self, timestamp: datetime) -> bool:
        """Whether the minute of *timestamp* matches."""
        return (
            timestamp.minute in self.minutes
            and timestamp.hour in self.hours
            and timestamp.day in self.days
            and timestamp.month in self.months
            and timestamp.isoweekday() % 7 in self.weekdays
        )

    def schedule(self, tz: str) -> Schedule:
        """The same for the engine, read on the wall clock of *tz*."""
        minutes, hours = _field(self.minutes, _MINUTES), _field(self.hours, _HOURS)
        days, months = _field(self.days, _DAYS), _field(self.months, _MONTHS)
        weekdays = _field(self.weekdays, _WEEK)
        if "*" in {days, weekdays}:
            return cron(f"{minutes} {hours} {days} {months} {weekdays}", tz=tz)
        # Of these two, cron wants either and Huey wants both.
        zone = UTC if tz == "UTC" else ZoneInfo(tz)
        dates = cron(f"{minutes} {hours} {days} {months} *", tz=tz)
        return OnWeekdays(dates=dates, weekdays=self.weekdays, zone=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnWeekdays(Schedule):
    """The slots of a cron schedule that fall on certain days of the week; 0 is Sunday."""

    dates: Cron
    weekdays: frozenset[int]
    zone: tzinfo

    @property
    def spec(self) -> str:
        """That of the cron schedule and the days: ``cron 0 9 1-7 * * UTC on 1``."""
        return f"{self.dates.spec} on {_field(self.weekdays, _WEEK)}"

    def describe(self) -> str:
        """Say it in words."""
        return f"{self.dates.describe()}, if that is day {_field(self.weekdays, _WEEK)} of the week"

    def next_after(self, instant: int) -> int | None:
        """Return the first slot strictly after *instant*, or None if there is none within `HORIZON`."""
        slot = self.dates.next_after(instant)
        while slot is not None and slot - instant <= HORIZON:
            local = datetime.fromtimestamp(slot // SECOND, self.zone)
            if local.isoweekday() % 7 in self.weekdays:
                return slot
            # What is left of this day does not match either.
            slot = self.dates.next_after(int(local.replace(hour=23, minute=59).timestamp()) * SECOND)
        return None


def crontab(
    minute: str | int = "*",
    hour: str | int = "*",
    day: str | int = "*",
    month: str | int = "*",
    day_of_week: str | int = "*",
    *,
    strict: bool = False,
) -> Crontab:
    """Make the schedule of a periodic task: minutes at which all the fields match.

    A field is a number, ``*``, ``*/n`` (not for the day of the week), ``m-n``, which may wrap around,
    ``m-n/step``, or several of them with commas; 0 and 7 are Sunday. ValueError for numbers out of range and for
    a field that matches nothing; a piece that is none of these is left out unless *strict*.

    >>> crontab(minute="*/15", hour="9-17")
    """
    return Crontab(
        minutes=_values(minute, _MINUTES, strict=strict),
        hours=_values(hour, _HOURS, strict=strict),
        days=_values(day, _DAYS, strict=strict),
        months=_values(month, _MONTHS, strict=strict),
        weekdays=frozenset(number % 7 for number in _values(day_of_week, _WEEKDAYS, strict=strict)),
    )


def local_zone(link: Path = _LOCAL_TIME) -> str:
    """The name of this machine's time zone; ConfigurationError where it does not tell.

    It is in the variable TZ, else where *link* leads to; without either, local time is UTC.
    """
    named = os.environ.get("TZ")
    if named is not None:
        return named.removeprefix(":") or "UTC"
    _, found, name = str(link.resolve()).partition("zoneinfo/")
    if found:
        return name
    if link.exists():
        raise ConfigurationError(
            "utc=False: this machine does not tell the name of its time zone; set TZ, such as TZ=Europe/Berlin"
        )
    return "UTC"


def _values(field: str | int, allowed: range, *, strict: bool) -> frozenset[int]:
    found = frozenset(
        number for piece in str(field).split(",") for number in _matches(piece, allowed, strict=strict)
    )
    if not found:
        raise ValueError(f"{field!r} matches no values")
    return found


def _matches(piece: str, allowed: range, *, strict: bool) -> range | tuple[int, ...]:
    if piece == "*":
        return allowed
    if piece.isdecimal():
        return (_number(piece, allowed),)
    if span := _SPAN.fullmatch(piece):
        return _span(_number(span[1], allowed), _number(span[2], allowed), int(span[3] or 1), allowed)
    if (step := _STEP.fullmatch(piece)) and allowed is not _WEEKDAYS:
        return allowed[:: _step(int(step[1]))]
    if strict or step:
        raise ValueError(f"{piece!r} is not a valid input")
    return ()


def _number(text: str, allowed: range) -> int:
    number = int(text)
    if number not in allowed:
        raise ValueError(f"{text} is not a valid input: it must lie in {allowed[0]}-{allowed[-1]}")
    return number


def _span(first: int, last: int, step: int, allowed: range) -> tuple[int, ...]:
    numbers = (*range(first, last + 1),)
    if first > last:
        # On the way around, Sunday is met once.
        highest = 6 if allowed is _WEEKDAYS else allowed[-1]
        numbers = (*range(first, highest + 1), *range(allowed[0], last + 1))
    return numbers[:: _step(step)]


def _step(step: int) -> int:
    if not step:
        raise ValueError("a step of 0 leads nowhere")
    return step


def _field(numbers: frozenset[int], allowed: range | frozenset[int]) -> str:
    return "*" if len(numbers) == len(allowed) else ",".join(map(str, sorted(numbers)))
