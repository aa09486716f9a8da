"""Enqueueing by a transaction of the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from taskmill._app.bridge import in_thread
from taskmill._core.job import NewJob
from taskmill.errors import StoreError

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._storage.callers.base import Caller, Entry


def submit(app: Application, jobs: Sequence[NewJob], connection: Any) -> Sequence[str]:
    """Let the transaction of *connection* store *jobs*, all or none; the ids that they are known by."""
    from taskmill._storage.callers.find import caller_of  # noqa: PLC0415  (most programs do without)

    return _through(app, jobs, app.storage.jobs.join(jobs), caller_of(connection))


async def asubmit(app: Application, jobs: Sequence[NewJob], connection: Any) -> Sequence[str]:
    """As `submit`; nothing of ours blocks the event loop, and the connection is used by nobody but this coroutine."""
    from taskmill._storage.callers.find import async_caller_of, within  # noqa: PLC0415  (as above)

    with app.departing(jobs):
        entry = await in_thread(app.storage.jobs.join, jobs)
        if (caller := async_caller_of(connection)) is not None:
            return await entry.athrough(caller)
        return await within(connection, partial(_through, app, jobs, entry))


def _through(app: Application, jobs: Sequence[NewJob], entry: Entry, caller: Caller) -> Sequence[str]:
    job_ids = entry.through(caller)
    caller.after_commit(partial(_after_commit, app, jobs, job_ids))
    return job_ids


def _after_commit(app: Application, jobs: Sequence[NewJob], job_ids: Sequence[str]) -> None:
    """Wake workers, and tell who listens of the jobs that are there."""
    app.storage.wake.jobs_added()
    if app.hears_of_enqueued:
        # The caller has committed: nothing that goes wrong here is an error of that.
        with suppress(StoreError):
            app.tell_enqueued(
                [
                    job
                    for job, job_id in zip(jobs, job_ids, strict=True)
                    if job.job_id == job_id and app.storage.inspection.job(job_id) is not None
                ]
            )
