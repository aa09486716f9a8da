"""Failed jobs by what went wrong: errors that differ in their figures only are one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from starlette.responses import Response

from taskmill._core.fingerprint import Fingerprint, fingerprint
from taskmill._core.instant import to_datetime
from taskmill._core.record import Job
from taskmill._storage.base import Page
from taskmill._web.visit import Visit

_HOURS = 24


class Group(NamedTuple):
    """Jobs that failed for the same reason: the *latest* of them, how many there are, and how many in each hour."""

    kind: Fingerprint
    task: str
    latest: Job
    jobs: Sequence[Job]
    first_at: datetime
    last_at: datetime
    hours: Sequence[int]


def show(visit: Visit) -> Response:
    """One panel for each kind, the latest first; of one task, if the address says so."""
    now = to_datetime(visit.reader.storage.now())
    task = visit.asked("task")
    page = failed_jobs(visit, task)
    return visit.page(
        "errors.html",
        now=now,
        groups=grouped(page.jobs, now),
        task=task,
        number=len(page.jobs),
        is_all=page.more is None,
    )


def failed_jobs(visit: Visit, task: str | None = None) -> Page:
    """The latest ones (of one task), as they were when they were last read."""
    jobs, more = visit.reader.failures.get()
    return Page([job for job in jobs if task in {None, job.task}], more)


def ids_of_kind(visit: Visit, mark: str) -> list[str]:
    """The jobs of one kind of error, of those that the page shows."""
    failed = failed_jobs(visit).jobs
    return [job.job_id for job in failed if fingerprint(job.task, job.reason, job.error).mark == mark]


def grouped(jobs: Iterable[Job], now: datetime) -> list[Group]:
    """The kinds of errors of failed jobs."""
    kinds: dict[str, tuple[Fingerprint, list[Job]]] = {}
    for job in jobs:
        kind = fingerprint(job.task, job.reason, job.error)
        kinds.setdefault(kind.mark, (kind, []))[1].append(job)
    groups = [_group(kind, members, now) for kind, members in kinds.values()]
    return sorted(groups, key=lambda group: group.last_at, reverse=True)


def _group(kind: Fingerprint, jobs: list[Job], now: datetime) -> Group:
    ordered = sorted(jobs, key=_ended, reverse=True)
    hours = [0] * _HOURS
    for job in ordered:
        ago = (now - _ended(job)) // timedelta(hours=1)
        if 0 <= ago < _HOURS:
            hours[_HOURS - 1 - ago] += 1
    return Group(kind, ordered[0].task, ordered[0], ordered, _ended(ordered[-1]), _ended(ordered[0]), hours)


def _ended(job: Job) -> datetime:
    return job.ended_at or job.enqueued_at
