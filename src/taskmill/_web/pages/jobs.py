"""All jobs, or those that are asked for: the newest first, page by page."""

from __future__ import annotations

from starlette.responses import Response

from taskmill._app.search import PATIENCE, Search
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._storage.base import Page
from taskmill._web.rows import rows_of
from taskmill._web.visit import Visit
from taskmill._web.wanted import wanted_in

PAGE = 50


def show(visit: Visit) -> Response:
    """A page of the list."""
    wanted = wanted_in(visit.asked)
    after = visit.after
    page = page_of(visit, wanted.filter, after=after, limit=PAGE)
    counts = visit.reader.survey.get().counts
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
    """What is found of them while somebody waits for a page."""
    return Search(visit.reader.inspection, wanted).page(limit=limit, after=after, patience=PATIENCE)


def _names(visit: Visit) -> dict[str, list[str]]:
    """What there is to choose from."""
    survey = visit.reader.survey.get()
    tasks = {task.name for task in visit.app.tasks}
    tasks.update(*(serves.tasks for serves in survey.census.working))
    tasks.update(waiting.task for waiting in survey.census.waiting)
    return {"tasks": sorted(tasks), "queues": sorted(queue.queue for queue in survey.queues)}
