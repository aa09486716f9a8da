"""A job as a line of a list."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._web.value import call_line
from taskmill._web.visit import Visit


class Row(NamedTuple):
    """What a list shows of a job: its call, and what the clock says of it in its state."""

    job: Job
    call: str
    word: str
    moment: datetime | None
    took: timedelta | None


def rows_of(visit: Visit, jobs: Iterable[Job]) -> list[Row]:
    """The jobs as lines."""
    now = to_datetime(visit.reader.storage.now())
    return [
        Row(job, call_line(job.args, parameters_of(visit, job.task), visit.app.secrecy), *_when(job, now))
        for job in jobs
    ]


def parameters_of(visit: Visit, task: str) -> list[str]:
    """The names of the parameters of a task, where it is known here."""
    known = visit.app.tasks.find(task)
    return [] if known is None else list(known.parameters.signature.parameters)


def _when(job: Job, now: datetime) -> tuple[str, datetime | None, timedelta | None]:
    match job.state:
        case State.BLOCKED:
            return "enqueued", job.enqueued_at, None
        case State.QUEUED:
            return "due", job.run_at, None
        case State.RUNNING:
            return "started", job.began_at, None if job.began_at is None else now - job.began_at
        case _:
            took = None if job.started_at is None or job.ended_at is None else job.ended_at - job.started_at
            return str(job.state), job.ended_at, took
