"""Failed jobs by what went wrong."""

from __future__ import annotations

from taskmill._app.failures import Group, failures
from taskmill._app.search import PATIENCE
from taskmill._core.filter import Filter
from taskmill._web.api import shapes
from taskmill._web.api.telling import instant
from taskmill._web.visit import Visit


def every(visit: Visit, query: shapes.ErrorsQuery) -> shapes.Errors:
    """The kinds of errors among the latest failed jobs."""
    found = failures(visit.reader.storage, Filter(task=query.get("task")), patience=PATIENCE)
    return {
        "kinds": [_told(group) for group in found.groups],
        "looked_at": found.number,
        "is_all": found.is_all,
    }


def _told(group: Group) -> shapes.ErrorKind:
    return {
        "mark": group.kind.mark,
        "type": group.kind.type,
        "message": group.kind.message,
        "place": group.kind.place,
        "task": group.task,
        "jobs": len(group.jobs),
        "latest": group.latest.job_id,
        "first_at": instant(group.first_at),
        "last_at": instant(group.last_at),
        "hours": [*group.hours],
    }
