"""What the clock enqueues: when next, when last, and now if somebody wants."""

from __future__ import annotations

from starlette.responses import Response

from taskmill._app import steering
from taskmill._app.timetable import timetable
from taskmill._core.instant import to_datetime
from taskmill._web import audit
from taskmill._web.visit import Visit


def show(visit: Visit) -> Response:
    """One line for each."""
    storage = visit.reader.storage
    return visit.page("schedules.html", now=to_datetime(storage.now()), schedules=timetable(storage))


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
