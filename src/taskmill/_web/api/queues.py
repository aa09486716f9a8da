"""Queues: how they stand, also as an autoscaler asks, and their pause."""

from __future__ import annotations

from collections.abc import Callable

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._core.job import State
from taskmill._core.wording import clean
from taskmill._storage.base import QueueCount
from taskmill._web import audit
from taskmill._web.api import shapes
from taskmill._web.api.telling import instant_or_none
from taskmill._web.pages.overview import oldest_by_queue
from taskmill._web.pages.queues import purged, workers_of
from taskmill._web.problem import Problem
from taskmill._web.visit import Visit


def every(visit: Visit) -> shapes.Queues:
    """All queues in which there are jobs, or that are paused."""
    counts = {count.queue: count for count in visit.reader.survey.get().queues}
    names = sorted({*counts, *visit.reader.inspection.paused()})
    return {"queues": [_told(visit, counts.get(name) or QueueCount(name, {}, 0)) for name in names]}


def show(visit: Visit, queue: str) -> shapes.Queue:
    """One queue; in one that nobody has used yet there are no jobs."""
    counts = {count.queue: count for count in visit.reader.survey.get().queues}
    return _told(visit, counts.get(queue) or QueueCount(queue, {}, 0))


def pause(visit: Visit, queue: str) -> shapes.Done:
    """Let no job of a queue begin any more, in whatever worker."""
    return _turned(visit, queue, steering.pause, "pause", "it is paused already")


def resume(visit: Visit, queue: str) -> shapes.Done:
    """Let the jobs of a queue begin again."""
    return _turned(visit, queue, steering.resume, "resume", "it is not paused")


def purge(visit: Visit, queue: str, body: shapes.Purge) -> shapes.Purged:
    """Delete for good what waits in a queue, or what has ended."""
    return {"deleted": purged(visit, queue, body["what"])}


def _turned(
    visit: Visit, queue: str, turn: Callable[[Application, str], bool], deed: str, wrong: str
) -> shapes.Done:
    done = turn(visit.app, queue)
    audit.note(visit, deed, queue, done=done)
    if not done:
        raise Problem(409, f"nothing was done to the queue {clean(queue)!r}: {wrong}", "leave it as it is")
    return {"done": True, "is_asked_to_stop": False}


def _told(visit: Visit, count: QueueCount) -> shapes.Queue:
    census = visit.reader.survey.get().census
    oldest = oldest_by_queue(census).get(count.queue)
    running = count.states.get(State.RUNNING, 0)
    return {
        "queue": count.queue,
        "queued": count.states.get(State.QUEUED, 0),
        "due": count.due,
        "blocked": count.states.get(State.BLOCKED, 0),
        "running": running,
        "succeeded": count.states.get(State.SUCCEEDED, 0),
        "failed": count.states.get(State.FAILED, 0),
        "cancelled": count.states.get(State.CANCELLED, 0),
        "backlog": count.due + running,
        "oldest_seconds": 0.0 if oldest is None else max(oldest.total_seconds(), 0.0),
        "paused_at": instant_or_none(visit.reader.inspection.paused().get(count.queue)),
        "workers": workers_of(census, count.queue),
    }
