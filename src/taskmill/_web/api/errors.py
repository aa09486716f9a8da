"""Failed jobs by what went wrong."""

from __future__ import annotations

from taskmill._app.failures import Group, grouped
from taskmill._core.instant import to_datetime
from taskmill._web.api import shapes
from taskmill._web.api.telling import instant
from taskmill._web.pages.errors import failed_jobs
from taskmill._web.visit import Visit


def every(visit: Visit, query: shapes.ErrorsQuery) -> shapes.Errors:
    """The kinds of errors among the latest failed jobs."""
    page = failed_jobs(visit, query.get("task"))
    groups = grouped(page.jobs, to_datetime(visit.reader.storage.now()))
    return {
        "errors": [_told(group) for group in groups],
        "looked_at": len(page.jobs),
        "is_all": page.more is None,
    }


def _told(group: Group) -> shapes.ErrorKind:
    return {
        "kind": group.kind.mark,
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
