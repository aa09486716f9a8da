"""From rows of a database to what people see; and the texts in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Protocol

from taskmill._core.census import Serves
from taskmill._core.instant import to_datetime
from taskmill._core.job import ErrorInfo, State
from taskmill._core.record import Attempt, Job
from taskmill._storage.base import QueueCount


class Row(Protocol):
    """A row with its columns by name."""

    def __getitem__(self, column: str, /) -> Any:
        """The value of that column."""
        ...


def queue_count(name: str, rows: Iterable[tuple[Any, ...]]) -> QueueCount:
    states: dict[State, int] = {}
    due = 0
    for _, state, count, claimable in rows:
        states[State(state)] = count
        due += claimable
    return QueueCount(name, states, due)


def job_of(row: Row, attempts: tuple[Attempt, ...]) -> Job:
    """The job of *row*, whose columns are named as the fields are; `executor` is that which it is claimed for."""
    return Job(
        job_id=row["job_id"],
        task=row["task"],
        queue=row["queue"],
        executor=row["own_executor"] or row["executor"],
        priority=row["priority"],
        state=State(row["state"]),
        reason=row["reason"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        fence=row["fence"],
        session=row["session"],
        rescues=row["rescues"],
        crashes=row["crashes"],
        is_suspect=row["executor"] == "alone",
        is_handed_on=row["own_executor"] is not None and row["executor"] != "alone",
        enqueued_at=to_datetime(row["enqueued_at"]),
        run_at=to_datetime(row["run_at"]),
        claimed_at=_moment(row["claimed_at"]),
        started_at=_moment(row["started_at"]),
        ended_at=_moment(row["ended_at"]),
        expires_at=_moment(row["expires_at"]),
        result_ttl=row["result_ttl"],
        lock=row["lock"],
        waits_for=row["waits_for"],
        key=row["key"],
        tags=_tags(row["tags"]),
        headers=_headers(row["headers"]),
        pipeline=row["pipeline"],
        step=row["step"],
        cancel_requested=bool(row["cancel_requested"]),
        # Of a damaged row they may be nowhere.
        args=row["args"] or "",
        result=row["result"],
        error=error_of(row["error"]),
        attempts=attempts,
    )


def _moment(instant: int | None) -> Any:
    return None if instant is None else to_datetime(instant)


# Where a text is damaged, it is shown as it is: one job must not hide the others.


def error_of(text: str | None) -> ErrorInfo | None:
    try:
        return None if text is None else ErrorInfo(*json.loads(text))
    except (ValueError, TypeError):
        return ErrorInfo("damaged", str(text))


def _tags(text: str | None) -> tuple[str, ...]:
    try:
        return tuple(map(str, json.loads(text or "[]")))
    except (ValueError, TypeError):
        return (str(text),)


def _headers(text: str | None) -> dict[str, str]:
    try:
        return dict(json.loads(text or "{}"))
    except (ValueError, TypeError):
        return {"damaged": str(text)}


def attempt_of(row: tuple[Any, ...]) -> Attempt:
    """Of number, outcome, started_at, ended_at, error, session."""
    number, outcome, started_at, ended_at, error, session = row
    return Attempt(
        number=number,
        outcome=outcome,
        started_at=_moment(started_at),
        ended_at=to_datetime(ended_at),
        error=error_of(error),
        session=session,
    )


def error_text(error: ErrorInfo | None) -> str | None:
    return None if error is None else json.dumps(error)


def serves_text(serves: Serves | None) -> str | None:
    if serves is None:
        return None
    queues = None if serves.queues is None else sorted(serves.queues)
    return json.dumps([queues, sorted(serves.executors), sorted(serves.tasks)])


def serves_of(text: str | None) -> Serves | None:
    try:
        return None if text is None else Serves(*json.loads(text))
    except (ValueError, TypeError):
        # A damaged row; `verify` names it.
        return None
