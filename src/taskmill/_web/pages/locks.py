"""Who holds which lock, and who waits for it."""

from __future__ import annotations

from starlette.responses import Response

from taskmill._core.instant import to_datetime
from taskmill._web.visit import Visit


def show(visit: Visit) -> Response:
    """One line for each that is held."""
    locks = visit.reader.storage.limits.list()
    waiters = {lock.name: lock.waiters for lock in visit.reader.survey.get().census.locks}
    sessions = {state.session: state for state in visit.reader.inspection.sessions()}
    return visit.page(
        "locks.html",
        now=to_datetime(visit.reader.storage.now()),
        locks=locks,
        waiters=waiters,
        sessions=sessions,
    )
