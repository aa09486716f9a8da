"""Is everything all right, and what happens just now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from starlette.responses import Response

from taskmill._core.census import Census
from taskmill._core.instant import MINUTE, SECOND, to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._web.charts import MINUTES, curves
from taskmill._web.rows import rows_of
from taskmill._web.visit import Visit

_RECENT = 200
_SHOWN_FAILURES = 5
_SHOWN_RUNNING = 8
_SHOWN_QUEUES = 6


class Pace(NamedTuple):
    """How long the latest jobs waited and ran: the middle one, and the slowest but one in twenty."""

    jobs: int
    wait: tuple[timedelta, timedelta] | None
    run: tuple[timedelta, timedelta] | None


def show(visit: Visit) -> Response:
    """The first page."""
    survey = visit.reader.survey.get()
    now = visit.reader.storage.now()
    latest = latest_of(visit)
    minute = now // MINUTE
    shown = curves(visit.reader.storage.statistics.series(since=minute - MINUTES + 1), minute)
    return visit.page(
        "overview.html",
        now=to_datetime(now),
        counts=counts_of(visit),
        findings=survey.findings,
        queues=sorted(survey.queues, key=lambda queue: -queue.due)[:_SHOWN_QUEUES],
        oldest=oldest_by_queue(survey.census),
        workers=survey.census.working,
        pace=pace(latest),
        curves=shown,
        drained_in=_drained_in(sum(queue.due for queue in survey.queues), shown.rate),
        running=rows_of(visit, visit.reader.inspection.find(states=[State.RUNNING], limit=_SHOWN_RUNNING)),
        failures=rows_of(visit, visit.reader.inspection.find(states=[State.FAILED], limit=_SHOWN_FAILURES)),
        latest=rows_of(
            visit,
            sorted(latest, key=lambda job: job.ended_at or job.enqueued_at, reverse=True)[:_SHOWN_RUNNING],
        ),
    )


def latest_of(visit: Visit) -> list[Job]:
    """Jobs that ran and ended of late, in no set order."""
    recent = visit.reader.inspection.recent(_RECENT)
    return [job for job in recent if job.state.is_final and job.started_at is not None]


def _drained_in(due: int, rate: float) -> timedelta | None:
    """How long what is due takes at this rate, if it is any."""
    return timedelta(minutes=due / rate) if due and rate else None


def counts_of(visit: Visit) -> Counter[State]:
    """How many jobs there are in each state."""
    counts: Counter[State] = Counter()
    for queue in visit.reader.survey.get().queues:
        counts.update(queue.states)
    return counts


def oldest_by_queue(census: Census) -> dict[str, timedelta]:
    """For how long the first due job of each queue has been waiting."""
    oldest: dict[str, int] = {}
    for waiting in census.waiting:
        if waiting.oldest is not None:
            oldest[waiting.queue] = min(waiting.oldest, oldest.get(waiting.queue, waiting.oldest))
    return {queue: timedelta(seconds=(census.now - at) / SECOND) for queue, at in oldest.items()}


def pace(jobs: Sequence[Job]) -> Pace:
    """Of jobs that have ended."""
    waits = [job.started_at - max(job.run_at, job.enqueued_at) for job in jobs if job.started_at]
    runs = [job.ended_at - job.started_at for job in jobs if job.started_at and job.ended_at]
    return Pace(len(jobs), middle_and_slow(waits), middle_and_slow(runs))


def middle_and_slow(durations: Sequence[timedelta]) -> tuple[timedelta, timedelta] | None:
    """The median and the 95th percentile; None of nothing."""
    if not durations:
        return None
    ordered = sorted(max(duration, timedelta()) for duration in durations)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)]
