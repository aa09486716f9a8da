"""Is everything all right, and what happens just now."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, NamedTuple

from starlette.responses import Response

from taskmill._app.survey import Survey
from taskmill._core.census import Census
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._storage.base import QueueCount
from taskmill._web.charts import curves_until
from taskmill._web.rows import rows_of
from taskmill._web.visit import Visit

_RECENT = 50
_SHOWN_FAILURES = 5
_SHOWN_RUNNING = 8
_SHOWN_QUEUES = 6


class Queue(NamedTuple):
    """A queue, for how long its first due job has waited, and what keeps it from being worked off, if anything does."""

    held: QueueCount
    oldest: timedelta | None
    trouble: Literal["nobody", "paused"] | None


def show(visit: Visit) -> Response:
    """The first page."""
    survey = visit.reader.survey.get()
    now = visit.reader.storage.now()
    latest = [
        job
        for job in visit.reader.inspection.recent(_RECENT)
        if job.state.is_final and job.started_at is not None
    ]
    shown = curves_until(visit.reader.storage, now)
    return visit.page(
        "overview.html",
        now=to_datetime(now),
        counts=survey.counts,
        findings=survey.findings,
        queues=queues_of(visit)[:_SHOWN_QUEUES],
        due=survey.due,
        workers=survey.census.working,
        curves=shown,
        drained_in=drained_in(survey, shown.rate),
        running=rows_of(
            visit, visit.reader.inspection.find(Filter(states=[State.RUNNING]), limit=_SHOWN_RUNNING)
        ),
        failures=rows_of(
            visit, visit.reader.inspection.find(Filter(states=[State.FAILED]), limit=_SHOWN_FAILURES)
        ),
        latest=rows_of(
            visit,
            sorted(latest, key=lambda job: job.ended_at or job.enqueued_at, reverse=True)[:_SHOWN_RUNNING],
        ),
    )


def drained_in(survey: Survey, rate: float) -> timedelta | None:
    """How long what is due takes at this rate, if it is any, and if anybody is at work."""
    return timedelta(minutes=survey.due / rate) if survey.due and rate and survey.census.working else None


def queues_of(visit: Visit) -> list[Queue]:
    """Those in trouble first, then by how long their jobs have waited."""
    survey, paused = visit.reader.survey.get(), visit.reader.inspection.paused()
    oldest = oldest_by_queue(survey.census)
    queues = []
    for held in survey.queues:
        is_served = any(serves.has_queue(held.queue) for serves in survey.census.working)
        trouble: Literal["nobody", "paused"] | None = "paused" if held.queue in paused else None
        if not is_served and trouble is None and held.due:
            trouble = "nobody"
        queues.append(Queue(held, oldest.get(held.queue), trouble))
    return sorted(
        queues, key=lambda queue: (queue.trouble is None, -(queue.oldest or timedelta()), -queue.held.due)
    )


def oldest_by_queue(census: Census) -> dict[str, timedelta]:
    """For how long the first due job of each queue has been waiting."""
    return {queue: timedelta(microseconds=micros) for queue, micros in census.waits().items()}
