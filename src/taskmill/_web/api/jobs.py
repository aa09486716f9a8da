"""Jobs: a page of them, one of them, and what can be done to it."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import cast

from taskmill._app import steering
from taskmill._app.options import CallOptions
from taskmill._app.settings import CallSettings
from taskmill._core.instant import SECOND, to_datetime
from taskmill._core.job import ErrorInfo
from taskmill._core.journal import placed_lines
from taskmill._core.label import label_of
from taskmill._core.record import Job as Record
from taskmill._core.remark import Progress
from taskmill._core.wording import clean
from taskmill._web import audit
from taskmill._web.api import shapes
from taskmill._web.api.telling import instant, instant_or_none
from taskmill._web.pages.job import causes_of, moments_of, steps_of
from taskmill._web.pages.jobs import PAGE, page_of
from taskmill._web.problem import Problem
from taskmill._web.rows import parameters_of
from taskmill._web.value import call_line, masked, masked_call, shown_headers
from taskmill._web.visit import Visit
from taskmill._web.wanted import Wanted, wanted_in
from taskmill.errors import EnqueueError, UndecodablePayload

_LONGEST_CALL = 500


def page(visit: Visit, query: shapes.JobsQuery) -> shapes.JobPage:
    """The jobs that match all that is said, newest first."""
    limit = query.get("limit", PAGE)
    found = page_of(visit, wanted_of(query).filter, after=query.get("after"), limit=limit)
    now = to_datetime(visit.reader.storage.now())
    return {"jobs": [_line(visit, job, now) for job in found.jobs], "more": found.more}


def wanted_of(query: shapes.Filter) -> Wanted:
    """The same, as the pages say it; but what cannot be read is refused, lest more jobs match than were meant."""
    said = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in query.items()}
    wanted = wanted_in(said.get)
    for name in Wanted._fields:
        if name in said and name not in wanted.said:
            raise Problem(400, f"{name}={said[name]!r} cannot be read", "say it otherwise, or leave it out")
    return wanted


def show(visit: Visit, job_id: str) -> shapes.Job:
    """All that is known of a job."""
    job = visit.reader.inspection.job(job_id)
    if job is None:
        raise _missing(job_id)
    steps = steps_of(visit, job)
    secrecy = visit.app.secrecy
    args, kwargs = masked_call(job.args, parameters_of(visit, job.task), secrecy)
    return {
        **_line(visit, job, to_datetime(visit.reader.storage.now())),
        "args": args,
        "kwargs": kwargs,
        "result": None if job.result is None else masked(job.result, secrecy),
        "headers": shown_headers(job.headers, secrecy),
        "failure": _error(job.error),
        "executor": job.executor,
        "attempts": [
            {
                "number": attempt.number,
                "outcome": attempt.outcome,
                "started_at": instant_or_none(attempt.started_at),
                "ended_at": instant(attempt.ended_at),
                "error": _error(attempt.error),
            }
            for attempt in job.attempts
        ],
        "events": [
            {"kind": moment.kind, "at": instant(moment.at), "attempt": moment.attempt}
            for moment in moments_of(visit, job)
        ],
        "progress": _progress(job.progress),
        "log": [
            {
                "attempt": line.attempt,
                "fence": fence,
                "at": instant(line.at),
                "level": line.level,
                "logger": line.logger,
                "message": line.message,
            }
            for (fence, _), line in placed_lines(visit.reader.storage.journals.read(job_id))
        ],
        "waits_because": [
            {"name": cause.name, "told": cause.told, "job_id": cause.job_id}
            for cause in causes_of(visit, job, steps)
        ],
        "waits_for_lock": job.waits_for,
        "steps": [step.job_id for step in steps],
        "session": job.session,
        "rescues": job.rescues,
        "crashes": job.crashes,
        "claimed_at": instant_or_none(job.claimed_at),
        "expires_at": instant_or_none(job.expires_at),
        "result_ttl": job.result_ttl / SECOND,
        "cancel_requested": job.cancel_requested,
    }


def enqueue(visit: Visit, body: shapes.Enqueue) -> shapes.Enqueued:
    """Enqueue a call of a task."""
    task = visit.app.tasks.find(body["task"])
    if task is None:
        raise Problem(
            404,
            f"this dashboard knows no task {clean(body['task'])!r}",
            "ask GET /api/v1/tasks for those that it knows, and serve it with the application: taskmill dashboard "
            "module:mill",
        )
    decode = visit.app.codec.decode
    said = {name: value for name, value in body.items() if name not in {"task", "args", "kwargs"}}
    try:
        args = [decode(json.dumps(value)) for value in body.get("args", [])]
        kwargs = {name: decode(json.dumps(value)) for name, value in body.get("kwargs", {}).items()}
        job = task.new_job(tuple(args), kwargs, CallOptions.of(cast(CallSettings, said)))
        [job_id] = visit.app.submit([job])
    except (EnqueueError, UndecodablePayload) as error:
        raise Problem(400, str(error), "send what the task takes: GET /api/v1/tasks") from None
    audit.note(visit, "enqueue", f"{task.name} {job_id}", done=True)
    return {"job_id": job_id}


def retry(visit: Visit, job_id: str) -> shapes.Done:
    """Queue a failed or cancelled job again."""
    done = steering.retry(visit.app, job_id)
    audit.note(visit, "retry", job_id, done=done)
    if not done:
        raise _refused(
            visit,
            job_id,
            "it has neither failed nor been cancelled, or a step before it has",
            "retry the first step of its pipeline that has not succeeded; what has succeeded can be cloned",
        )
    return {"done": True, "is_asked_to_stop": False}


def cancel(visit: Visit, job_id: str) -> shapes.Done:
    """Cancel a job that waits, or ask one that runs to stop."""
    answer = steering.cancel_with_answer(visit.app, job_id)
    audit.note(visit, "cancel", job_id, done=answer in {"cancelled", "requested"})
    match answer:
        case "cancelled":
            return {"done": True, "is_asked_to_stop": False}
        case "requested":
            return {"done": True, "is_asked_to_stop": True}
        case _:
            raise _refused(visit, job_id, "it has ended already", "leave it, or delete it")


def hasten(visit: Visit, job_id: str) -> shapes.Done:
    """Let a job run now that is to run later."""
    done = steering.hasten(visit.app, job_id)
    audit.note(visit, "hasten", job_id, done=done)
    if not done:
        raise _refused(
            visit, job_id, "it is due already, or does not wait", "see why it waits in its waits_because"
        )
    return {"done": True, "is_asked_to_stop": False}


def clone(visit: Visit, job_id: str) -> shapes.Enqueued:
    """Enqueue the same call once more."""
    copy = steering.clone(visit.app, job_id)
    audit.note(visit, "clone", job_id, done=copy is not None)
    if copy is None:
        raise _refused(
            visit, job_id, "it needs the result of the step before it", "clone the first step of its pipeline"
        )
    return {"job_id": copy}


def delete(visit: Visit, job_id: str) -> shapes.Done:
    """Delete a job for good."""
    done = steering.delete(visit.app, [job_id]) > 0
    audit.note(visit, "delete", job_id, done=done)
    if not done:
        raise _refused(
            visit,
            job_id,
            "it runs, or a later step of its pipeline needs its result",
            "cancel it first, or wait until it has ended",
        )
    return {"done": True, "is_asked_to_stop": False}


def _missing(job_id: str) -> Problem:
    return Problem(
        404,
        f"there is no job {clean(job_id)!r}",
        "it was deleted, or its time to be kept is over: ask GET /api/v1/jobs for those that there are",
    )


def _refused(visit: Visit, job_id: str, wrong: str, advice: str) -> Problem:
    """Why nothing was done to it."""
    if visit.reader.inspection.outcome(job_id) is None:
        return _missing(job_id)
    return Problem(409, f"nothing was done: {wrong}", advice)


def _line(visit: Visit, job: Record, now: datetime) -> shapes.JobLine:
    return {
        "job_id": job.job_id,
        "task": job.task,
        "call": call_line(job.args, parameters_of(visit, job.task), visit.app.secrecy)[:_LONGEST_CALL],
        "queue": job.queue,
        "state": job.state,
        "label": label_of(job, now),
        "reason": job.reason,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "enqueued_at": instant(job.enqueued_at),
        "run_at": instant(job.run_at),
        "started_at": instant_or_none(job.began_at),
        "ended_at": instant_or_none(job.ended_at),
        "error": None if job.error is None else str(job.error),
        "tags": [*job.tags],
        "lock": job.lock,
        "key": job.key,
        "pipeline": job.pipeline,
        "step": job.step,
    }


def _progress(progress: Progress | None) -> shapes.Progress | None:
    if progress is None or not all(map(math.isfinite, (progress.done, progress.total or 0))):
        return None
    return {
        "done": progress.done,
        "total": progress.total,
        "text": progress.text,
        "said_at": instant(progress.said_at),
    }


def _error(error: ErrorInfo | None) -> shapes.Error | None:
    if error is None:
        return None
    return {"type": error.type, "message": error.message, "traceback": error.traceback}
