"""Failed jobs by what went wrong: errors that differ in their figures only are one."""

from __future__ import annotations

from starlette.responses import Response

from taskmill._app.failures import grouped
from taskmill._core.fingerprint import fingerprint
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._storage.base import Page
from taskmill._web.visit import Visit


def show(visit: Visit) -> Response:
    """One panel for each kind, the latest first; of one task, if the address says so."""
    now = to_datetime(visit.reader.storage.now())
    task = visit.asked("task")
    page = failed_jobs(visit, task)
    return visit.page(
        "errors.html",
        now=now,
        groups=grouped(page.jobs, now),
        task=task,
        number=len(page.jobs),
        is_all=page.more is None,
    )


def failed_jobs(visit: Visit, task: str | None = None) -> Page:
    """The latest ones (of one task), as they were when they were last read."""
    jobs, more = visit.reader.failures.get()
    return Page([job for job in jobs if task in {None, job.task}], more)


def ids_of_kind(visit: Visit, mark: str) -> list[str]:
    """The jobs of one kind of error, of those that the page shows; but not what has been retried since it was read."""
    shown = failed_jobs(visit).jobs
    ids = [job.job_id for job in shown if fingerprint(job.task, job.reason, job.error).mark == mark]
    return [job_id for job_id in ids if _is_failed(visit, job_id)]


def _is_failed(visit: Visit, job_id: str) -> bool:
    found = visit.reader.inspection.outcome(job_id)
    return found is not None and found.state is State.FAILED
