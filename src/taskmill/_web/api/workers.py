"""Who works, and how it is asked to stop."""

from __future__ import annotations

import re

from taskmill._app import steering
from taskmill._core.wording import clean
from taskmill._web import audit
from taskmill._web.api import shapes
from taskmill._web.api.telling import instant
from taskmill._web.pages.workers import Line, lines_of
from taskmill._web.problem import Problem
from taskmill._web.visit import Visit

_SESSION = re.compile(r"[0-9]{1,18}")


def every(visit: Visit) -> shapes.Workers:
    """All processes that hold jobs or locks, or may."""
    return {"workers": [_told(line) for line in lines_of(visit)]}


def stop(visit: Visit, session: str) -> shapes.Done:
    """Ask a whole worker to stop, by any of its sessions: what runs may finish."""
    if not _SESSION.fullmatch(session):
        raise _missing(session)
    done = steering.stop_worker(visit.app, int(session))
    audit.note(visit, "stop of the worker of session", session, done=done)
    if not done:
        if int(session) not in {line.state.session for line in lines_of(visit)}:
            raise _missing(session)
        raise Problem(
            409, "nothing was done: it was asked before, or is no worker", "wait until it has ended"
        )
    return {"done": True, "is_asked_to_stop": True}


def _missing(session: str) -> Problem:
    return Problem(
        404, f"there is no session {clean(session)!r}", "ask GET /api/v1/workers for those that there are"
    )


def _told(line: Line) -> shapes.Process:
    state = line.state
    serves = None if line.presence is None else line.presence.serves
    return {
        "session": state.session,
        "kind": state.kind,
        "host": state.host,
        "pid": state.pid,
        "life": line.life,
        "started_at": instant(state.started_at),
        "parent": state.parent,
        "is_asked_to_stop": state.is_asked_to_stop,
        "running": state.running,
        "jobs": [row.job.job_id for row in line.rows],
        "queues": None if serves is None or serves.queues is None else sorted(serves.queues),
        "executors": None if serves is None else sorted(serves.executors),
        "tasks": None if serves is None else sorted(serves.tasks),
    }
