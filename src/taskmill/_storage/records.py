"""Jobs and schedules as JSON, to be taken from store to store; docs/operations.md describes it for others.

Instants and durations are integer microseconds. A reader refuses what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from taskmill._core.instant import from_datetime, to_datetime
from taskmill._core.job import EXECUTORS, HIGHEST_PRIORITY, LOWEST_PRIORITY, ErrorInfo, State
from taskmill._core.journal import Sheet
from taskmill._core.record import Attempt, Job
from taskmill._storage.base import Load, ScheduleState

_LARGEST = (1 << 63) - 1

JSON = dict[str, Any]

# True in one store only, or said by the sheets.
_NOT_TAKEN_ALONG = ("session", "waits_for", "progress")


def job_record(job: Job) -> JSON:
    record = {field.name: _plain(getattr(job, field.name)) for field in fields(job)}
    for name in _NOT_TAKEN_ALONG:
        del record[name]
    return record


def job_of(record: object) -> Job:
    """ValueError, which says what is wrong, if *record* is not that of a job that can be stored."""
    if not isinstance(record, dict):
        raise ValueError("it is no object")  # noqa: TRY004  (about a value that was read)
    job: Job = _made(Job, {**record, **dict.fromkeys(_NOT_TAKEN_ALONG)})
    for is_right, rule in _rules(job):
        if not is_right:
            raise ValueError(rule)
    return job


def schedule_record(schedule: ScheduleState) -> JSON:
    return schedule._asdict()


def schedule_of(record: object) -> ScheduleState:
    """As `job_of`."""
    if not isinstance(record, dict):
        raise ValueError("it is no object")  # noqa: TRY004
    schedule: ScheduleState = _made(ScheduleState, record)
    return schedule


def at_rest(job: Job) -> Job:
    """The job as it waits, if it runs: handed back, no attempt burnt."""
    if job.state is not State.RUNNING:
        return job
    return replace(
        job,
        state=State.QUEUED,
        attempt=job.attempt - 1,
        claimed_at=None,
        started_at=None,
        cancel_requested=False,
    )


# --- many, as one text


def load_text(load: Load) -> str:
    return json.dumps(
        {
            "jobs": [job_record(job) for job in load.jobs],
            "schedules": [schedule_record(schedule) for schedule in load.schedules],
        }
    )


def load_of(text: str) -> Load:
    load = json.loads(text)
    return Load(
        [job_of(record) for record in load["jobs"]], [schedule_of(record) for record in load["schedules"]]
    )


# --- values


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return from_datetime(value)
        case ErrorInfo() | Sheet():
            return value._asdict()
        case Attempt():
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _made(kind: Any, record: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    if missing := sorted(hints.keys() - record.keys()):
        raise ValueError(f"it has no {missing[0]!r}")
    if strange := sorted(record.keys() - hints.keys()):
        raise ValueError(f"nobody knows its {strange[0]!r}")
    return kind(**{name: _read(name, hint, record[name]) for name, hint in hints.items()})


def _read(name: str, hint: Any, value: Any) -> Any:
    if get_origin(hint) is UnionType:
        if value is None:
            return None
        [hint] = [each for each in get_args(hint) if each is not type(None)]
    try:
        return _READERS[hint](value)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"its {name!r} cannot be {json.dumps(value)[:80]}: {error}") from None


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"that is no {kind.__name__}")
        return value

    return read


_text, _flag = _exactly(str), _exactly(bool)


def _number(value: Any) -> int:
    number = _exactly(int)(value)
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError("that is too much")
    return int(number)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, _exactly(list)(value)))


def _attempts(value: Any) -> tuple[Attempt, ...]:
    return tuple(_made(Attempt, _exactly(dict)(each)) for each in _exactly(list)(value))


def _sheets(value: Any) -> tuple[Sheet, ...]:
    return tuple(_made(Sheet, _exactly(dict)(each)) for each in _exactly(list)(value))


def _error(value: Any) -> ErrorInfo:
    error: ErrorInfo = _made(ErrorInfo, _exactly(dict)(value))
    return error


def _headers(value: Any) -> dict[str, str]:
    return {_text(name): _text(text) for name, text in _exactly(dict)(value).items()}


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _number,
    bool: _flag,
    datetime: lambda value: to_datetime(_number(value)),
    State: State,
    ErrorInfo: _error,
    tuple[str, ...]: _texts,
    tuple[Attempt, ...]: _attempts,
    tuple[Sheet, ...]: _sheets,
    dict[str, str]: _headers,
}


def _rules(job: Job) -> list[tuple[bool, str]]:
    return [
        (job.state is not State.RUNNING, "it runs"),
        (job.executor in EXECUTORS, f"there is no executor {job.executor!r}"),
        (LOWEST_PRIORITY <= job.priority <= HIGHEST_PRIORITY, "its priority is out of range"),
        (0 <= job.attempt <= job.fence, "its attempt is beyond its fence"),
        (job.max_attempts >= 1, "it has no attempt"),
        (min(job.delay, job.result_ttl, job.rescues, job.crashes, job.step) >= 0, "a number is below 0"),
        (job.state.is_final == (job.ended_at is not None), "its state and its end contradict each other"),
        (job.step == 0 or job.pipeline is not None, "it is a step of no pipeline"),
        (job.state is not State.BLOCKED or job.step > 0, "it is blocked behind no step"),
        (job.state.is_final or not job.cancel_requested, "it waits though it was cancelled"),
    ]
