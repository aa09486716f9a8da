"""Locks."""

from __future__ import annotations

from taskmill._web.api import shapes
from taskmill._web.api.telling import instant
from taskmill._web.visit import Visit


def every(visit: Visit) -> shapes.Locks:
    """All locks that are held."""
    waiters = {lock.name: lock.waiters for lock in visit.reader.survey.get().census.locks}
    return {
        "locks": [
            {
                "name": lock.name,
                "token": lock.token,
                "session": lock.session,
                "job_id": lock.job_id,
                "since": instant(lock.since),
                "waiters": waiters.get(lock.name, 0),
            }
            for lock in visit.reader.storage.limits.list()
        ]
    }
