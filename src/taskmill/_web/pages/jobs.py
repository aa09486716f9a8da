"""All jobs: by state, task, queue or any text, the newest first, page by page."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from taskmill._app.search import PATIENCE, Filter, Search
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._web.rows import rows_of
from taskmill._web.visit import Visit

PAGE = 50
_LONGEST_TEXT = 200


class Wanted(NamedTuple):
    """Which jobs to show."""

    state: State | None
    task: str | None
    queue: str | None
    text: str | None

    @property
    def filter(self) -> Filter:
        """The same for a search."""
        return Filter([self.state] if self.state else (), self.task, self.queue, self.text)

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
    search = Search(visit.reader.inspection, wanted.filter)
    page = search.page(limit=PAGE, after=after if after and after.isdecimal() else None, patience=PATIENCE)
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


def _names(visit: Visit) -> dict[str, list[str]]:
    """What there is to choose from."""
    survey = visit.reader.survey.get()
    tasks = {task.name for task in visit.app.tasks}
    tasks.update(*(serves.tasks for serves in survey.census.working))
    tasks.update(waiting.task for waiting in survey.census.waiting)
    return {"tasks": sorted(tasks), "queues": sorted(queue.queue for queue in survey.queues)}
