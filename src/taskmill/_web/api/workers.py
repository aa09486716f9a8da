"""Who works."""

from __future__ import annotations

from taskmill._web.api import shapes
from taskmill._web.api.telling import instant
from taskmill._web.pages.workers import Line, lines_of
from taskmill._web.visit import Visit


def every(visit: Visit) -> shapes.Workers:
    """All processes that hold jobs or locks, or may."""
    return {"processes": [_told(line) for line in lines_of(visit)]}


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
        "serves": None
        if serves is None
        else {
            "queues": None if serves.queues is None else sorted(serves.queues),
            "executors": sorted(serves.executors),
            "tasks": sorted(serves.tasks),
        },
        "running": [row.job.job_id for row in line.rows],
    }
