"""What people do to jobs from outside; the same for the API, the command line and the dashboard."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from taskmill._app.events import history, of_job
from taskmill._core.event import Event
from taskmill._core.instant import to_datetime
from taskmill._core.job import State

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._core.record import Job
    from taskmill._storage.base import CancelAnswer, QueueCount

_BATCH = 1_000
"""Rows in one transaction of a purge, so that nobody has to wait long for it."""


def find(
    app: Application,
    *,
    states: Collection[State] = (),
    task: str | None = None,
    queue: str | None = None,
    limit: int = 100,
) -> Sequence[Job]:
    """The jobs that match all that is given, newest first, without their attempts."""
    return app.storage.inspection.find(states=states, task=task, queue=queue, limit=limit)


def cancel(app: Application, job_id: str) -> bool:
    """Whether the job will not run (again) for that reason; what was cancelled is told to signal handlers."""
    return cancel_with_answer(app, job_id) in {"cancelled", "requested"}


def cancel_with_answer(app: Application, job_id: str) -> CancelAnswer:
    """As `cancel`, with the store's answer."""
    answer, notices = app.storage.jobs.cancel(job_id)
    app.tell_notices(notices)
    return answer


def retry(app: Application, job_id: str) -> bool:
    """Queue a failed or cancelled job again, told as `enqueued`; False where it is neither."""
    if not app.storage.jobs.retry(job_id):
        return False
    if app.signals.wants("enqueued"):
        job = app.storage.inspection.job(job_id)
        if job is not None:
            app.signals.emit(of_job(app, "enqueued", job, at=to_datetime(app.storage.now())))
    return True


def purge(app: Application, *, queue: str | None = None, ended: bool = False) -> int:
    """Delete all waiting jobs, or all that have *ended*, of one queue or of all; return how many."""
    total = 0
    while deleted := app.storage.jobs.purge(queue=queue, ended=ended, limit=_BATCH):
        total += deleted
    return total


def queues(app: Application) -> Sequence[QueueCount]:
    """How many jobs each queue holds, by state."""
    return app.storage.inspection.queues()


def events(app: Application, limit: int) -> list[Event]:
    """The latest *limit* lifecycle events that the store can tell of, in the order of time."""
    found = [event for job in app.storage.inspection.recent(limit) for event in history(app, job)]
    # The sort is stable: what a job went through in the same microsecond stays in its order.
    return sorted(found, key=lambda event: event.at)[-limit:] if limit > 0 else []
