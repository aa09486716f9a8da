"""Tasks, and how they have done lately."""

from __future__ import annotations

from taskmill._web.api import shapes
from taskmill._web.api.telling import duration
from taskmill._web.pages.tasks import HOURS, Line, lines_of
from taskmill._web.visit import Visit


def every(visit: Visit) -> shapes.Tasks:
    """All tasks."""
    return {"tasks": [_told(line) for line in lines_of(visit)], "hours": HOURS}


def _told(line: Line) -> shapes.Task:
    return {
        "name": line.name,
        "settings": line.summary,
        "is_known": line.is_known,
        "queued": line.queued,
        "due": line.due,
        "ended": line.ended,
        "failed": line.failed,
        "wait": duration(line.wait),
        "run": duration(line.run),
        "rates": [*line.rates],
    }
