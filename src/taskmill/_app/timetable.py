"""What the clock enqueues, for people: when next, and in words."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from taskmill._core.instant import moment_of, to_datetime
from taskmill._core.schedule import of_spec
from taskmill._storage.base import ScheduleState, Storage


class Entry(NamedTuple):
    """A schedule; `told` says in English when it is due, `next_at` is None where it never is again.

    `last_slot` is None where none has fired or was skipped yet.
    """

    state: ScheduleState
    told: str
    last_slot: datetime | None
    next_at: datetime | None
    paused_at: datetime | None


def timetable(storage: Storage) -> list[Entry]:
    """All schedules by name."""
    now = storage.now()
    return [_entry(state, now) for state in storage.schedules.list()]


def _entry(state: ScheduleState, now: int) -> Entry:
    last_slot = to_datetime(state.last_slot) if state.fired or state.skipped else None
    paused_at = moment_of(state.paused_at)
    try:
        schedule = of_spec(state.spec)
    except ValueError:
        return Entry(state, state.spec, last_slot, None, paused_at)
    return Entry(state, schedule.describe(), last_slot, moment_of(schedule.next_after(now)), paused_at)
