"""Schedules, and a run of one beside its slots."""

from __future__ import annotations

from taskmill._app import steering
from taskmill._core.wording import clean
from taskmill._web import audit
from taskmill._web.api import shapes
from taskmill._web.api.telling import instant, instant_or_none
from taskmill._web.pages.schedules import Line, lines_of
from taskmill._web.problem import Problem
from taskmill._web.visit import Visit


def every(visit: Visit) -> shapes.Schedules:
    """All schedules."""
    return {"schedules": [_told(line) for line in lines_of(visit)]}


def run(visit: Visit, schedule: str) -> shapes.Enqueued:
    """Enqueue a job of a schedule beside its slots."""
    job_id = steering.run_schedule(visit.app, schedule)
    audit.note(visit, "run of schedule", schedule, done=job_id is not None)
    if job_id is None:
        if schedule not in {line.state.name for line in lines_of(visit)}:
            raise Problem(
                404,
                f"there is no schedule {clean(schedule)!r}",
                "ask GET /api/v1/schedules for those that there are",
            )
        raise Problem(
            409,
            "this dashboard does not know the task of the schedule, and it has not run before",
            "serve the dashboard with the application: taskmill dashboard module:mill",
        )
    return {"job_id": job_id}


def _told(line: Line) -> shapes.Schedule:
    state = line.state
    return {
        "name": state.name,
        "task": state.task,
        "spec": state.spec,
        "told": line.told,
        "last_slot": instant(line.last_slot),
        "next_at": instant_or_none(line.next_at),
        "fired": state.fired,
        "skipped": state.skipped,
        "last_job": state.last_job,
    }
