"""Which queues there are, and how they stand."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._core.census import Census
from taskmill._core.instant import to_datetime
from taskmill._core.job import FINAL, State
from taskmill._core.wording import counted
from taskmill._web import audit
from taskmill._web.pages.overview import oldest_by_queue
from taskmill._web.visit import Visit


def show(visit: Visit) -> Response:
    """One line for each."""
    survey = visit.reader.survey.get()
    return visit.page(
        "queues.html",
        now=to_datetime(visit.reader.storage.now()),
        queues=survey.queues,
        paused=visit.reader.inspection.paused(),
        oldest=oldest_by_queue(survey.census),
        served={queue.queue: workers_of(survey.census, queue.queue) for queue in survey.queues},
    )


def workers_of(census: Census, queue: str) -> int:
    """How many live workers take jobs of *queue*."""
    return sum(serves.has_queue(queue) for serves in census.working)


def pause(visit: Visit) -> Response:
    """Let nothing of one be claimed."""
    return _turned(
        visit, steering.pause, "pause", "Queue %s is paused: what runs goes on, and nothing more is begun."
    )


def resume(visit: Visit) -> Response:
    """Let it go on."""
    return _turned(visit, steering.resume, "resume", "Queue %s goes on.")


def _turned(visit: Visit, turn: Callable[[Application, str], bool], deed: str, told: str) -> Response:
    queue = visit.given("queue")
    if queue is None:
        return visit.back("Nothing was done: name a queue.", to="/queues")
    done = turn(visit.app, queue)
    audit.note(visit, deed, queue, done=done)
    return visit.back(told % queue if done else "That was so already.", to="/queues")


def purge(visit: Visit) -> Response:
    """Ask what to delete of one: what waits, or what has ended; then do it."""
    queue, what = visit.given("queue"), visit.given("what")
    if queue is None:
        return visit.back("Nothing was deleted: name a queue.", to="/queues")
    if what not in {"waiting", "ended"}:
        counts = {each.queue: each.states for each in visit.reader.survey.get().queues}.get(queue, {})
        return visit.page(
            "purge.html",
            queue=queue,
            waiting=counts.get(State.QUEUED, 0) + counts.get(State.BLOCKED, 0),
            ended=sum(counts.get(state, 0) for state in FINAL),
        )
    return visit.back(f"{counted(purged(visit, queue, what), 'job')} deleted.", to="/queues")


def purged(visit: Visit, queue: str, what: str) -> int:
    """Delete what waits in it, or what has *ended*; return how many."""
    with audit.noting(visit, f"purge of {what} jobs", queue) as count:
        return steering.purge(visit.app, queue=queue, ended=what == "ended", on_progress=count)
