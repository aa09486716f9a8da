"""Events put together from what is known of a job: told now, or read back from the store later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

from taskmill._core.event import Event, EventKind
from taskmill._core.instant import to_datetime
from taskmill._core.job import Claimed, ErrorInfo, NewJob, State
from taskmill.errors import UndecodablePayload

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._core.record import Job

_KINDS: dict[str, EventKind] = {kind: kind for kind in get_args(EventKind)}


def of_new_job(app: Application, job: NewJob) -> Event:
    """That it was enqueued, now."""
    args, kwargs = _call(app, job.args)
    return Event(
        kind="enqueued",
        job_id=job.job_id,
        task=job.task,
        queue=job.queue,
        attempt=0,
        at=to_datetime(app.storage.now()),
        args=args,
        kwargs=kwargs,
    )


def of_attempt(
    app: Application, kind: EventKind, claimed: Claimed, *, error: ErrorInfo | None, reason: str | None
) -> Event:
    """What a worker did with a job, now."""
    args, kwargs = _call(app, claimed.args)
    return Event(
        kind=kind,
        job_id=claimed.job_id,
        task=claimed.task,
        queue=claimed.queue,
        attempt=claimed.attempt,
        at=to_datetime(app.storage.now()),
        args=args,
        kwargs=kwargs,
        error=error,
        reason=reason,
    )


def of_job(
    app: Application,
    kind: EventKind,
    job: Job,
    *,
    at: datetime,
    attempt: int | None = None,
    error: ErrorInfo | None = None,
    reason: str | None = None,
) -> Event:
    """Something that happened to a stored job."""
    args, kwargs = _call(app, job.args)
    return Event(
        kind=kind,
        job_id=job.job_id,
        task=job.task,
        queue=job.queue,
        attempt=job.attempt if attempt is None else attempt,
        at=at,
        args=args,
        kwargs=kwargs,
        error=error,
        reason=reason,
    )


def history(app: Application, job: Job) -> Iterator[Event]:
    """What happened to *job*, as far as its row and its attempts tell; in the order of time."""
    yield of_job(app, "enqueued", job, at=job.enqueued_at, attempt=0)
    for attempt in job.attempts:
        number, kind = attempt.number, _KINDS.get(attempt.outcome, "failed")
        if attempt.started_at is not None:
            yield of_job(app, "started", job, at=attempt.started_at, attempt=number)
        yield of_job(app, kind, job, at=attempt.ended_at, attempt=number, error=attempt.error)
    started_at = _latest_start(job)
    if started_at is not None:
        yield of_job(app, "started", job, at=started_at)
    if job.ended_at is not None:
        yield of_job(app, _KINDS[job.state], job, at=job.ended_at, error=job.error, reason=job.reason)


def _latest_start(job: Job) -> datetime | None:
    if job.state is State.RUNNING:
        return job.began_at
    # A run that was handed back has the number of the next one.
    is_told = any(attempt.number == job.attempt and not attempt.is_handed_back for attempt in job.attempts)
    return None if is_told else job.started_at


def _call(app: Application, text: str) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
    """The arguments; none where they do not decode, which is told where it matters."""
    try:
        return app.codec.decode_call(text)
    except UndecodablePayload:
        return (), None
