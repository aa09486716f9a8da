"""One job: what it is, what became of it, why it waits, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from starlette.responses import Response

from taskmill._app import steering
from taskmill._app.events import history
from taskmill._core.instant import SECOND, to_datetime
from taskmill._core.job import State
from taskmill._core.journal import placed_lines
from taskmill._core.label import label_of
from taskmill._core.record import Job
from taskmill._core.waiting import Cause, causes
from taskmill._web import audit
from taskmill._web.rows import parameters_of
from taskmill._web.value import call, shown_headers, tree
from taskmill._web.visit import Visit

_STEPS_SHOWN = 200


class Moment(NamedTuple):
    """Something that happened to a job, and how long after the event before."""

    kind: str
    at: datetime
    attempt: int
    after: timedelta | None


def show(visit: Visit) -> Response:
    """All that is known of it."""
    job_id = visit.request.path_params["job_id"]
    job = visit.reader.inspection.job(job_id)
    if job is None:
        return visit.page(
            "missing.html",
            status=404,
            what="There is no such job: it was deleted, or its time to be kept is over.",
        )
    now = to_datetime(visit.reader.storage.now())
    steps = steps_of(visit, job)
    return visit.page(
        "job.html",
        job=job,
        now=now,
        label=label_of(job, now),
        causes=causes_of(visit, job, steps),
        moments=moments_of(visit, job),
        arguments=call(job.args, parameters_of(visit, job.task), visit.app.secrecy),
        result=None if job.result is None else tree(job.result, visit.app.secrecy),
        lines=list(placed_lines(visit.reader.storage.journals.read(job_id))),
        headers=shown_headers(job.headers, visit.app.secrecy),
        steps=steps,
        ran_for=_ran_for(job, now),
        kept_until=_kept_until(job),
        can_retry=job.state in {State.FAILED, State.CANCELLED},
        can_cancel=not job.state.is_final and not job.cancel_requested,
        can_hasten=job.state is State.QUEUED and job.run_at > now,
        can_change=not job.step and visit.app.tasks.find(job.task) is not None,
        can_delete=job.state is not State.RUNNING,
    )


def retry(visit: Visit) -> Response:
    """Queue it again."""
    job_id = visit.request.path_params["job_id"]
    done = steering.retry(visit.app, job_id)
    audit.note(visit, "retry", job_id, done=done)
    return _back(
        visit,
        job_id,
        "It is queued again."
        if done
        else "It could not be queued again: it has not failed, or a step before it has.",
    )


def cancel(visit: Visit) -> Response:
    """Cancel it, or ask it to stop."""
    job_id = visit.request.path_params["job_id"]
    answer = steering.cancel_with_answer(visit.app, job_id)
    audit.note(visit, "cancel", job_id, done=answer in {"cancelled", "requested"})
    told = {
        "cancelled": "It is cancelled.",
        "requested": "It was asked to stop, and will not be retried.",
        "ended": "It had ended already.",
        "missing": "It is gone.",
    }
    return _back(visit, job_id, told[answer])


def hasten(visit: Visit) -> Response:
    """Let it run now."""
    job_id = visit.request.path_params["job_id"]
    done = steering.hasten(visit.app, job_id)
    audit.note(visit, "hasten", job_id, done=done)
    return _back(visit, job_id, "It is due now." if done else "It is due already, or does not wait any more.")


def clone(visit: Visit) -> Response:
    """Enqueue the same call once more."""
    job_id = visit.request.path_params["job_id"]
    copy = steering.clone(visit.app, job_id)
    audit.note(visit, "clone", job_id, done=copy is not None)
    if copy is None:
        return _back(visit, job_id, "It cannot be: it is gone, or it needs the result of the step before it.")
    return visit.back("This is a new job with the same call.", to=f"/jobs/{copy}")


def delete(visit: Visit) -> Response:
    """Delete it for good."""
    job_id = visit.request.path_params["job_id"]
    gone = steering.delete(visit.app, [job_id])
    audit.note(visit, "delete", job_id, done=gone > 0)
    if not gone:
        return _back(
            visit, job_id, "It cannot be deleted: it runs, or a later step of its pipeline needs its result."
        )
    return visit.back("The job is deleted.", to="/jobs")


def _back(visit: Visit, job_id: str, said: str) -> Response:
    return visit.back(said, to=f"/jobs/{job_id}")


def causes_of(visit: Visit, job: Job, steps: Sequence[Job]) -> Sequence[Cause]:
    """Why it waits, if it does."""
    before = next((step for step in steps if step.step == job.step - 1), None)
    census, paused = visit.reader.survey.get().census, visit.reader.inspection.paused()
    return causes(job, census, before=before, paused=paused)


def steps_of(visit: Visit, job: Job) -> Sequence[Job]:
    """Those of its pipeline."""
    if job.pipeline is None:
        return ()
    return visit.reader.inspection.steps(job.pipeline, limit=_STEPS_SHOWN)


def moments_of(visit: Visit, job: Job) -> list[Moment]:
    """What happened to it, in order."""
    events = [*history(visit.app, job)]
    afters = [None, *(later.at - earlier.at for earlier, later in pairwise(events))]
    return [
        Moment(event.kind, event.at, event.attempt, after)
        for event, after in zip(events, afters, strict=True)
    ]


def _ran_for(job: Job, now: datetime) -> timedelta | None:
    if job.started_at is None:
        return None
    return (job.ended_at or now) - job.started_at if job.state is State.RUNNING or job.ended_at else None


def _kept_until(job: Job) -> datetime | None:
    if job.ended_at is None or job.state is State.FAILED:
        return None
    return job.ended_at + timedelta(seconds=job.result_ttl / SECOND)
