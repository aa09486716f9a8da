"""A job as people and as programs read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from taskmill._app.application import Application
from taskmill._cli.text import Column, plain, shortened, table
from taskmill._core.instant import SECOND
from taskmill._core.job import ErrorInfo, State
from taskmill._core.lifecycle import MOST_CRASHES
from taskmill._core.record import Attempt, Job
from taskmill._core.remark import Progress
from taskmill._core.wording import ago, clean, clean_lines, counted, span

_LONGEST_VALUE = 4_000
_STEPS = (Column("STEP", to_right=True), Column("JOB"), Column("STATE"), Column("TASK", shrinks=True))


# --- for programs


def as_json(job: Job) -> dict[str, Any]:
    """The job without its attempts. Arguments and result are in the tagged form in which they are stored.

    Where the stored arguments are no call, `args` is their text and `kwargs` is None.
    """
    args, kwargs = _stored_call(job.args)
    return {
        "job_id": job.job_id,
        "task": job.task,
        "args": args,
        "kwargs": kwargs,
        "state": str(job.state),
        "reason": job.reason,
        "result": None if job.result is None else _stored(job.result),
        "error": _error_as_json(job.error),
        "queue": job.queue,
        "executor": job.executor,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "rescues": job.rescues,
        "crashes": job.crashes,
        "is_suspect": job.is_suspect,
        "is_handed_on": job.is_handed_on,
        "enqueued_at": iso(job.enqueued_at),
        "run_at": iso(job.run_at),
        "claimed_at": iso(job.claimed_at),
        "started_at": iso(job.began_at),
        "ended_at": iso(job.ended_at),
        "expires_at": iso(job.expires_at),
        "result_ttl": job.result_ttl / SECOND,
        "lock": job.lock,
        "waits_for": job.waits_for,
        "key": job.key,
        "tags": list(job.tags),
        "headers": job.headers,
        "pipeline": job.pipeline,
        "step": job.step,
        "cancel_requested": job.cancel_requested,
        "progress": _progress_as_json(job.progress),
        "session": job.session,
        "fence": job.fence,
    }


def as_full_json(job: Job, steps: Sequence[Job]) -> dict[str, Any]:
    """The job with its attempts and the steps of its pipeline."""
    told = [
        {"step": step.step, "job_id": step.job_id, "task": step.task, "state": str(step.state)}
        for step in steps
    ]
    return as_json(job) | {"attempts": [_attempt_as_json(each) for each in job.attempts], "steps": told}


def _attempt_as_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "error": _error_as_json(attempt.error),
        "session": attempt.session,
    }


def _error_as_json(error: ErrorInfo | None) -> dict[str, str] | None:
    return None if error is None else error._asdict()


def _progress_as_json(progress: Progress | None) -> dict[str, Any] | None:
    return None if progress is None else {**progress._asdict(), "said_at": iso(progress.said_at)}


def iso(moment: datetime | None) -> str | None:
    """An instant for programs."""
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _stored(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _stored_call(text: str) -> tuple[Any, Any]:
    match _stored(text):
        case [list() as args, dict() as kwargs]:
            return args, kwargs
        case _:
            return text, None


# --- for people


def as_text(
    app: Application, job: Job, steps: Sequence[Job], now: datetime, width: int | None
) -> Iterator[str]:
    """Lines that tell all that is known of the job."""
    yield from _fields(_facts(app, job, now))
    if job.error is not None:
        yield ""
        yield from _error(job.error)
    if job.attempts:
        yield ""
        yield "Earlier attempts"
        for attempt in job.attempts:
            yield from _attempt(attempt)
        if job.unlisted:
            yield f"  and {counted(job.unlisted, 'run')} that were given back, put off or taken over"
    if steps:
        yield ""
        yield "Pipeline"
        rows = [(step.step + 1, step.job_id, step.state, step.task) for step in steps]
        yield from ("  " + plain(line) for line in table(_STEPS, rows, width and width - 2))


def when(job: Job, now: datetime) -> str:
    """What the clock says of a job in its state."""
    match job.state:
        case State.BLOCKED:
            return "-"
        case State.QUEUED if job.run_at > now:
            return ago(job.run_at, now)
        case State.QUEUED:
            return f"due {span((now - job.run_at).total_seconds())}"
        case State.RUNNING:
            return f"for {span((now - (job.began_at or now)).total_seconds())}"
        case _:
            return ago(job.ended_at or now, now)


def _facts(app: Application, job: Job, now: datetime) -> Iterator[tuple[str, str | None]]:
    yield "Job", job.job_id
    yield "Call", _call(app, job)
    yield "State", _state(job)
    if job.state is State.SUCCEEDED and job.result is not None:
        yield "Result", _value(app, job.result)
    if job.progress is not None:
        yield "Progress", f"{_progress(job.progress)}  ({ago(job.progress.said_at, now)})"
    yield "Attempt", ", ".join(_attempts_told(job))
    yield "Queue", f"{job.queue}, priority {job.priority}"
    for name, moment in (
        ("Enqueued", job.enqueued_at),
        ("Due", job.run_at),
        ("Expires", job.expires_at),
        ("Started", job.began_at),
        ("Ended", job.ended_at),
    ):
        yield name, None if moment is None else f"{iso(moment)}  ({ago(moment, now)})"
    yield "Lock", job.lock
    yield "Key", job.key
    yield "Tags", ", ".join(job.tags) or None
    yield "Headers", ", ".join(f"{name}={value}" for name, value in job.headers.items()) or None


def _progress(progress: Progress) -> str:
    told = f"{progress.done:.12g}"
    if progress.total is not None:
        told += f" of {progress.total:.12g}"
    if progress.share is not None:
        told += f", {progress.share:.0%}"
    return f"{told}: {progress.text}" if progress.text else told


def _attempts_told(job: Job) -> Iterator[str]:
    yield f"{job.attempt} of {job.max_attempts}"
    if job.rescues:
        yield f"rescued {counted(job.rescues, 'time')}"
    if job.crashes:
        yield f"took down {job.crashes} of {MOST_CRASHES} processes"


def _fields(facts: Iterator[tuple[str, str | None]]) -> Iterator[str]:
    for name, value in facts:
        if value is not None:
            yield f"{name:<10}{clean(value)}"


def _state(job: Job) -> str:
    notes = [job.reason, f"waits for the lock {job.waits_for}" if job.waits_for else None]
    notes.append("runs alone after a crash" if job.is_suspect and not job.state.is_final else None)
    is_waiting = job.is_handed_on and job.state is State.QUEUED
    notes.append("waits for a worker that knows its task" if is_waiting else None)
    notes.append("asked to stop" if job.cancel_requested and not job.state.is_final else None)
    said = ", ".join(note for note in notes if note)
    return f"{job.state} ({said})" if said else str(job.state)


def _call(app: Application, job: Job) -> str:
    """The call as it was written; what is stored, where its classes are not known here or it is damaged."""
    try:
        args, kwargs = app.codec.decode_call(job.args)
        given = [f"<result of step {job.step}>"] if job.step else []
        given += [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    except Exception:  # noqa: BLE001  (UndecodablePayload, or anything from somebody's __repr__)
        return shortened(f"{job.task} with {job.args}", _LONGEST_VALUE)
    return shortened(f"{job.task}({', '.join(given)})", _LONGEST_VALUE)


def _value(app: Application, text: str) -> str:
    try:
        return shortened(repr(app.codec.decode(text)), _LONGEST_VALUE)
    except Exception:  # noqa: BLE001  (as in _call)
        return shortened(text, _LONGEST_VALUE)


def _error(error: ErrorInfo) -> Iterator[str]:
    yield f"Error     {clean(shortened(f'{error.type}: {error.message}', _LONGEST_VALUE))}"
    yield from _traceback(error)


def _attempt(attempt: Attempt) -> Iterator[str]:
    began = attempt.started_at or attempt.ended_at
    took = span((attempt.ended_at - began).total_seconds())
    cause = f": {attempt.error.type}: {attempt.error.message}" if attempt.error else ""
    told = f"{attempt.number}  {attempt.outcome} {iso(attempt.ended_at)} after {took}{cause}"
    yield f"  {clean(shortened(told, _LONGEST_VALUE))}"
    if attempt.error is not None:
        yield from _traceback(attempt.error)


def _traceback(error: ErrorInfo) -> Iterator[str]:
    if error.traceback:
        yield from (f"    {line}" for line in clean_lines(error.traceback.rstrip("\n")))
