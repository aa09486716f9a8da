"""Schedules on Redis."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from taskmill._core.job import NewJob
from taskmill._storage.base import ScheduleState, ScheduleStore
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.jobs import added


class RedisSchedules(ScheduleStore):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def register(self, *, name: str, task: str, spec: str) -> ScheduleState:
        return schedule_of(self._caller.change("register", name, task, spec))

    def fire(self, name: str, *, after: int, slot: int, fire: NewJob | None, skipped: int) -> bool:
        jobs = () if fire is None else added([fire])
        return bool(self._caller.change("fire", name, after, slot, skipped, *jobs, once=True))

    def pause(self, name: str) -> bool:
        return bool(self._caller.change("pause_schedule", name))

    def resume(self, name: str) -> bool:
        return bool(self._caller.change("resume_schedule", name))

    def list(self) -> Sequence[ScheduleState]:
        link = self._caller.link
        return sorted(schedule_of(json.loads(text)) for text in link.ask("HVALS", link.key("schedules")))


def schedule_text(schedule: ScheduleState) -> str:
    """As shared/schedule.lua keeps it."""
    name, task, spec, last_slot, fired, skipped, last_job, paused_at = schedule
    since = None if paused_at is None else str(paused_at)
    return json.dumps([name, task, spec, str(last_slot), fired, skipped, last_job, since])


def schedule_of(told: Sequence[Any]) -> ScheduleState:
    """From the columns of shared/schedule.lua."""
    name, task, spec, slot, fired, skipped, last_job, since = told
    paused_at = None if since is None else int(since)
    return ScheduleState(name, task, spec, int(slot), int(fired), int(skipped), last_job, paused_at)
