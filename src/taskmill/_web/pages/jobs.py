"""All jobs, or those that are asked for: the newest first, page by page."""

from __future__ import annotations

import time

from starlette.responses import Response

from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.record import Job
from taskmill._storage.base import Page
from taskmill._web.pages.overview import counts_of
from taskmill._web.rows import rows_of
from taskmill._web.visit import Visit
from taskmill._web.wanted import wanted_in

PAGE = 50
# So long, in seconds, is searched for the jobs of one page before what was found is shown.
_PATIENCE = 0.2


def show(visit: Visit) -> Response:
    """A page of the list."""
    wanted = wanted_in(visit.asked)
    after = visit.after
    page = page_of(visit, wanted.filter, after=after, limit=PAGE)
    counts = counts_of(visit)
    return visit.page(
        "jobs.html",
        now=to_datetime(visit.reader.storage.now()),
        wanted=wanted,
        rows=rows_of(visit, page.jobs),
        more=page.more,
        after=after,
        counts=counts,
        total=counts.total(),
        names=_names(visit),
    )


def page_of(visit: Visit, wanted: Filter, *, after: str | None, limit: int) -> Page:
    """As `Inspection.search`, which is asked again and again while it finds little."""
    jobs: list[Job] = []
    give_up_at = time.monotonic() + _PATIENCE
    while True:
        page = visit.reader.inspection.search(wanted, after=after, limit=limit - len(jobs))
        jobs += page.jobs
        after = page.more
        if after is None or len(jobs) >= limit or time.monotonic() >= give_up_at:
            return Page(jobs, after)


def _names(visit: Visit) -> dict[str, list[str]]:
    """What there is to choose from."""
    survey = visit.reader.survey.get()
    tasks = {task.name for task in visit.app.tasks}
    tasks.update(*(serves.tasks for serves in survey.census.working))
    tasks.update(waiting.task for waiting in survey.census.waiting)
    return {"tasks": sorted(tasks), "queues": sorted(queue.queue for queue in survey.queues)}
