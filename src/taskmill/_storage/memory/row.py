"""A job as it is kept, and the two ways between it and the record that others read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import cast

from taskmill._core.instant import from_datetime, instant_of, moment_of, to_datetime
from taskmill._core.job import FAILED_TTL, ErrorInfo, Executor, NewJob, State
from taskmill._core.journal import Sheet, current_progress
from taskmill._core.record import Attempt, Job
from taskmill._storage.rows import shown_progress

WAITING = (State.BLOCKED, State.QUEUED)


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """A job: the call as it came in, and what became of it."""

    ref: int
    call: NewJob
    state: State
    enqueued_at: int
    run_at: int
    expires_at: int | None
    max_attempts: int
    attempt: int = 0
    fence: int = 0
    session: int | None = None
    claim: int | None = None
    rescues: int = 0
    crashes: int = 0
    is_suspect: bool = False
    is_handed_on: bool = False
    claimed_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    waits_for: str | None = None
    cancel_requested: bool = False
    result: str | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    journal: dict[tuple[int, int], Sheet] = field(default_factory=dict)

    @property
    def job_id(self) -> str:
        return self.call.job_id

    @property
    def executor(self) -> Executor:
        """For which it can be claimed."""
        if self.is_suspect:
            return "alone"
        return "elsewhere" if self.is_handed_on else self.call.executor

    def is_expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_claimable(self, now: int) -> bool:
        is_free = self.state is State.QUEUED and self.waits_for is None
        return is_free and self.run_at <= now and not self.is_expired(now)

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """By fence and number."""
        return tuple(sorted(self.journal.values()))

    @property
    def outlived_at(self) -> int | None:
        """When its time to be kept is over."""
        if self.ended_at is None:
            return None
        ttl = self.call.result_ttl
        return self.ended_at + (max(ttl, FAILED_TTL) if self.state is State.FAILED else ttl)

    def is_outlived(self, now: int) -> bool:
        return self.outlived_at is not None and self.outlived_at <= now


def place(row: Row) -> tuple[int, int, int]:
    """Where it stands in line; no two are equal. It does not change while the row stands there."""
    return -row.call.priority, row.run_at, row.ref


def row_of(job: Job, ref: int) -> Row:
    """Of a job that was read from another store: it is nobody's, and waits for no lock."""
    call = NewJob(
        job_id=job.job_id,
        task=job.task,
        args=job.args,
        queue=job.queue,
        executor=cast(Executor, job.executor),
        priority=job.priority,
        delay=job.delay,
        max_attempts=job.max_attempts,
        result_ttl=job.result_ttl,
        lock=job.lock,
        key=job.key,
        tags=json.dumps(job.tags) if job.tags else None,
        headers=json.dumps(job.headers) if job.headers else None,
        pipeline=job.pipeline,
        step=job.step,
    )
    return Row(
        ref=ref,
        call=call,
        state=job.state,
        enqueued_at=from_datetime(job.enqueued_at),
        run_at=from_datetime(job.run_at),
        expires_at=instant_of(job.expires_at),
        max_attempts=job.max_attempts,
        attempt=job.attempt,
        fence=job.fence,
        rescues=job.rescues,
        crashes=job.crashes,
        is_suspect=job.is_suspect,
        is_handed_on=job.is_handed_on,
        claimed_at=instant_of(job.claimed_at),
        started_at=instant_of(job.started_at),
        ended_at=instant_of(job.ended_at),
        cancel_requested=job.cancel_requested,
        result=job.result,
        error=job.error,
        reason=job.reason,
        attempts=list(job.attempts),
        journal={(sheet.fence, sheet.number): sheet for sheet in job.sheets},
    )


def job_of(row: Row, attempts: tuple[Attempt, ...] = (), sheets: tuple[Sheet, ...] = ()) -> Job:
    call = row.call
    return Job(
        job_id=call.job_id,
        task=call.task,
        queue=call.queue,
        executor=call.executor,
        priority=call.priority,
        state=row.state,
        reason=row.reason,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        fence=row.fence,
        session=row.session,
        rescues=row.rescues,
        crashes=row.crashes,
        is_suspect=row.is_suspect,
        is_handed_on=row.executor == "elsewhere",
        enqueued_at=to_datetime(row.enqueued_at),
        run_at=to_datetime(row.run_at),
        claimed_at=moment_of(row.claimed_at),
        started_at=moment_of(row.started_at),
        ended_at=moment_of(row.ended_at),
        expires_at=moment_of(row.expires_at),
        delay=call.delay,
        result_ttl=call.result_ttl,
        lock=call.lock,
        waits_for=row.waits_for,
        key=call.key,
        tags=tuple(json.loads(call.tags or "[]")),
        headers=json.loads(call.headers or "{}"),
        pipeline=call.pipeline,
        step=call.step,
        cancel_requested=row.cancel_requested,
        args=call.args,
        result=row.result,
        error=row.error,
        attempts=attempts,
        progress=shown_progress(row.state, current_progress(row.sheets, row.fence)),
        sheets=sheets,
    )
