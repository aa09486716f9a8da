"""crontab() against Huey's own, which is installed for the benchmarks; and its slots against its matches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.huey import ConfigurationError, MemoryHuey, crontab
from taskmill.huey.schedule import local_zone

hueys_crontab = pytest.importorskip("huey", reason="Huey is not installed").crontab

SECOND = 1_000_000


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * SECOND)


def pieces(lowest: int, highest: int, *, steps: bool = True) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    span = st.builds("{}-{}".format, number, number)
    kinds = [
        st.just("*"),
        number.map(str),
        span,
        st.builds("{}/{}".format, span, st.integers(1, 9)),
        st.just("?"),
    ]
    if steps:
        kinds.append(st.integers(1, 40).map("*/{}".format))
    return st.lists(st.one_of(kinds), min_size=1, max_size=3).map(",".join)


FIELDS = {
    "minute": pieces(0, 59),
    "hour": pieces(0, 23),
    "day": pieces(1, 31),
    "month": pieces(1, 12),
    "day_of_week": pieces(0, 7, steps=False),
}


@given(
    fields=st.fixed_dictionaries({}, optional=FIELDS),
    moments=st.lists(st.datetimes(), min_size=5, max_size=20),
)
def test_it_matches_what_hueys_matches(fields: dict[str, str], moments: list[datetime]) -> None:
    try:
        theirs = hueys_crontab(**fields)
    except ValueError:
        with pytest.raises(ValueError, match="match"):
            crontab(**fields)
        return

    assert [crontab(**fields)(moment) for moment in moments] == [theirs(moment) for moment in moments]


@pytest.mark.parametrize("field", ["61", "0-61", "abc", "a-b", "*abc", "0x9", "*/0", "0-30/0", ""])
def test_a_wrong_minute_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=r"valid input|matches no values|leads nowhere"):
        crontab(minute=field)


def test_a_step_of_the_days_of_the_week_is_refused() -> None:
    with pytest.raises(ValueError, match="valid input"):
        crontab(day_of_week="*/3")


def test_what_is_not_understood_is_left_out_unless_strict() -> None:
    assert crontab(minute="5,x") == crontab(minute=5)
    with pytest.raises(ValueError, match="'x' is not a valid input"):
        crontab(minute="5,x", strict=True)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"minute": "*/15"},
        {"minute": "0", "hour": "22-2"},
        {"minute": "0", "hour": "12", "day_of_week": "0,7,3"},
        {"minute": "30", "hour": "9", "day": "1-7", "day_of_week": "1"},
        {"minute": "*/20", "day": "13", "day_of_week": "5", "month": "2,3,11"},
        {"minute": "0", "hour": "0", "day": "29", "month": "2", "day_of_week": "0-5"},
    ],
)
def test_its_slots_are_the_minutes_that_match(fields: dict[str, str]) -> None:
    matches, schedule = crontab(**fields), crontab(**fields).schedule("UTC")
    slot = micros(datetime(2026, 1, 31, 11, 59, 30, tzinfo=UTC))

    for _ in range(5):
        found = schedule.next_after(slot)
        assert found is not None
        moment = datetime.fromtimestamp(found / SECOND, UTC)
        assert moment.second == 0
        assert matches(moment)
        between = (found - slot) // (60 * SECOND)
        if between < 100_000:
            assert not any(matches(moment - timedelta(minutes=back)) for back in range(1, between))
        slot = found


def test_both_the_day_and_the_day_of_the_week_must_match() -> None:
    schedule = crontab(minute="0", hour="9", day="13", day_of_week="5").schedule("UTC")

    found = schedule.next_after(micros(datetime(2026, 4, 1, tzinfo=UTC)))

    assert found == micros(datetime(2026, 11, 13, 9, tzinfo=UTC))
    assert schedule.spec == "cron 0 9 13 * * UTC on 5"
    assert "day 5 of the week" in schedule.describe()


def test_days_that_never_meet_have_no_slot() -> None:
    leap_monday = crontab(minute="0", hour="0", day="29", month="2", day_of_week="1").schedule("UTC")

    assert leap_monday.next_after(micros(datetime(2029, 1, 1, tzinfo=UTC))) is None
    with pytest.raises(ValueError, match="never matches"):
        crontab(day="30", month="2").schedule("UTC")


def test_only_a_schedule_makes_a_task_periodic() -> None:
    with pytest.raises(ConfigurationError, match="no schedule"):
        MemoryHuey().periodic_task(lambda moment: True)


@pytest.mark.parametrize(
    "variable, zone", [("Europe/Berlin", "Europe/Berlin"), (":Asia/Tokyo", "Asia/Tokyo"), ("", "UTC")]
)
def test_the_local_zone_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, zone: str
) -> None:
    monkeypatch.setenv("TZ", variable)

    assert local_zone() == zone


def test_without_a_variable_it_is_that_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "link").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    (tmp_path / "copy").touch()

    assert local_zone(tmp_path / "link") == "Europe/Berlin"
    assert local_zone(tmp_path / "missing") == "UTC"
    with pytest.raises(ConfigurationError, match="set TZ"):
        local_zone(tmp_path / "copy")
