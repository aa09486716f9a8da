"""What the clock enqueues: when next, when last, now if somebody wants, and not at all while it is paused."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._app.timetable import timetable
from taskmill._core.instant import to_datetime
from taskmill._web import audit
from taskmill._web.visit import Visit


def show(visit: Visit) -> Response:
    """One line for each."""
    storage = visit.reader.storage
    return visit.page(
        "schedules.html",
        now=to_datetime(storage.now()),
        schedules=timetable(storage),
        workers=len(visit.reader.survey.get().census.working),
    )


def run(visit: Visit) -> Response:
    """Enqueue the job of one, beside its slots."""
    name = visit.given("name") or ""
    job_id = steering.run_schedule(visit.app, name)
    audit.note(visit, "run of schedule", name, done=job_id is not None)
    if job_id is None:
        return visit.back(
            "It could not be run: this dashboard does not know its task, and it has not run before.",
            to="/schedules",
        )
    return visit.back("This is a job of the schedule, beside its slots.", to=f"/jobs/{job_id}")


def pause(visit: Visit) -> Response:
    """Let no slot of one fire."""
    told = "Schedule %s is paused: its slots until it is resumed are not made up for."
    return _turned(visit, steering.pause_schedule, "pause of schedule", told)


def resume(visit: Visit) -> Response:
    """Let them fire again."""
    return _turned(
        visit, steering.resume_schedule, "resuming of schedule", "Schedule %s goes on with its next slot."
    )


def _turned(visit: Visit, turn: Callable[[Application, str], bool], deed: str, told: str) -> Response:
    name = visit.given("name") or ""
    done = turn(visit.app, name)
    audit.note(visit, deed, name, done=done)
    return visit.back(told % name if done else "That was so already.", to="/schedules")
