"""Schedules: any text is refused by a ValueError or makes a schedule, whose slots are in order at any instant."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskmill._core.schedule import HORIZON, SECOND, Schedule, cron, due, every
from taskmill.huey import crontab
from tests.fuzz.damage import damaged

INT64 = 2**63

instants = (
    st.integers(0, 4_000_000_000 * SECOND)
    | st.integers(-INT64, INT64 - 1)
    | st.sampled_from([-INT64, INT64 - 1, -62_135_596_800 * SECOND, 253_402_300_799 * SECOND, 0, -1])
)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", *sorted(available_timezones())]
)


def field(lowest: int, highest: int, *more: str) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest).map(str)
    ranges = st.tuples(number, number).map(lambda ends: "-".join(sorted(ends, key=int)))
    starred = st.just("*") | ranges
    stepped = st.tuples(starred, st.integers(1, 40)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    return st.lists(st.one_of(number, starred, stepped, *map(st.just, more)), min_size=1, max_size=3).map(
        ",".join
    )


five = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31, "L", "LW"),
    field(1, 12, "jan", "Feb-apr"),
    field(0, 7, "mon-fri", "5L", "mon#1", "sun#5"),
).map(" ".join)
six = st.tuples(field(0, 59), five).map(" ".join)
expressions = five | six | st.sampled_from(["@hourly", "@daily", "@yearly", "0 0 29 2 mon"])


@cache
def made(expression: str, tz: str) -> Schedule | None:
    try:
        return cron(expression, tz=tz)
    except ValueError:
        return None


def check_slots(schedule: Schedule, instant: int, lateness: int) -> None:
    """What all who ask rely on."""
    slot = schedule.next_after(instant)
    if slot is not None:
        assert instant < slot <= instant + HORIZON
        assert schedule.next_after(slot - 1) == slot
        assert schedule.latest_until(slot, after=instant) == slot
    now = instant + lateness
    answer = due(schedule, last_slot=instant, now=now)
    assert answer.next_at is None or answer.next_at > now
    assert answer.fire is None or instant < answer.fire <= now
    assert answer.last_slot >= instant
    assert answer.skipped >= 0
    if lateness <= 0:
        assert answer.fire is None


@settings(deadline=None)
@given(
    damaged(expressions, ["#", "L", "/", "-", "*", "@", "0x1", "1_0", "1.5"]),
    damaged(zones, ["..", "/", "posixrules"]),
)
def test_any_text_is_refused_or_makes_a_schedule(expression: str, tz: str) -> None:
    schedule = made(expression, tz)

    if schedule is not None:
        assert schedule.describe()
        assert schedule.spec.isprintable()


@settings(deadline=None)
@given(expressions, zones, instants, st.integers(-86_400 * SECOND, 40 * 86_400 * SECOND))
@example("0 0 29 2 mon", "UTC", 0, 0)
@example("* * * * *", "UTC", INT64 - 1, 0)
@example("0 1 * * *", "Europe/Berlin", -INT64, 1)
def test_the_slots_of_cron_are_in_order_at_any_instant(
    expression: str, tz: str, instant: int, lateness: int
) -> None:
    schedule = made(expression, tz)

    if schedule is not None:
        check_slots(schedule, instant, lateness)


@given(
    st.integers(-1, 10**10) | st.floats() | st.timedeltas(),
    st.fixed_dictionaries(
        {}, optional={unit: st.floats() for unit in ("seconds", "minutes", "hours", "days")}
    ),
    instants,
    st.integers(-86_400 * SECOND, 10**9 * SECOND),
)
def test_the_slots_of_every_are_in_order_at_any_instant(
    interval: float | timedelta, units: dict[str, float], instant: int, lateness: int
) -> None:
    try:
        schedule = every(interval, **units)
    except ValueError:
        return

    assert schedule.describe()
    check_slots(schedule, instant, lateness)


crontab_fields = st.integers(-1, 70) | damaged(field(0, 31, "5-2", "1-10/3"), ["/", "-", "/0"])


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("minute", "hour", "day", "month", "day_of_week"), crontab_fields)
    ),
    st.booleans(),
    zones,
    instants,
    st.integers(-86_400 * SECOND, 40 * 86_400 * SECOND),
)
@example({"day": "13", "day_of_week": "5"}, False, "America/Havana", 0, 86_400 * SECOND)
def test_the_slots_of_a_crontab_are_in_order_at_any_instant(
    given_fields: dict[str, Any], strict: bool, tz: str, instant: int, lateness: int
) -> None:
    try:
        schedule = crontab(**given_fields, strict=strict).schedule(tz)
    except ValueError:
        return

    assert schedule.describe()
    check_slots(schedule, instant, lateness)
