"""``taskmill explain``: why a job does not run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from taskmill._app.application import Application
from taskmill._cli import exit_code, store
from taskmill._cli.output import complain, put, put_json
from taskmill._cli.parser import Parser
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.label import label_of
from taskmill._core.record import Job
from taskmill._core.waiting import Cause, causes
from taskmill._core.wording import ago, clean, span

_MOST_STEPS = 1_000


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Say why a job does not run yet: what it waits for, what matters most first. Of one that runs or has "
        "ended, it says that.",
        example="  taskmill explain 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    )
    parser.add_argument("job_id", metavar="JOB", help="the id of the job")
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Print the causes."""
    with store.open_app(arguments) as app:
        job = app.storage.inspection.job(arguments.job_id)
        if job is None:
            complain(f"there is no job {arguments.job_id!r}; `taskmill jobs list` prints whole ids")
            return exit_code.FAILURE
        found = _causes(app, job)
        now = to_datetime(app.storage.now())
    if arguments.json:
        told = [cause._asdict() for cause in found]
        put_json({"job_id": job.job_id, "state": str(job.state), "causes": told})
    else:
        put(f"{clean(job.task)} {clean(job.job_id)} is {label_of(job, now)}{_since(job, now)}")
        for cause in found:
            put(clean(f"  {cause.told}{f' ({cause.job_id})' if cause.job_id else ''}"))
        if job.state is State.FAILED:
            put(clean(f"  taskmill jobs show {job.job_id} has the traceback, jobs retry queues it again"))
    return exit_code.OK


def _causes(app: Application, job: Job) -> Sequence[Cause]:
    inspection = app.storage.inspection
    steps = inspection.steps(job.pipeline, limit=_MOST_STEPS) if job.pipeline and job.step else ()
    before = next((step for step in steps if step.step == job.step - 1), None)
    return causes(job, app.storage.health.census(), before=before, paused=inspection.paused())


def _since(job: Job, now: datetime) -> str:
    if job.state is State.RUNNING:
        return f", for {span((now - (job.began_at or now)).total_seconds())}"
    if job.ended_at is None:
        return ""
    error = (
        f": {job.error.type}: {job.error.message}" if job.error else f": {job.reason}" if job.reason else ""
    )
    return clean(f", {ago(job.ended_at, now)}{error}")
