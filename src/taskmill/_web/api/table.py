"""Which operation stands where, below /api/v1: the routes are made of this table, and so is what describes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_type_hints

from taskmill._web.api import (
    audit,
    bulk,
    errors,
    jobs,
    locks,
    queues,
    schedules,
    shapes,
    statistics,
    tasks,
    workers,
)

Handler = Callable[..., Any]
Method = Literal["GET", "POST"]

ROOT = "/api/v1"

READING: dict[str, Handler] = {
    "/overview": statistics.overview,
    "/jobs": jobs.page,
    "/jobs/{job_id}": jobs.show,
    "/queues": queues.every,
    "/queues/{queue:path}": queues.show,
    "/tasks": tasks.every,
    "/schedules": schedules.every,
    "/workers": workers.every,
    "/locks": locks.every,
    "/errors": errors.every,
    "/statistics": statistics.series,
    "/audit": audit.page,
}
ACTING: dict[str, Handler] = {
    "/jobs": jobs.enqueue,
    "/jobs/bulk": bulk.act,
    "/jobs/{job_id}/retry": jobs.retry,
    "/jobs/{job_id}/cancel": jobs.cancel,
    "/jobs/{job_id}/run-now": jobs.hasten,
    "/jobs/{job_id}/clone": jobs.clone,
    "/jobs/{job_id}/delete": jobs.delete,
    "/queues/{queue:path}/pause": queues.pause,
    "/queues/{queue:path}/resume": queues.resume,
    "/queues/{queue:path}/purge": queues.purge,
    "/schedules/{schedule:path}/run": schedules.run,
    "/schedules/{schedule:path}/pause": schedules.pause,
    "/schedules/{schedule:path}/resume": schedules.resume,
    "/workers/{session}/stop": workers.stop,
}


class Operation(NamedTuple):
    """An operation: what it takes from the address (*names* of its path, *query*) and as *body*, what it answers."""

    method: Method
    path: str
    handler: Handler
    names: list[str]
    query: Any
    body: Any
    answer: Any

    @property
    def status(self) -> int:
        """Of its success."""
        return 201 if self.answer is shapes.Enqueued else 200


def operations() -> Iterator[Operation]:
    """All of the table; what they take, the annotations of their functions say."""
    yield from _operations("GET", READING)
    yield from _operations("POST", ACTING)


def _operations(method: Method, table: Mapping[str, Handler]) -> Iterator[Operation]:
    for path, handler in table.items():
        hints = get_type_hints(handler)
        names = re.findall(r"\{(\w+)", path)
        yield Operation(method, path, handler, names, hints.get("query"), hints.get("body"), hints["return"])
