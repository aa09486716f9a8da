"""From what Redis holds of a job to what people see; the columns are those of lua/shared/row.lua, in its order."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from taskmill._core.instant import from_datetime, to_datetime
from taskmill._core.job import Claimed, ErrorInfo, State
from taskmill._core.record import Attempt, Job
from taskmill._storage.rows import attempt_of, attempt_row, shown_progress

# Before, and from behind the instants that the store sets, which are six.
_HEAD, _TAIL = struct.Struct(">8Bh6I2Q"), struct.Struct(">2q")
_ROW = struct.Struct(">8Bh6I2Q8q")
_INSTANTS = struct.Struct(">3q")
# What is told of a claimed job: its name, suspect, handed on, locked, piped, attempt, max_attempts, fence, crashes,
# run_at and result_ttl.
_CLAIMED = struct.Struct(">14s2x2?x2?3x3I4xI20x8xq40xq")
_NONE = -(1 << 63)
STATES = (State.BLOCKED, State.QUEUED, State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELLED)

# How many values shared/record.lua tells of a job.
TOLD = 6


class Row(NamedTuple):
    """What changes of a job; 0 stands for none."""

    state: int
    is_parked: int
    is_suspect: int
    is_handed_on: int
    is_cancelling: int
    is_locked: int
    is_piped: int
    is_keyed: int
    priority: int
    attempt: int
    max_attempts: int
    fence: int
    rescues: int
    crashes: int
    step: int
    session: int
    claim: int
    enqueued_at: int
    run_at: int
    claimed_at: int
    started_at: int
    ended_at: int
    expires_at: int
    delay: int
    result_ttl: int


@lru_cache(maxsize=256)
def shape(  # noqa: PLR0917  (a cache is quick where names are not given)
    executor: str,
    queue: str,
    priority: int,
    step: int,
    max_attempts: int,
    result_ttl: int,
    delay: int,
    run_at: int | None,
    expires_in: int | None,
    *has: bool,
) -> bytes:
    """What many new jobs have in common, as insert.lua takes it; *has*: a lock, a pipeline, a key."""
    state = STATES.index(State.BLOCKED if step else State.QUEUED)
    delay = delay if run_at is None else 0
    lane = "" if step else f"{executor} {priority} {queue}"
    parts = (
        lane.encode(),
        _HEAD.pack(state, 0, 0, 0, 0, *has, priority, 0, max_attempts, 0, 0, 0, step, 0, 0),
        _TAIL.pack(delay, result_ttl) + f"{executor} {queue}\0".encode(),
    )
    instants = (_NONE if instant is None else instant for instant in (run_at, expires_in))
    return _INSTANTS.pack(delay, *instants) + b"".join(len(part).to_bytes(2) + part for part in parts)


class Call(NamedTuple):
    """What was enqueued, and never changes."""

    job_id: str
    args: str
    headers: str | None
    key: str | None
    pipeline: str | None
    task: str
    queue: str
    executor: str
    lock: str | None
    tags: str | None


class Record(NamedTuple):
    """All that is stored of a job; `outcome` is its result or, of one that did not succeed, reason and error."""

    ref: int
    row: Row
    call: Call
    outcome: str | None
    attempts: tuple[Attempt, ...]
    progress: str | None

    @property
    def state(self) -> State:
        return STATES[self.row.state]


def claimed_of(packed: bytes, calls: Sequence[Sequence[Any]]) -> list[Claimed]:
    """What was claimed, from what turn.lua tells of it; what the step before gave is not known here."""
    return list(map(_claimed, _CLAIMED.iter_unpack(packed), calls))


def _claimed(columns: tuple[Any, ...], call: Sequence[Any]) -> Claimed:
    ref, suspect, handed_on, locked, piped, attempt, max_attempts, fence, crashes, due_at, result_ttl = (
        columns
    )
    job_id, args, headers, _, _, task, queue, executor, _, _ = call
    return Claimed(
        int(ref),
        job_id,
        task,
        queue,
        "alone" if suspect else "elsewhere" if handed_on else executor,
        attempt,
        max_attempts,
        fence,
        not (locked or piped) and result_ttl > 0,
        args,
        None,
        headers,
        crashes,
        due_at,
    )


def row_of(packed: bytes) -> Row:
    return Row._make(_ROW.unpack_from(packed))


def records_of(reply: Sequence[bytes | None]) -> Iterator[Record]:
    """As many values each as shared/record.lua tells."""
    for ref, packed, call, outcome, history, progress in zip(*[iter(reply)] * TOLD, strict=True):
        assert ref is not None  # noqa: S101  (for the type checker: only the last three may be missing)
        assert packed is not None  # noqa: S101
        assert call is not None  # noqa: S101
        yield Record(
            int(ref),
            row_of(packed),
            Call._make(json.loads(call)),
            None if outcome is None else outcome.decode(),
            () if history is None else tuple(map(attempt_of, _attempts(history))),
            # Behind the number of the attempt.
            None if progress is None else progress.decode().partition(" ")[2],
        )


def attempts_text(attempts: Sequence[Attempt]) -> str:
    """As `history` holds them."""
    rows = map(attempt_row, attempts)
    return ",".join(
        json.dumps(list({**row, "error": attempt.error}.values()), ensure_ascii=False)
        for row, attempt in zip(rows, attempts, strict=True)
    )


def packed_of(job: Job) -> bytes:
    """The row of a job that was read from another store: it is nobody's, and waits for no lock."""
    row = Row(
        state=STATES.index(job.state),
        is_parked=0,
        is_suspect=job.is_suspect,
        is_handed_on=job.is_handed_on,
        is_cancelling=job.cancel_requested,
        is_locked=job.lock is not None,
        is_piped=job.pipeline is not None,
        is_keyed=job.key is not None,
        priority=job.priority,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        fence=job.fence,
        rescues=job.rescues,
        crashes=job.crashes,
        step=job.step,
        session=0,
        claim=0,
        enqueued_at=from_datetime(job.enqueued_at),
        run_at=from_datetime(job.run_at),
        claimed_at=_instant(job.claimed_at),
        started_at=_instant(job.started_at),
        ended_at=_instant(job.ended_at),
        expires_at=_instant(job.expires_at),
        delay=job.delay,
        result_ttl=job.result_ttl,
    )
    return _ROW.pack(*row) + f"{job.executor} {job.queue}".encode() + b"\0"


def _instant(moment: datetime | None) -> int:
    return 0 if moment is None else from_datetime(moment)


def _attempts(history: bytes) -> Iterator[tuple[object, ...]]:
    for number, outcome, started_at, ended_at, error, session in json.loads(b"[" + history + b"]"):
        yield number, outcome, started_at, ended_at, None if error is None else json.dumps(error), session


def ending_of(state: State, outcome: str | None) -> tuple[str | None, str | None, ErrorInfo | None]:
    """Reason, result and error."""
    if outcome is None or not state.is_final:
        return None, None, None
    if state is State.SUCCEEDED:
        return None, outcome, None
    reason, error = json.loads(outcome)
    return reason, None, None if error is None else ErrorInfo(*error)


def job_of(record: Record, *, with_attempts: bool) -> Job:
    row, call, state = record.row, record.call, record.state
    reason, result, error = ending_of(state, record.outcome)
    return Job(
        job_id=call.job_id,
        task=call.task,
        queue=call.queue,
        executor=call.executor,
        priority=row.priority,
        state=state,
        reason=reason,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        fence=row.fence,
        session=row.session or None,
        rescues=row.rescues,
        crashes=row.crashes,
        is_suspect=bool(row.is_suspect),
        is_handed_on=bool(row.is_handed_on and not row.is_suspect),
        enqueued_at=to_datetime(row.enqueued_at),
        run_at=to_datetime(row.run_at),
        claimed_at=to_datetime(row.claimed_at) if row.claimed_at else None,
        started_at=to_datetime(row.started_at) if row.started_at else None,
        ended_at=to_datetime(row.ended_at) if row.ended_at else None,
        expires_at=to_datetime(row.expires_at) if row.expires_at else None,
        delay=row.delay,
        result_ttl=row.result_ttl,
        lock=call.lock,
        waits_for=call.lock if row.is_parked else None,
        key=call.key,
        tags=tuple(json.loads(call.tags or "[]")),
        headers=json.loads(call.headers or "{}"),
        pipeline=call.pipeline,
        step=row.step,
        cancel_requested=bool(row.is_cancelling),
        args=call.args,
        result=result,
        error=error,
        attempts=record.attempts if with_attempts else (),
        progress=shown_progress(state, record.progress),
    )
