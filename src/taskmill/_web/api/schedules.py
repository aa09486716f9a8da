"""Schedules, their pause, and a run of one beside its slots."""

from __future__ import annotations

from collections.abc import Callable

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._app.timetable import Entry, timetable
from taskmill._core.wording import clean
from taskmill._web import audit
from taskmill._web.api import shapes
from taskmill._web.api.telling import instant_or_none
from taskmill._web.problem import Problem
from taskmill._web.visit import Visit


def every(visit: Visit) -> shapes.Schedules:
    """All schedules."""
    return {"schedules": [_told(line) for line in timetable(visit.reader.storage)]}


def run(visit: Visit, schedule: str) -> shapes.Enqueued:
    """Enqueue a job of a schedule beside its slots."""
    job_id = steering.run_schedule(visit.app, schedule)
    audit.note(visit, "run of schedule", schedule, done=job_id is not None)
    if job_id is None:
        raise _refused(
            visit,
            schedule,
            "this dashboard does not know its task, and it has not run before",
            "serve the dashboard with the application: taskmill dashboard module:mill",
        )
    return {"job_id": job_id}


def pause(visit: Visit, schedule: str) -> shapes.Done:
    """Let no slot of a schedule fire any more; what it misses is not made up for."""
    return _turned(visit, schedule, steering.pause_schedule, "pause of schedule", "it is paused already")


def resume(visit: Visit, schedule: str) -> shapes.Done:
    """Let the slots of a schedule fire again, from the next one on."""
    return _turned(visit, schedule, steering.resume_schedule, "resuming of schedule", "it is not paused")


def _turned(
    visit: Visit, schedule: str, turn: Callable[[Application, str], bool], deed: str, wrong: str
) -> shapes.Done:
    done = turn(visit.app, schedule)
    audit.note(visit, deed, schedule, done=done)
    if not done:
        raise _refused(visit, schedule, wrong, "leave it as it is")
    return {"done": True, "is_asked_to_stop": False}


def _refused(visit: Visit, schedule: str, wrong: str, advice: str) -> Problem:
    """Why nothing was done to it."""
    if schedule not in {line.state.name for line in timetable(visit.reader.storage)}:
        return Problem(
            404,
            f"there is no schedule {clean(schedule)!r}",
            "ask GET /api/v1/schedules for those that there are",
        )
    return Problem(409, f"nothing was done: {wrong}", advice)


def _told(line: Entry) -> shapes.Schedule:
    state = line.state
    return {
        "name": state.name,
        "task": state.task,
        "spec": state.spec,
        "told": line.told,
        "last_slot": instant_or_none(line.last_slot),
        "next_at": instant_or_none(line.next_at),
        "fired": state.fired,
        "skipped": state.skipped,
        "last_job": state.last_job,
        "paused_at": instant_or_none(line.paused_at),
    }
