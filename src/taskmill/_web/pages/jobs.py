"""All jobs: by state, task, queue or any text, the newest first, page by page."""

from __future__ import annotations

import time
from typing import NamedTuple

from starlette.responses import Response

from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Page
from taskmill._web.pages.overview import counts_of
from taskmill._web.rows import rows_of
from taskmill._web.visit import Visit

PAGE = 50
# So long, in seconds, is searched for the jobs of one page before what was found is shown.
_PATIENCE = 0.2
_LONGEST_TEXT = 200


class Wanted(NamedTuple):
    """Which jobs to show."""

    state: State | None
    task: str | None
    queue: str | None
    text: str | None

    @property
    def is_all(self) -> bool:
        """Whether nothing is said."""
        return not any(self)

    @property
    def has_filter(self) -> bool:
        """Whether more is said than the state."""
        return any(self[1:])


def wanted_in(values: dict[str, str | None]) -> Wanted:
    """What an address or a form asks for; a state that there is not is none."""
    state = values.get("state")
    text = (values.get("text") or "").strip()[:_LONGEST_TEXT]
    return Wanted(
        State(state) if state in set(State) else None,
        values.get("task") or None,
        values.get("queue") or None,
        text or None,
    )


def show(visit: Visit) -> Response:
    """A page of the list."""
    wanted = wanted_in({name: visit.asked(name) for name in Wanted._fields})
    after = visit.asked("after")
    page = page_of(visit, wanted, after=after if after and after.isdecimal() else None, limit=PAGE)
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


def page_of(visit: Visit, wanted: Wanted, *, after: str | None, limit: int) -> Page:
    """As `Inspection.search`, which is asked again and again while it finds little."""
    jobs: list[Job] = []
    give_up_at = time.monotonic() + _PATIENCE
    while True:
        page = visit.reader.inspection.search(
            states=[wanted.state] if wanted.state else (),
            task=wanted.task,
            queue=wanted.queue,
            text=wanted.text,
            after=after,
            limit=limit - len(jobs),
        )
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
