"""Looking for jobs, however many there are: a page at a time, and no longer than somebody waits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from taskmill._core.filter import Filter
from taskmill._core.instant import from_datetime, instant_of
from taskmill._core.record import Job
from taskmill._storage.base import Inspection, Page
from taskmill._storage.matching import holds, matches
from taskmill._storage.rows import error_text

PATIENCE = 0.2
"""So long, in seconds, a page of the dashboard is searched for before what was found is shown."""
_PAGE = 500


def is_wanted(job: Job, wanted: Filter) -> bool:
    """Whether a job that was read already is one of those."""
    tags = json.dumps(job.tags)
    is_match = matches(
        wanted,
        state=job.state,
        task=job.task,
        queue=job.queue,
        tags=tags,
        priority=job.priority,
        enqueued_at=from_datetime(job.enqueued_at),
        ended_at=instant_of(job.ended_at),
        session=job.session,
    )
    return is_match and (wanted.text is None or _has_text(job, tags, wanted.text))


def _has_text(job: Job, tags: str, text: str) -> bool:
    return holds(
        text,
        as_it_is=(job.job_id, job.task, job.queue, job.key),
        as_json=(tags, job.args, job.result, error_text(job.error)),
    )


class Search:
    """The jobs of a store that are *wanted*, newest first."""

    def __init__(self, inspection: Inspection, wanted: Filter) -> None:
        self._inspection = inspection
        self._wanted = wanted

    def page(self, *, limit: int, after: str | None = None, patience: float) -> Page:
        """As `Inspection.search`, which is asked again and again while it finds little; for *patience* seconds."""
        jobs: list[Job] = []
        give_up_at = time.monotonic() + patience
        while True:
            page = self._inspection.search(self._wanted, after=after, limit=limit - len(jobs))
            jobs += page.jobs
            after = page.more
            if after is None or len(jobs) >= limit or time.monotonic() >= give_up_at:
                return Page(jobs, after)

    def all(self, *, limit: int) -> Iterator[Job]:
        """Up to *limit* of them, however long that takes."""
        after, left = None, limit
        while left > 0:
            page = self._inspection.search(self._wanted, after=after, limit=min(_PAGE, left))
            yield from page.jobs
            left -= len(page.jobs)
            after = page.more
            if after is None:
                return
