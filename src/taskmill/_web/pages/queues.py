"""Which queues there are, and how they stand."""

from __future__ import annotations

from starlette.responses import Response

from taskmill._app import steering
from taskmill._core.instant import to_datetime
from taskmill._core.wording import counted
from taskmill._web import audit
from taskmill._web.pages.overview import oldest_by_queue
from taskmill._web.visit import Visit


def show(visit: Visit) -> Response:
    """One line for each."""
    survey = visit.reader.survey.get()
    served = {
        queue.queue: sum(serves.has_queue(queue.queue) for serves in survey.census.working)
        for queue in survey.queues
    }
    return visit.page(
        "queues.html",
        now=to_datetime(visit.reader.storage.now()),
        queues=survey.queues,
        oldest=oldest_by_queue(survey.census),
        served=served,
        most=max((sum(queue.states.values()) for queue in survey.queues), default=0),
    )


def purge(visit: Visit) -> Response:
    """Delete what waits in one, or what has ended in it."""
    queue, what = visit.given("queue"), visit.given("what")
    if queue is None or what not in {"waiting", "ended"}:
        return visit.back("Nothing was deleted: name a queue.", to="/queues")
    if visit.given("sure") is None:
        return visit.page("purge.html", queue=queue, what=what)
    gone = steering.purge(visit.app, queue=queue, ended=what == "ended")
    audit.note(visit, f"purge of {what} jobs", queue, done=gone > 0)
    return visit.back(f"{counted(gone, 'job')} deleted.", to="/queues")
