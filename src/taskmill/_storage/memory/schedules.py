"""Schedules in memory."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.job import NewJob
from taskmill._storage.base import ScheduleState, ScheduleStore
from taskmill._storage.memory.changes import Memory


class MemorySchedules(ScheduleStore):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def register(self, *, name: str, task: str, spec: str) -> ScheduleState:
        with self._memory.change() as changes:
            known = changes.tables.schedules.get(name)
            fresh = known or ScheduleState(name, task, spec, changes.now, 0, 0, None)
            last_slot = fresh.last_slot if fresh.spec == spec else changes.now
            fresh = fresh._replace(task=task, spec=spec, last_slot=last_slot)
            if fresh != known:
                changes.tables.schedules[name] = fresh
                changes.tables.version += 1
            return fresh

    def fire(self, name: str, *, after: int, slot: int, fire: NewJob | None, skipped: int) -> bool:
        with self._memory.change() as changes:
            known = changes.tables.schedules.get(name)
            if known is None or known.paused_at is not None or after != known.last_slot or slot <= after:
                return False
            changes.tables.schedules[name] = known._replace(
                last_slot=slot,
                fired=known.fired + (fire is not None),
                skipped=known.skipped + skipped,
                last_job=known.last_job if fire is None else changes.add(fire),
            )
            changes.tables.version += 1
            return True

    def pause(self, name: str) -> bool:
        with self._memory.change() as changes:
            known = changes.tables.schedules.get(name)
            if known is None or known.paused_at is not None:
                return False
            changes.tables.schedules[name] = known._replace(paused_at=changes.now)
            changes.tables.version += 1
            return True

    def resume(self, name: str) -> bool:
        with self._memory.change() as changes:
            known = changes.tables.schedules.get(name)
            if known is None or known.paused_at is None:
                return False
            changes.tables.schedules[name] = known._replace(
                paused_at=None, last_slot=max(known.last_slot, changes.now)
            )
            changes.tables.version += 1
            return True

    def list(self) -> Sequence[ScheduleState]:
        with self._memory.read() as tables:
            return sorted(tables.schedules.values())
