"""Looking for jobs, however many there are: a page at a time, and no longer than somebody waits."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Inspection, Page
from taskmill._storage.matching import holds
from taskmill._storage.rows import error_text

PATIENCE = 0.2
"""So long, in seconds, a page of the dashboard is searched for before what was found is shown."""
_PAGE = 500


class Filter(NamedTuple):
    """Which jobs are wanted: those that match all that is given, as `Inspection.search` has it."""

    states: Collection[State] = ()
    task: str | None = None
    queue: str | None = None
    text: str | None = None

    def matches(self, job: Job) -> bool:
        """Whether a job that was read already is wanted."""
        return (
            (not self.states or job.state in self.states)
            and self.task in {None, job.task}
            and self.queue in {None, job.queue}
            and (self.text is None or _has_text(job, self.text))
        )


def _has_text(job: Job, text: str) -> bool:
    return holds(
        text,
        as_it_is=(job.job_id, job.task, job.queue, job.key),
        as_json=(json.dumps(job.tags), job.args, job.result, error_text(job.error)),
    )


EVERY = Filter()
"""All jobs."""


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
            page = self._inspection.search(**self._wanted._asdict(), after=after, limit=limit - len(jobs))
            jobs += page.jobs
            after = page.more
            if after is None or len(jobs) >= limit or time.monotonic() >= give_up_at:
                return Page(jobs, after)

    def all(self, *, limit: int) -> Iterator[Job]:
        """Up to *limit* of them, however long that takes."""
        after, left = None, limit
        while left > 0:
            page = self._inspection.search(**self._wanted._asdict(), after=after, limit=min(_PAGE, left))
            yield from page.jobs
            left -= len(page.jobs)
            after = page.more
            if after is None:
                return
