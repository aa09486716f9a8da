"""Failed jobs by what went wrong: errors that differ in their figures only are one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from taskmill._app.search import Search
from taskmill._core.filter import EVERY, Filter
from taskmill._core.fingerprint import Fingerprint, fingerprint
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Page, Storage

MOST = 1_000
"""So many of the latest failed jobs are looked at."""
_HOURS = 24
_AT_ONCE = 100


class Group(NamedTuple):
    """Jobs that failed for the same reason: the *latest* of them, how many there are, and how many in each hour."""

    kind: Fingerprint
    task: str
    latest: Job
    jobs: Sequence[Job]
    first_at: datetime
    last_at: datetime
    hours: Sequence[int]


def latest_failed(storage: Storage, wanted: Filter = EVERY, *, patience: float) -> Page:
    """The latest failed jobs that are *wanted*; searched for as long as *patience*, in seconds.

    They are without arguments and results, which nobody asks of them, and of which there may be a gigabyte.
    """
    search = Search(storage.inspection, replace(wanted, states=(State.FAILED,)))
    give_up_at = time.monotonic() + patience
    jobs: list[Job] = []
    after = None
    while True:
        limit = min(_AT_ONCE, MOST - len(jobs))
        page = search.page(limit=limit, after=after, patience=give_up_at - time.monotonic())
        jobs += [replace(job, args="", result=None) for job in page.jobs]
        after = page.more
        if after is None or len(jobs) >= MOST or time.monotonic() >= give_up_at:
            return Page(jobs, after)


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
