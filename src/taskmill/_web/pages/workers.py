"""Who works: each process, whether it lives, and what each of its slots runs right now. Stop it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from starlette.responses import Response

from taskmill._app import steering
from taskmill._core.census import Life, Presence
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._storage.base import SessionState
from taskmill._web import audit
from taskmill._web.rows import Row, rows_of
from taskmill._web.visit import Visit

_MOST_RUNNING = 500
_LONGEST_NUMBER = 18


class Line(NamedTuple):
    """A session, and what it runs; `serves` is None where it takes no jobs."""

    state: SessionState
    life: Life
    presence: Presence | None
    rows: Sequence[Row]
    parent_pid: int | None
    is_asked_to_stop: bool


def show(visit: Visit) -> Response:
    """One panel for each process that runs jobs, and a line for the others."""
    lines = lines_of(visit)
    working = [line for line in lines if line.presence is not None and line.presence.serves is not None]
    return visit.page(
        "workers.html",
        now=to_datetime(visit.reader.storage.now()),
        working=working,
        others=[line for line in lines if line not in working],
        running=sum(len(line.rows) for line in lines),
        most=_MOST_RUNNING,
    )


def lines_of(visit: Visit) -> list[Line]:
    """All sessions."""
    inspection = visit.reader.inspection
    presences = {presence.session: presence for presence in visit.reader.survey.get().census.sessions}
    rows = rows_of(visit, inspection.find(Filter(states=[State.RUNNING]), limit=_MOST_RUNNING))
    sessions = inspection.sessions()
    pids = {state.session: state.pid for state in sessions}
    asked = {state.session for state in sessions if state.is_asked_to_stop}
    return [
        Line(
            state,
            presences[state.session].life if state.session in presences else "alive",
            presences.get(state.session),
            sorted((row for row in rows if row.job.session == state.session), key=_began),
            None if state.parent is None else pids.get(state.parent),
            bool(asked & {state.session, state.parent}),
        )
        for state in sessions
    ]


def stop(visit: Visit) -> Response:
    """Ask first, for it takes all processes of a worker with it; then ask the worker."""
    session = visit.given("session") or ""
    if not session.isdecimal() or len(session) > _LONGEST_NUMBER:
        return visit.back("Nothing was done: name a session.", to="/workers")
    if visit.given("sure") is None:
        return visit.page("stop.html", session=session, states=_together(visit, int(session)))
    done = steering.stop_worker(visit.app, int(session))
    audit.note(visit, "stop of the worker of session", session, done=done)
    said = "It was asked to stop: what runs may finish." if done else "It was asked before, or is gone."
    return visit.back(said, to="/workers")


def _together(visit: Visit, session: int) -> list[SessionState]:
    """All sessions of the worker that this one belongs to."""
    states = visit.reader.inspection.sessions()
    parents = {state.session: state.parent for state in states}
    whole = parents.get(session)
    whole = whole if whole in parents else session
    return [state for state in states if whole in {state.session, state.parent}]


def _began(row: Row) -> datetime:
    return row.job.started_at or row.job.claimed_at or row.job.enqueued_at
