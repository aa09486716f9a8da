"""What people do to jobs from outside; the same for the API, the command line and the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, cast

from taskmill._app.events import history, of_job
from taskmill._core.event import Event
from taskmill._core.filter import EVERY, Filter
from taskmill._core.identity import new_job_id
from taskmill._core.instant import to_datetime
from taskmill._core.job import NewJob, OwnExecutor

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._core.record import Job
    from taskmill._storage.base import CancelAnswer, QueueCount

_WORKERS = frozenset({"worker", "supervisor"})
_BATCH = 1_000
"""Rows in one transaction of a purge, so that nobody has to wait long for it."""


def find(app: Application, wanted: Filter = EVERY, *, limit: int = 100) -> Sequence[Job]:
    """Up to *limit* jobs that are *wanted*, newest first, without their attempts."""
    return app.storage.inspection.find(wanted, limit=limit)


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


def hasten(app: Application, job_id: str) -> bool:
    """Let a job run now that is to run later; False where it is due already, or does not wait."""
    return app.storage.jobs.hasten(job_id)


def clone(app: Application, job_id: str) -> str | None:
    """Enqueue the call of a job once more, as a job by itself that is due now; its id, or None where that cannot be.

    So it is where there is no such job, and of a later step of a pipeline, which would miss the result before it. The
    copy has no key, and does not expire.
    """
    import json  # noqa: PLC0415  (3 ms of the import, and seldom needed)

    job = app.storage.inspection.job(job_id)
    if job is None or job.step:
        return None
    copy = NewJob(
        job_id=new_job_id(),
        task=job.task,
        args=job.args,
        queue=job.queue,
        executor=cast(OwnExecutor, job.executor),
        priority=job.priority,
        max_attempts=job.max_attempts,
        result_ttl=job.result_ttl,
        lock=job.lock,
        tags=json.dumps(job.tags) if job.tags else None,
        headers=json.dumps(job.headers) if job.headers else None,
    )
    app.submit([copy])
    return copy.job_id


def run_schedule(app: Application, name: str) -> str | None:
    """Enqueue a job of a schedule beside its slots; its id, or None where nothing says what job that is."""
    periodic = app.periodics.get(name)
    if periodic is not None:
        [job_id] = app.submit([periodic.task.new_job((), {})])
        return job_id
    last_jobs = [state.last_job for state in app.storage.schedules.list() if state.name == name]
    return clone(app, last_jobs[0]) if last_jobs and last_jobs[0] is not None else None


def delete(app: Application, job_ids: Sequence[str]) -> int:
    """Delete jobs for good that wait or have ended; return how many."""
    return app.storage.jobs.delete(job_ids)


def purge(
    app: Application,
    *,
    queue: str | None = None,
    ended: bool = False,
    on_progress: Callable[[int], object] | None = None,
) -> int:
    """Delete all waiting jobs, or all that have *ended*, of one queue or of all; return how many.

    *on_progress* is told of it from time to time. It comes to an end, even if others go on to enqueue.
    """
    total, deleted = 0, _BATCH
    while deleted >= _BATCH:
        deleted = app.storage.jobs.purge(queue=queue, ended=ended, limit=_BATCH)
        total += deleted
        if on_progress is not None:
            on_progress(total)
    return total


def pause(app: Application, queue: str) -> bool:
    """Let no job of *queue* begin any more, in whatever worker; False where that is so already."""
    return app.storage.jobs.pause(queue)


def resume(app: Application, queue: str) -> bool:
    """Let the jobs of *queue* begin again; False where it is not paused."""
    return app.storage.jobs.resume(queue)


def pause_schedule(app: Application, name: str) -> bool:
    """Let no slot of a schedule fire any more, in whatever worker; False where that is so already, or there is none.

    Its slots in the pause are not made up for: from `resume_schedule` on it owes nothing before that.
    """
    return app.storage.schedules.pause(name)


def resume_schedule(app: Application, name: str) -> bool:
    """Let the slots of a schedule fire again, from the next one on; False where it is not paused."""
    return app.storage.schedules.resume(name)


def stop_worker(app: Application, session: int) -> bool:
    """Ask a worker to stop as on SIGTERM, by any of its sessions; False where it was asked before, or is gone.

    Meant is all of a `taskmill worker`, its supervisor and every process under it, which starts nothing anew then. What
    watches over that, such as systemd, sees it end with status 0. It is seen within a second or two.
    """
    known = {state.session: state for state in app.storage.inspection.sessions()}
    state = known.get(session)
    if state is None or state.kind not in _WORKERS:
        return False
    whole = known.get(state.parent or 0, state)
    return app.storage.sessions.ask_to_stop(whole.session)


def queues(app: Application) -> Sequence[QueueCount]:
    """How many jobs each queue holds, by state."""
    return app.storage.inspection.queues()


def events(app: Application, limit: int) -> list[Event]:
    """The latest *limit* lifecycle events that the store tells of, by time, and of one job as they came."""
    recent = app.storage.inspection.recent(limit)
    found = [told for job in recent for told in _in_order(history(app, job))]
    # The sort is stable: what a job went through in the same microsecond stays in its order.
    found.sort(key=itemgetter(0))
    return [event for _, event in found[-limit:]] if limit > 0 else []


def _in_order(events: Iterable[Event]) -> Iterator[tuple[datetime, Event]]:
    """Each with when it is told: a start, by a worker's clock, may seem to be later than the end that the store saw."""
    told_at = datetime.min.replace(tzinfo=UTC)
    for event in events:
        told_at = max(told_at, event.at)
        yield told_at, event
