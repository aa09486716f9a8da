"""Failed jobs by what went wrong."""

from __future__ import annotations

from starlette.responses import Response

from taskmill._app.failures import failures
from taskmill._app.search import PATIENCE
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._web.visit import Visit


def show(visit: Visit) -> Response:
    """One panel for each kind, the latest first; of one task, if the address says so."""
    task = visit.asked("task")
    storage = visit.reader.storage
    found = failures(storage, Filter(task=task), patience=PATIENCE)
    return visit.page(
        "errors.html",
        now=to_datetime(storage.now()),
        groups=found.groups,
        task=task,
        number=found.number,
        is_all=found.is_all,
    )


def ids_of_kind(visit: Visit, mark: str) -> list[str]:
    """The jobs of one kind of error."""
    found = failures(visit.reader.storage, patience=PATIENCE)
    return [job.job_id for group in found.groups if group.kind.mark == mark for job in group.jobs]
