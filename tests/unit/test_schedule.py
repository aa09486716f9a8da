import doctest
import pickle
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskmill._core import schedule as module
from taskmill._core.schedule import (
    COUNT_LIMIT,
    HORIZON,
    SECOND,
    Due,
    Every,
    Schedule,
    cron,
    due,
    every,
    of_spec,
)

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = 1_785_153_600 * SECOND  # 2026-07-27T12:00Z, a Monday

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"  # its clocks change by half an hour

SCHEDULES: list[Schedule] = [
    every(0.1),
    every(15),
    every(days=1),
    every(seconds=0.7),
    cron("* * * * * *"),
    cron("*/15 * * * *", tz=BERLIN),
    cron("0 * * * *", tz=LORD_HOWE),
    cron("45 * * * *", tz=LORD_HOWE),
    cron("30 2 * * *", tz=BERLIN),
    cron("*/20 0-3 * * *", tz=NEW_YORK),
    cron("0 30 1,2 * * *", tz=LORD_HOWE),
    cron("0 9 * * mon-fri", tz=BERLIN),
    cron("0 0 29 2 *"),
]


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * SECOND


def shown(instant: int, tz: str) -> str:
    return datetime.fromtimestamp(instant // SECOND, ZoneInfo(tz)).isoformat(" ", "minutes")


def slots(expression: str, tz: str, *, after: str, want: int) -> list[str]:
    schedule, instant, found = cron(expression, tz=tz), at(after), []
    for _ in range(want):
        following = schedule.next_after(instant)
        assert following is not None
        found.append(shown(following, tz))
        instant = following
    return found


class TestClockChanges:
    @pytest.mark.parametrize("expression", ["0 2 * * *", "30 2 * * *", "0 30 2 * * *", "*/15 2 * * *"])
    def test_a_slot_in_the_gap_runs_once_right_after_it(self, expression: str) -> None:
        found = slots(expression, BERLIN, after="2026-03-28T12:00+01:00", want=2)

        assert found[0] == "2026-03-29 03:00+02:00"
        assert found[1].startswith("2026-03-30 02:")

    @pytest.mark.parametrize("expression", ["0 2 * * *", "0 0 2 * * *"])
    def test_a_slot_in_the_fold_runs_the_first_time_only(self, expression: str) -> None:
        assert slots(expression, BERLIN, after="2026-10-24T12:00+02:00", want=2) == [
            "2026-10-25 02:00+02:00",
            "2026-10-26 02:00+01:00",
        ]

    def test_a_scheduler_that_starts_within_the_fold_does_not_run_the_slot_again(self) -> None:
        assert slots("30 2 * * *", BERLIN, after="2026-10-25T02:15+01:00", want=1) == [
            "2026-10-26 02:30+01:00"
        ]

    def test_the_first_reading_after_the_fold_is_not_missed_from_within_it(self) -> None:
        assert slots("*/15 2,3 * * *", BERLIN, after="2026-10-25T02:05+01:00", want=2) == [
            "2026-10-25 03:00+01:00",
            "2026-10-25 03:15+01:00",
        ]

    def test_named_hours_rest_while_the_hour_repeats(self) -> None:
        assert slots("*/30 2-3 * * *", BERLIN, after="2026-10-25T01:00+02:00", want=3) == [
            "2026-10-25 02:00+02:00",
            "2026-10-25 02:30+02:00",
            "2026-10-25 03:00+01:00",
        ]

    def test_new_york_goes_forward(self) -> None:
        assert slots("30 2 * * *", NEW_YORK, after="2026-03-07T12:00-05:00", want=2) == [
            "2026-03-08 03:00-04:00",
            "2026-03-09 02:30-04:00",
        ]

    def test_new_york_goes_back(self) -> None:
        assert slots("30 1 * * *", NEW_YORK, after="2026-10-31T12:00-04:00", want=2) == [
            "2026-11-01 01:30-04:00",
            "2026-11-02 01:30-05:00",
        ]

    def test_lord_howe_goes_forward_by_half_an_hour(self) -> None:
        assert slots("0,15,30 2 * * *", LORD_HOWE, after="2026-10-03T12:00+10:30", want=2) == [
            "2026-10-04 02:30+11:00",
            "2026-10-05 02:00+11:00",
        ]

    def test_lord_howe_goes_back_by_half_an_hour(self) -> None:
        assert slots("45 1 * * *", LORD_HOWE, after="2026-04-04T12:00+11:00", want=2) == [
            "2026-04-05 01:45+11:00",
            "2026-04-06 01:45+10:30",
        ]

    @pytest.mark.parametrize("tz", [BERLIN, NEW_YORK, LORD_HOWE])
    @pytest.mark.parametrize(
        "day", ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]
    )
    def test_quarters_of_an_hour_follow_real_time(self, tz: str, day: str) -> None:
        schedule, instant = cron("*/15 * * * *", tz=tz), at(f"{day}T00:00Z") - DAY
        for _ in range(3 * 96):
            following = schedule.next_after(instant)
            assert following == instant + 15 * MINUTE
            instant = following

    def test_an_hourly_job_runs_each_real_hour(self) -> None:
        assert slots("5 * * * *", BERLIN, after="2026-03-29T01:00+01:00", want=2) == [
            "2026-03-29 01:05+01:00",
            "2026-03-29 03:05+02:00",
        ]
        assert slots("5 * * * *", BERLIN, after="2026-10-25T02:00+02:00", want=3) == [
            "2026-10-25 02:05+02:00",
            "2026-10-25 02:05+01:00",
            "2026-10-25 03:05+01:00",
        ]

    def test_an_hourly_job_sees_readings_that_half_an_hour_repeats(self) -> None:
        assert slots("45 * * * *", LORD_HOWE, after="2026-04-05T01:00+11:00", want=3) == [
            "2026-04-05 01:45+11:00",
            "2026-04-05 01:45+10:30",
            "2026-04-05 02:45+10:30",
        ]

    def test_the_end_of_a_day_that_repeats_counts_though_the_next_match_is_a_year_away(self) -> None:
        assert slots("30 * 24 10 *", "Asia/Beirut", after="2026-10-24T23:00+03:00", want=3) == [
            "2026-10-24 23:30+03:00",
            "2026-10-24 23:30+02:00",
            "2027-10-24 00:30+03:00",
        ]

    def test_midnight_in_the_gap(self) -> None:
        assert slots("@daily", "Asia/Beirut", after="2026-03-28T12:00+02:00", want=2) == [
            "2026-03-29 01:00+03:00",
            "2026-03-30 00:00+03:00",
        ]

    @settings(max_examples=30, deadline=None)
    @given(
        minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
        hours=st.none() | st.sets(st.integers(0, 23), min_size=1, max_size=3) | st.just({1, 2, 3}),
        place=st.sampled_from(
            [
                (BERLIN, "2026-03-29"),
                (BERLIN, "2026-10-25"),
                (NEW_YORK, "2026-03-08"),
                (NEW_YORK, "2026-11-01"),
                (LORD_HOWE, "2026-10-04"),
                (LORD_HOWE, "2026-04-05"),
                ("America/Havana", "2026-03-08"),
                ("America/Havana", "2026-11-01"),
                ("America/St_Johns", "2010-11-07"),  # back to the day before, at 00:01
                ("Pacific/Apia", "2011-12-30"),  # a day that was left out
            ]
        ),
        minute_of_start=st.integers(0, 3 * 1440),
    )
    def test_slots_are_those_that_a_walk_over_every_minute_finds(
        self, minutes: set[int], hours: set[int] | None, place: tuple[str, str], minute_of_start: int
    ) -> None:
        tz, day = place
        start = at(f"{day}T00:00Z") - DAY - 12 * HOUR
        hour_field = "*" if hours is None else ",".join(map(str, hours))
        schedule = cron(f"{','.join(map(str, minutes))} {hour_field} * * *", tz=tz)

        after = start + minute_of_start * MINUTE
        found: list[int] = []
        while (
            slot := schedule.next_after(found[-1] if found else after)
        ) is not None and slot <= start + 4 * DAY:
            found.append(slot)

        walk = _real_slots if hours is None else _named_slots
        expected = walk(
            range(start - 2 * DAY, start + 6 * DAY, MINUTE), tz, set(product(hours or range(24), minutes))
        )
        assert found == sorted(slot for slot in expected if after < slot <= start + 4 * DAY)


def _real_slots(instants: Iterable[int], tz: str, readings: set[tuple[int, int]]) -> set[int]:
    zone = ZoneInfo(tz)
    walk = ((at, datetime.fromtimestamp(at // SECOND, zone)) for at in instants)
    return {instant for instant, local in walk if (local.hour, local.minute) in readings}


def _named_slots(instants: Iterable[int], tz: str, readings: set[tuple[int, int]]) -> set[int]:
    """Follow a wall clock that waits when it should go back: what it reaches or leaps over is a slot."""
    zone, found = ZoneInfo(tz), set()
    latest: datetime | None = None
    for instant in instants:
        local = datetime.fromtimestamp(instant // SECOND, zone).replace(tzinfo=None)
        passed = local - timedelta(minutes=1) if latest is None else latest
        while passed < local:
            passed += timedelta(minutes=1)
            if (passed.hour, passed.minute) in readings:
                found.add(instant)
        latest = passed
    return found


class TestNextAfter:
    @pytest.mark.parametrize(
        "expression, expected",
        [
            ("* * * * *", "2026-07-27 12:01+00:00"),
            ("@hourly", "2026-07-27 13:00+00:00"),
            ("@daily", "2026-07-28 00:00+00:00"),
            ("@midnight", "2026-07-28 00:00+00:00"),
            ("@Weekly", "2026-08-02 00:00+00:00"),
            ("@monthly", "2026-08-01 00:00+00:00"),
            ("@yearly", "2027-01-01 00:00+00:00"),
            (" @annually ", "2027-01-01 00:00+00:00"),
            ("0 9 * * MON-fri", "2026-07-28 09:00+00:00"),
            ("0 9 1 Jan-MAR *", "2027-01-01 09:00+00:00"),
            ("0 0 L * *", "2026-07-31 00:00+00:00"),
            ("0 0 * * fri#1", "2026-08-07 00:00+00:00"),
            ("0 0 13 * fri", "2026-07-31 00:00+00:00"),
            ("0 0 */13 * fri", "2026-08-14 00:00+00:00"),
            ("0 0 29 2 *", "2028-02-29 00:00+00:00"),
        ],
    )
    def test_reads_the_usual_notations(self, expression: str, expected: str) -> None:
        slot = cron(expression).next_after(NOON)

        assert slot is not None
        assert shown(slot, "UTC") == expected

    def test_six_fields_start_with_seconds(self) -> None:
        assert cron("*/20 * * * * *").next_after(NOON) == NOON + 20 * SECOND
        assert cron("7 0 12 * * *").next_after(NOON) == NOON + 7 * SECOND

    @pytest.mark.parametrize("schedule", [cron("0 12 * * *"), cron("0 * * * *"), every(hours=1)])
    def test_is_strict_to_the_microsecond(self, schedule: Schedule) -> None:
        assert schedule.next_after(NOON - 1) == NOON
        assert schedule.next_after(NOON) != NOON
        assert schedule.next_after(NOON + 1) == schedule.next_after(NOON)

    def test_leap_days_are_found_over_the_gap_around_2100(self) -> None:
        slot = cron("0 0 29 2 *").next_after(at("2096-02-29T00:00Z"))

        assert slot == at("2104-02-29T00:00Z")

    def test_beyond_eight_years_there_is_none(self) -> None:
        fifth_monday_of_february = cron("0 0 * 2 mon#5")  # 2016 and 2044

        assert fifth_monday_of_february.next_after(NOON) is None
        slot = at("2044-02-29T00:00Z")
        assert fifth_monday_of_february.next_after(slot - HORIZON) == slot
        assert fifth_monday_of_february.next_after(slot - HORIZON - 1) is None

    @settings(deadline=None)
    @given(st.sampled_from(SCHEDULES), st.integers(0, at("2090-01-01T00:00Z")))
    def test_is_strictly_increasing_and_leaves_out_nothing(self, schedule: Schedule, instant: int) -> None:
        first = schedule.next_after(instant)
        assert first is not None
        second = schedule.next_after(first)
        assert second is not None

        assert instant < first < second
        assert schedule.next_after((instant + first) // 2) == first
        assert schedule.next_after(first - 1) == first
        assert schedule.next_after(second - 1) == second

    @settings(deadline=None)
    @given(st.sampled_from(SCHEDULES), st.lists(st.integers(NOON, NOON + 500 * DAY), min_size=2, max_size=5))
    def test_keeps_the_order_of_instants_and_no_memory(self, schedule: Schedule, instants: list[int]) -> None:
        forward = [schedule.next_after(instant) or HORIZON**2 for instant in sorted(instants)]
        backward = [schedule.next_after(instant) or HORIZON**2 for instant in sorted(instants, reverse=True)]

        assert all(earlier <= later for earlier, later in pairwise(forward))
        assert forward == backward[::-1]


class TestLatestAndCount:
    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(SCHEDULES), st.integers(NOON, NOON + 300 * DAY), st.integers(0, 50))
    def test_latest_is_the_last_of_those_counted(self, schedule: Schedule, after: int, want: int) -> None:
        walked = [after]
        for _ in range(want):
            walked.append(schedule.next_after(walked[-1]) or walked[-1])
        until = walked[-1]

        assert schedule.count(after=after, until=until) == want
        assert schedule.count(after=after, until=until - 1) == max(0, want - 1)
        assert schedule.latest_until(until, after=after) == (until if want else None)
        assert schedule.latest_until(until - 1, after=after) == (walked[-2] if want > 1 else None)

    @given(st.integers(SECOND // 10, 5 * HOUR), st.integers(-3 * DAY, 3 * DAY), st.integers(-DAY, DAY // 20))
    def test_every_agrees_with_the_general_search(self, interval: int, after: int, length: int) -> None:
        schedule, until = Every(interval=interval), after + length

        assert schedule.latest_until(until, after=after) == Schedule.latest_until(
            schedule, until, after=after
        )
        counted = schedule.count(after=after, until=until)
        assert min(counted, COUNT_LIMIT) == Schedule.count(schedule, after=after, until=until)

    def test_a_date_that_comes_once_in_28_years_is_still_found(self) -> None:
        schedule = cron("0 0 * 2 mon#5")
        slot, before = at("2044-02-29T00:00Z"), at("2016-02-29T00:00Z")

        assert schedule.latest_until(slot, after=before) == slot
        assert due(schedule, last_slot=before, now=slot).fire == slot


class TestDue:
    def test_a_schedule_seen_for_the_first_time_owes_nothing(self) -> None:
        assert due(every(60), last_slot=NOON, now=NOON) == Due(
            fire=None, skipped=0, next_at=NOON + MINUTE, last_slot=NOON
        )

    def test_nothing_is_owed_between_two_slots(self) -> None:
        assert due(every(60), last_slot=NOON, now=NOON + MINUTE - 1) == Due(
            fire=None, skipped=0, next_at=NOON + MINUTE, last_slot=NOON
        )

    @pytest.mark.parametrize("schedule", [every(60), cron("* * * * *", tz=BERLIN)])
    def test_a_slot_fires_at_its_instant(self, schedule: Schedule) -> None:
        slot = NOON + MINUTE

        assert due(schedule, last_slot=NOON, now=slot) == Due(
            fire=slot, skipped=0, next_at=slot + MINUTE, last_slot=slot
        )

    @pytest.mark.parametrize("schedule", [every(60), cron("* * * * *", tz=BERLIN)])
    def test_of_several_missed_slots_the_latest_fires(self, schedule: Schedule) -> None:
        late = due(schedule, last_slot=NOON, now=NOON + 10 * MINUTE + 1)

        assert late == Due(
            fire=NOON + 10 * MINUTE, skipped=9, next_at=NOON + 11 * MINUTE, last_slot=NOON + 10 * MINUTE
        )

    @pytest.mark.parametrize("schedule", [every(days=1), cron("@daily")])
    def test_a_slot_is_run_late_for_an_hour_and_no_longer(self, schedule: Schedule) -> None:
        slot = at("2026-07-28T00:00Z")

        assert due(schedule, last_slot=slot - DAY, now=slot + HOUR).fire == slot
        assert due(schedule, last_slot=slot - DAY, now=slot + HOUR + 1) == Due(
            fire=None, skipped=1, next_at=slot + DAY, last_slot=slot
        )

    def test_ten_years_of_tenths_of_a_second_are_counted_exactly(self) -> None:
        late = due(every(0.1), last_slot=NOON - 3650 * DAY, now=NOON)

        assert late.skipped == 3650 * 864_000 - 1

    def test_a_cron_schedule_stops_counting(self) -> None:
        late = due(cron("* * * * * *"), last_slot=NOON - 3650 * DAY, now=NOON)

        assert late == Due(fire=NOON, skipped=COUNT_LIMIT, next_at=NOON + SECOND, last_slot=NOON)

    def test_a_clock_that_went_back_fires_nothing_twice(self) -> None:
        assert due(cron("0 * * * *"), last_slot=NOON, now=NOON - 3 * HOUR) == Due(
            fire=None, skipped=0, next_at=NOON + HOUR, last_slot=NOON
        )

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(SCHEDULES),
        st.integers(at("2026-01-01T00:00Z"), at("2028-01-01T00:00Z")),
        st.lists(st.integers(-2 * DAY, 2 * DAY) | st.integers(-SECOND, 3 * HOUR), max_size=8),
    )
    @example(cron("30 2 * * *", tz=BERLIN), at("2026-10-25T00:15Z"), [MINUTE * 20, MINUTE * 55, MINUTE * 10])
    def test_whatever_the_clock_does_each_slot_is_fired_or_skipped_once(
        self, schedule: Schedule, start: int, steps: list[int]
    ) -> None:
        fired: list[int] = []
        skipped, last_slot, now, furthest = 0, start, start, start
        for step in steps:
            now += step
            furthest = max(furthest, now)
            result = due(schedule, last_slot=last_slot, now=now)

            fired += [] if result.fire is None else [result.fire]
            skipped += result.skipped
            last_slot = result.last_slot
            assert result.next_at == schedule.next_after(max(now, last_slot))
            assert result.fire is None or now - HOUR <= result.fire <= now

        assert all(earlier < later for earlier, later in pairwise(fired))
        assert all(schedule.next_after(slot - 1) == slot for slot in fired)
        owed = schedule.count(after=start, until=furthest)
        assert len(fired) + skipped == owed or owed >= COUNT_LIMIT


class TestEvery:
    @given(st.integers(SECOND // 10, HORIZON), st.integers(-DAY, NOON * 2))
    def test_slots_are_the_multiples_of_the_interval(self, interval: int, instant: int) -> None:
        slot = Every(interval=interval).next_after(instant)

        assert slot % interval == 0
        assert 0 < slot - instant <= interval

    def test_the_interval_may_be_written_in_several_ways(self) -> None:
        assert every(90) == every(timedelta(seconds=90)) == every(minutes=1, seconds=30) == every(minutes=1.5)
        assert every(days=1) == every(hours=24)

    @pytest.mark.parametrize(
        "schedule, spec, words",
        [
            (every(15), "every 15s", "Every 15 seconds"),
            (every(0.1), "every 0.1s", "Every 0.1 seconds"),
            (every(1), "every 1s", "Every second"),
            (every(minutes=90), "every 5400s", "Every 1 hour 30 minutes"),
            (every(days=1), "every 86400s", "Every day"),
            (every(days=2, seconds=1.5), "every 172801.5s", "Every 2 days 1.5 seconds"),
        ],
    )
    def test_says_what_it_is(self, schedule: Every, spec: str, words: str) -> None:
        assert schedule.spec == spec
        assert schedule.describe() == words

    @pytest.mark.parametrize("interval", [0, 0.0999, -15, 9 * 366 * 86_400, timedelta(0), timedelta.max])
    def test_an_interval_out_of_range_is_refused(self, interval: float | timedelta) -> None:
        with pytest.raises(ValueError, match=r"seconds is out of range; write 0\.1 seconds to 8 years"):
            every(interval)

    def test_no_interval_and_two_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"needs one interval; write every\(15\)"):
            every()
        with pytest.raises(ValueError, match=r"needs one interval; write every\(15\)"):
            every(15, minutes=1)

    @pytest.mark.parametrize("interval", [float("nan"), float("inf"), 1e300])
    def test_what_is_no_length_of_time_is_refused(self, interval: float) -> None:
        with pytest.raises(ValueError, match=r"is not a length of time .*; write every\(15\)"):
            every(interval)


class TestCron:
    @pytest.mark.parametrize(
        "expression, tz, spec",
        [
            ("*/5 9-17 * * MON-FRI", BERLIN, "cron */5 9-17 * * mon-fri Europe/Berlin"),
            ("@hourly", "UTC", "cron 0 * * * * UTC"),
            ("  0\t0 * *  * ", "UTC", "cron 0 0 * * * UTC"),
            ("00 05 09 * * *", "UTC", "cron 5 9 * * * UTC"),
            ("30 0 0 * * *", "UTC", "cron 30 0 0 * * * UTC"),
        ],
    )
    def test_equal_schedules_have_equal_specs(self, expression: str, tz: str, spec: str) -> None:
        schedule = cron(expression, tz=tz)

        assert schedule.spec == spec
        assert cron(schedule.expression, tz=ZoneInfo(tz)) == schedule
        assert hash(cron(schedule.expression, tz=ZoneInfo(tz))) == hash(schedule)

    def test_needs_no_zone_data_for_utc(self) -> None:
        assert cron("@daily")._zone is UTC

    def test_asking_leaves_no_trace_that_another_thread_could_see(self) -> None:
        schedule = cron("30 2 * * *", tz=BERLIN)
        before = pickle.dumps(schedule)

        schedule.next_after(NOON)

        assert pickle.dumps(schedule) == before

    def test_the_zone_tells_schedules_apart(self) -> None:
        assert cron("@daily") != cron("@daily", tz=BERLIN)

    def test_travels_between_processes(self) -> None:
        schedule = cron("30 2 * * *", tz=BERLIN)

        copied = pickle.loads(pickle.dumps(schedule))  # noqa: S301

        assert copied == schedule
        assert copied.next_after(NOON) == schedule.next_after(NOON)

    @pytest.mark.parametrize(
        "schedule, words",
        [
            (cron("30 2 * * *"), "At 02:30 every day (UTC)"),
            (cron("0 9 * * mon", tz=BERLIN), "At 09:00 on Monday (Europe/Berlin)"),
            (cron("@hourly"), "At the start of every hour (UTC)"),
        ],
    )
    def test_says_when_it_runs(self, schedule: Schedule, words: str) -> None:
        assert schedule.describe() == words

    @pytest.mark.parametrize(
        "expression, message",
        [
            ("61 * * * *", r"bad minute '61' in cron expression '61 \* \* \* \*'; write 0-59"),
            ("60 * * * * *", r"bad second '60' .*; write 0-59"),
            ("* 24 * * *", r"bad hour '24' .*; write 0-23"),
            ("* * 0 * *", r"bad day-of-month '0' .*; write 1-31"),
            ("* * * foo *", r"bad month 'foo' .*; write 1-12, \*, jan-mar"),
            ("* * * * mon-sun", r"bad day-of-week 'mon-sun' .*a range goes up, with sunday as 7"),
            ("*/0 * * * *", r"bad minute '\*/0'"),
            ("H * * * *", r"bad minute 'h'"),
            ("", r"'' has 0 fields; write five \(minute hour"),
            ("* * * *", r"has 4 fields; write five"),
            ("0 0 12 * * ? 2026", r"has 7 fields; write five"),
            ("@reboot", r"unknown cron alias '@reboot'; write one of @yearly"),
            ("0 0 30 2 *", r"'0 0 30 2 \*' never matches; write a day-of-month"),
            ("0 0 31 4,6,9,11 *", r"never matches"),
            ("0 0 */8 2 mon#5", r"never matches"),
            ("1" * 1001, r"cron expression of 1001 characters; write at most 1000"),
        ],
    )
    def test_a_bad_expression_is_refused_with_advice(self, expression: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            cron(expression)

    @pytest.mark.parametrize("tz", ["Europe/Berln", "Europe", "", "../etc/passwd", "/etc/localtime", "a\0b"])
    def test_an_unknown_zone_is_refused_with_advice(self, tz: str) -> None:
        with pytest.raises(
            ValueError, match=r"unknown time zone .*; write an IANA name such as 'Europe/Berlin'"
        ):
            cron("@daily", tz=tz)

    def test_a_zone_without_a_name_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"has no IANA name; write one, such as tz='Europe/Berlin'"):
            cron("@daily", tz=UTC)  # type: ignore[arg-type]

    @settings(deadline=None)
    @given(st.lists(st.text("0159*/-,#Llwmonjaf@H", min_size=1, max_size=6), min_size=4, max_size=7))
    def test_any_text_is_either_refused_or_works(self, fields: list[str]) -> None:
        try:
            schedule = cron(" ".join(fields))
        except ValueError:
            return

        assert schedule.describe()
        assert cron(schedule.expression) == schedule


def test_the_examples_of_the_module_run() -> None:
    assert doctest.testmod(module).failed == 0


class TestSpecs:
    @pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.spec)
    def test_a_schedule_is_read_from_its_spec(self, schedule: Schedule) -> None:
        assert of_spec(schedule.spec) == schedule

    @pytest.mark.parametrize(
        "spec",
        ["", "every", "every day", "every 5", "every 5.0s", "cron", "cron * * * * * UTC on 1", "daily"],
    )
    def test_any_other_text_is_refused(self, spec: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            of_spec(spec)
