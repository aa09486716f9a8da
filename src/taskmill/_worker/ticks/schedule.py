"""Fires periodic tasks at their slots; every worker does it, the store lets each slot through once."""

from __future__ import annotations

import logging

from taskmill._app.application import Application
from taskmill._app.periodic import Periodic
from taskmill._core.instant import SECOND
from taskmill._core.schedule import Due, due
from taskmill._core.wording import counted
from taskmill._storage.base import ScheduleState
from taskmill._worker.report import harmless

logger = logging.getLogger("taskmill.worker")

# Waits are cut here, so that a step of the wall clock is seen.
LONGEST_REST = 1.0


class Schedule:
    def __init__(self, app: Application) -> None:
        self._app = app
        self._last_slots: dict[str, int] = {}
        self._paused: set[str] = set()

    def tick(self) -> float:
        rests = [self._run(periodic) for periodic in tuple(self._app.periodics.values())]
        return min([LONGEST_REST, *rests])

    def _run(self, periodic: Periodic) -> float:
        """Fire what is due; return how many seconds until the next slot."""
        if periodic.name in self._paused:
            self._look_again()
        if periodic.name not in self._last_slots:
            self._register(periodic)
        if periodic.name in self._paused:
            return LONGEST_REST
        now = self._app.storage.now()
        found = self._due(periodic, now)
        if found.skipped:
            # Missed by this worker; another one may have fired them.
            self._register(periodic)
            found = self._due(periodic, now)
        if (found.fire is not None or found.skipped) and not self._fire(periodic, found):
            return 0.0
        return LONGEST_REST if found.next_at is None else max(0.0, (found.next_at - now) / SECOND)

    def _register(self, periodic: Periodic) -> None:
        state = self._app.storage.schedules.register(
            name=periodic.name, task=periodic.task.name, spec=periodic.schedule.spec
        )
        self._note(state)

    def _note(self, state: ScheduleState) -> None:
        self._last_slots[state.name] = state.last_slot
        if state.paused_at is None:
            self._paused.discard(state.name)
        else:
            self._paused.add(state.name)

    def _due(self, periodic: Periodic, now: int) -> Due:
        return due(periodic.schedule, last_slot=self._last_slots[periodic.name], now=now)

    def _fire(self, periodic: Periodic, found: Due) -> bool:
        """Account for the slots that were found; False if another worker has done so for some, or it is paused."""
        job = None if found.fire is None else periodic.new_job(found.fire)
        with self._app.departing([] if job is None else [job]):
            is_ours = self._app.storage.schedules.fire(
                periodic.name,
                after=self._last_slots[periodic.name],
                slot=found.last_slot,
                fire=job,
                skipped=found.skipped,
            )
        if not is_ours:
            self._look_again()
            return False
        self._last_slots[periodic.name] = found.last_slot
        if found.skipped:
            missed = counted(found.skipped, "slot")
            logger.warning("%s: %s missed, and not made up for", periodic.name, missed)
        if job is not None:
            with harmless():
                self._app.tell_enqueued([job])
        return True

    def _look_again(self) -> None:
        known = tuple(self._last_slots)
        self._last_slots.clear()
        for state in self._app.storage.schedules.list():
            if state.name in known:
                self._note(state)
