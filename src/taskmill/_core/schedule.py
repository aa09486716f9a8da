"""When a periodic task is due: pure arithmetic, so that all schedulers and stores agree on one answer.

A slot is an instant at which a schedule is due. Instants are integer microseconds since the epoch, in UTC.
"""

import re
from abc import ABC, abstractmethod
from bisect import bisect_left
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

SECOND: Final = 1_000_000
CATCH_UP: Final = 3600 * SECOND
"""A missed slot that is older than this is never run late."""
HORIZON: Final = 8 * 366 * 86_400 * SECOND
"""How far a schedule looks ahead: 29 February is missing for eight years around 2100."""
COUNT_LIMIT: Final = 10_000
"""Past this many slots a cron schedule stops counting."""

_DAY: Final = 86_400
# Of a row that somebody damaged, or a clock that was never set. What is beyond the years 1 to 9999 has no date, and
# cronsim looks half a century ahead.
_CALENDAR: Final = range(-62_000_000_000 * SECOND, 250_000_000_000 * SECOND)
_ALL_HOURS: Final = 24
_LONGEST_EXPRESSION: Final = 1000
_SHORTEST_INTERVAL: Final = SECOND // 10
_LEADING_ZEROS: Final = re.compile(r"\b0+(?=[0-9])")
_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = {
    "second": "0-59, *, */5, 10-20 or 0,30",
    "minute": "0-59, *, */5, 10-20 or 0,30",
    "hour": "0-23, *, */2, 9-17 or 8,20",
    "day-of-month": "1-31, *, 1-7, 1,15, L (the last day) or LW (the last weekday)",
    "month": "1-12, *, jan-mar or jan,jul",
    "day-of-week": "0-7 (0 and 7 are sunday), *, mon-fri, sat,sun, mon#1 (the first) or 5L (the last "
    "friday); a range goes up, with sunday as 7 at its end",
}
_UNITS: Final = {"day": 86_400 * SECOND, "hour": 3600 * SECOND, "minute": 60 * SECOND}


class Schedule(ABC):
    """A strictly increasing sequence of slots. Immutable; two schedules are equal if their specs are."""

    __slots__ = ()

    @property
    @abstractmethod
    def spec(self) -> str:
        """The canonical text that stores keep, such as ``every 15s``."""

    @abstractmethod
    def describe(self) -> str:
        """Say in plain English when this runs."""

    @abstractmethod
    def next_after(self, instant: int) -> int | None:
        """Return the first slot strictly after *instant*, or None if there is none within `HORIZON`."""

    def latest_until(self, instant: int, *, after: int) -> int | None:
        """Return the last slot s with *after* < s <= *instant*, or None; older than `HORIZON` is not seen."""
        # next_after() sees no further than this: a date that comes once in 28 years must be approached.
        first = self.next_after(max(after, instant - HORIZON))
        if first is None or first > instant:
            return None
        return first + bisect_left(range(first, instant), x=True, key=lambda at: self._is_last(at, instant))

    def count(self, *, after: int, until: int) -> int:
        """Count the slots s with *after* < s <= *until*, up to `COUNT_LIMIT`, which then means "at least"."""
        number, slot = 0, self.next_after(after)
        while slot is not None and slot <= until and number < COUNT_LIMIT:
            number, slot = number + 1, self.next_after(slot)
        return number

    def _is_last(self, at: int, until: int) -> bool:
        slot = self.next_after(at)
        return slot is None or slot > until


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a schedule owes at some instant.

    - fire: the slot to run now, or None;
    - skipped: how many slots were missed and are not run (a cron schedule stops at `COUNT_LIMIT`);
    - next_at: the slot to wake up for, or None if there is none within `HORIZON`: ask again later;
    - last_slot: what to pass next time; stored in the transaction that enqueues *fire*, each slot fires once.
    """

    fire: int | None
    skipped: int
    next_at: int | None
    last_slot: int


def due(schedule: Schedule, *, last_slot: int, now: int) -> Due:
    """Decide which of the slots in (*last_slot*, *now*] runs; the others are skipped.

    *last_slot* is the last slot that was fired or skipped; a schedule seen for the first time owes nothing:
    pass *now*. The latest owed slot fires unless it is older than an hour. If the clock went back behind
    *last_slot*, nothing fires until it has passed *last_slot* again.

    >>> due(every(60), last_slot=0, now=185 * SECOND)
    Due(fire=180000000, skipped=2, next_at=240000000, last_slot=180000000)
    """
    latest = schedule.latest_until(now, after=last_slot)
    next_at = schedule.next_after(max(now, last_slot))
    if latest is None:
        return Due(fire=None, skipped=0, next_at=next_at, last_slot=last_slot)
    # Younger than one period it always is: the slot after the latest owed one lies ahead of now.
    fire = latest if now - latest <= CATCH_UP else None
    skipped = schedule.count(after=last_slot, until=latest if fire is None else latest - 1)
    return Due(fire=fire, skipped=skipped, next_at=next_at, last_slot=latest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every(Schedule):
    """Slots at the multiples of an interval since the epoch, in microseconds; made by `every`."""

    interval: int

    @property
    def spec(self) -> str:
        """The interval in seconds: ``every 90s``, ``every 0.5s``."""
        return f"every {_decimal(self.interval)}s"

    def describe(self) -> str:
        """Say it in words: ``Every 1 hour 30 minutes``."""
        parts, rest = [], self.interval
        for unit, size in _UNITS.items():
            number, rest = divmod(rest, size)
            parts += [_plural(str(number), unit)] if number else []
        parts += [_plural(_decimal(rest), "second")] if rest else []
        return "Every " + (parts[0].removeprefix("1 ") if len(parts) == 1 else " ".join(parts))

    def next_after(self, instant: int) -> int:
        """Return the first multiple of the interval strictly after *instant*."""
        return (instant // self.interval + 1) * self.interval

    def latest_until(self, instant: int, *, after: int) -> int | None:
        """Return the last slot s with *after* < s <= *instant*, or None."""
        latest = instant // self.interval * self.interval
        return latest if latest > after else None

    def count(self, *, after: int, until: int) -> int:
        """Count the slots s with *after* < s <= *until*: exact and immediate, however many they are."""
        return max(0, until // self.interval - after // self.interval)


def every(
    interval: timedelta | float | None = None,
    *,
    seconds: float = 0,
    minutes: float = 0,
    hours: float = 0,
    days: float = 0,
) -> Every:
    """Make a schedule with a fixed interval: a timedelta, a number of seconds, or units that add up.

    Slots are aligned to the epoch, not to the start of a worker: ``every(15)`` is due at :00, :15, :30 and
    :45 of each minute, ``every(days=1)`` at midnight UTC. Raises ValueError for less than 0.1 s or more than
    8 years; what is finer than a microsecond is rounded.

    >>> every(minutes=1, seconds=30).spec
    'every 90s'
    """
    try:
        units = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        whole = interval if isinstance(interval, timedelta) else timedelta(seconds=interval or 0)
    except (OverflowError, ValueError) as error:
        raise ValueError(
            f"the interval of every() is not a length of time ({error}); write every(15) or every(minutes=5)"
        ) from error
    if (interval is None) == (not units):
        raise ValueError(
            "every() needs one interval; "
            "write every(15) for seconds, every(minutes=5) or every(timedelta(hours=1))"
        )
    return Every(interval=_checked((whole + units) // timedelta(microseconds=1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron(Schedule):
    """Slots at the readings of a wall clock; made by `cron`, which states the rules."""

    expression: str
    tz: str
    _zone: tzinfo = field(repr=False, compare=False)
    _matcher: CronSim = field(repr=False, compare=False)

    @property
    def spec(self) -> str:
        """Expression and zone: ``cron */5 9-17 * * mon-fri Europe/Berlin``."""
        return f"cron {self.expression} {self.tz}"

    def describe(self) -> str:
        """Say it in words: ``At 02:30 every day (Europe/Berlin)``."""
        return f"{self._matcher.explain()} ({self.tz})"

    def next_after(self, instant: int) -> int | None:
        """Return the first slot strictly after *instant*, or None if there is none within `HORIZON`."""
        if instant not in _CALENDAR:
            return None
        second = instant // SECOND
        runs_each_hour = len(self._matcher.hours) == _ALL_HOURS
        slot = self._next_real(second) if runs_each_hour else self._next_named(second)
        return None if slot is None or slot * SECOND - instant > HORIZON else slot * SECOND

    # Below, instants and readings of the wall clock are whole seconds; 02:30 on it is kept as 02:30 UTC.

    def _next_named(self, second: int) -> int | None:
        """Named hours: each matching reading counts once, the first time it is shown."""
        start = second + self._offset(second)
        while (reading := self._next_reading(start)) is not None:
            if (slot := self._shown_at(reading)) > second:
                return slot
            # An hour is shown again: what matches in it has run. Go on before the first reading that is new.
            start += bisect_left(range(start, start + _DAY), second + 1, key=self._shown_at) - 1
        return None

    def _next_real(self, second: int) -> int | None:
        """All hours: each second whose reading matches counts, so that a repeated hour runs again."""
        # cronsim does this on aware datetimes too, but misses readings that a change by half an hour repeats.
        offset = self._offset(second)
        while (reading := self._next_reading(second + offset)) is not None:
            slot = reading - offset
            near = min(slot, second + _DAY)
            if self._offset(near) != offset:
                change = self._change(offset, second, near)
                # The first second under the new offset may be a slot itself.
                second, offset = change - 1, self._offset(change)
            elif near == slot:
                return slot
            else:
                # No change for a day, so no reading up to here comes again: go to the eve of the slot.
                second = slot - _DAY
                offset = self._offset(second)
        return None

    def _next_reading(self, reading: int) -> int | None:
        # A copy, because iterating moves it; its parsed fields are shared and never written.
        matcher = copy(self._matcher)
        matcher.dt = datetime.fromtimestamp(reading, UTC)
        found = next(matcher, None)
        return None if found is None else int(found.timestamp())

    def _shown_at(self, reading: int) -> int:
        """Return when the clock first shows *reading*, or the end of the gap that leaves it out."""
        local = datetime.fromtimestamp(reading, UTC).replace(tzinfo=self._zone)
        before, after = _seconds(local), _seconds(local.replace(fold=1))
        if before >= after:
            return reading - before
        return self._change(before, reading - after, reading - before)

    def _offset(self, second: int) -> int:
        return _seconds(datetime.fromtimestamp(second, self._zone))

    def _change(self, offset: int, after: int, until: int) -> int:
        """Return the first second in (after, until] at which the zone has left *offset*."""
        candidates = range(after + 1, until)
        return after + 1 + bisect_left(candidates, x=True, key=lambda at: self._offset(at) != offset)


def cron(expression: str, *, tz: str | ZoneInfo = "UTC") -> Cron:
    """Make a schedule from a cron expression, read on the wall clock of *tz*.

    Five fields (minute, hour, day of month, month, day of week) or six with seconds first; names in any
    case (``mon-fri``, ``jan``); ``L``, ``LW``, ``mon#1``, ``5L``; @hourly, @daily, @midnight, @weekly,
    @monthly, @yearly, @annually. As in Debian's cron, day of month and day of week must both match if one of
    them starts with ``*``; otherwise either is enough.

    When clocks change: if the hour field names hours, each slot runs once; one that the clock leaps over runs
    right after the gap (several of them: one run), one that it repeats runs the first time. If it covers all
    24 hours, the schedule follows real time: it runs whenever the clock shows a match, so an hourly job runs
    each real hour.

    Raises ValueError for an expression that is malformed or never matches (30 February), and for an unknown
    zone. Specs compare the text without regard to case, spaces, aliases and leading zeros; ``mon-fri`` and
    ``1-5`` differ.

    >>> cron("*/5 9-17 * * MON-FRI", tz="Europe/Berlin").spec
    'cron */5 9-17 * * mon-fri Europe/Berlin'
    """
    name, zone = _zone(tz)
    canonical = _canonical(expression)
    return Cron(expression=canonical, tz=name, _zone=zone, _matcher=_matcher(canonical))


def of_spec(spec: str) -> Schedule:
    """The schedule that has this spec; ValueError for any other text, such as the spec of a class of one's own.

    >>> of_spec("every 90s").next_after(0)
    90000000
    """
    kind, _, rest = spec.partition(" ")
    if kind == "every" and rest.endswith("s"):
        schedule: Schedule = every(float(rest[:-1]))
    elif kind == "cron":
        expression, _, zone = rest.rpartition(" ")
        schedule = cron(expression, tz=zone)
    else:
        raise ValueError(f"{spec!r} is no spec of every() or cron()")
    if schedule.spec != spec:
        raise ValueError(f"{spec!r} is read as {schedule.spec!r}")
    return schedule


def _canonical(expression: str) -> str:
    if len(expression) > _LONGEST_EXPRESSION:
        raise ValueError(
            f"cron expression of {len(expression)} characters; write at most {_LONGEST_EXPRESSION}"
        )
    text = expression.strip().lower()
    if text.startswith("@") and text not in _ALIASES:
        raise ValueError(f"unknown cron alias {expression!r}; write one of {', '.join(_ALIASES)}")
    fields = _LEADING_ZEROS.sub("", _ALIASES.get(text, text)).split()
    if len(fields) not in (5, 6):
        raise ValueError(
            f"cron expression {expression!r} has {len(fields)} fields; write five "
            "(minute hour day-of-month month day-of-week), or six with seconds first"
        )
    return " ".join(fields[1:] if len(fields) == len(_FIELDS) and fields[0] == "0" else fields)


def _matcher(expression: str) -> CronSim:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    _check_fields(expression.split())
    try:
        matcher = CronSim(expression, start)
        next(matcher)
    except (CronSimError, StopIteration) as error:
        raise ValueError(
            f"cron expression {expression!r} never matches; "
            "write a day-of-month that its month and day-of-week can have"
        ) from error
    return matcher


def _check_fields(fields: list[str]) -> None:
    # One at a time beside wildcards, so that whatever is refused is the field itself and not a combination.
    for position, (name, advice) in enumerate(list(_FIELDS.items())[-len(fields) :]):
        alone = ["*"] * len(fields)
        alone[position] = fields[position]
        try:
            CronSim(" ".join(alone), datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(
                f"bad {name} {fields[position]!r} in cron expression {' '.join(fields)!r}; write {advice}"
            ) from error


def _zone(tz: str | ZoneInfo) -> tuple[str, tzinfo]:
    name = tz if isinstance(tz, str) else getattr(tz, "key", None)
    if name is None:
        raise ValueError(f"time zone {tz!r} has no IANA name; write one, such as tz='Europe/Berlin'")
    # The default must work on machines without zone data, such as Alpine containers.
    return (name, UTC) if name == "UTC" else (name, _load(name))


def _load(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # Odd names reach the file system: a directory, a path that climbs, a null byte.
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"unknown time zone {name!r}; write an IANA name such as 'Europe/Berlin', "
            "and install tzdata if this machine has no zone data"
        ) from error


def _checked(interval: int) -> int:
    if _SHORTEST_INTERVAL <= interval <= HORIZON:
        return interval
    raise ValueError(
        f"an interval of {_decimal(interval)} seconds is out of range; write 0.1 seconds to 8 years"
    )


def _seconds(local: datetime) -> int:
    offset = local.utcoffset() or timedelta()
    return offset.days * _DAY + offset.seconds


def _decimal(microseconds: int) -> str:
    whole, fraction = divmod(abs(microseconds), SECOND)
    sign = "-" if microseconds < 0 else ""
    return f"{sign}{whole}.{fraction:06d}".rstrip("0").rstrip(".")


def _plural(number: str, unit: str) -> str:
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
