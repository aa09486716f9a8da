"""From rows of a database to what people see; and the texts in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from taskmill._core.census import Serves
from taskmill._core.deed import Deed
from taskmill._core.filter import Filter
from taskmill._core.instant import from_datetime, instant_of, moment_of, to_datetime
from taskmill._core.job import FAILED_TTL, ErrorInfo, State
from taskmill._core.journal import progress_of
from taskmill._core.record import Attempt, Job
from taskmill._core.remark import Progress
from taskmill._storage.base import DeedPage, Page, QueueCount
from taskmill._storage.matching import holds, matches


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


def deed_page(rows: Sequence[tuple[Any, ...]], limit: int) -> DeedPage:
    """Of rows with a number, an instant and the columns of a deed: one more than *limit*, if there are more."""
    more = str(rows[limit - 1][0]) if len(rows) > limit else None
    return DeedPage([(to_datetime(at), Deed._make(deed)) for _, at, *deed in rows[:limit]], more)


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
        claimed_at=moment_of(row["claimed_at"]),
        started_at=moment_of(row["started_at"]),
        ended_at=moment_of(row["ended_at"]),
        expires_at=moment_of(row["expires_at"]),
        delay=row["delay"],
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
        progress=shown_progress(State(row["state"]), row["progress"]),
    )


def shown_progress(state: State, text: str | None) -> Progress | None:
    """What is shown of the progress that was said under the job's last claim: a job that waits has none."""
    return None if state in {State.BLOCKED, State.QUEUED} else progress_of(text)


def page_of(rows: Sequence[Row], *, limit: int, last: int | None) -> Page:
    """The page of these rows of a search that read as far as the number *last*; None: to the end of the store."""
    if len(rows) == limit:
        last = rows[-1]["id"]
    return Page([job_of(row, ()) for row in rows], None if last is None else str(last))


def is_of_running(wanted: Filter) -> bool:
    """Whether only running jobs are: they are few, and a store knows where."""
    return set(wanted.states) == {State.RUNNING}


def is_wanted(row: Row, wanted: Filter) -> bool:
    """Whether the job of *row* is what is wanted."""
    is_match = matches(
        wanted,
        state=State(row["state"]),
        task=row["task"],
        queue=row["queue"],
        tags=row["tags"],
        priority=row["priority"],
        enqueued_at=row["enqueued_at"],
        ended_at=row["ended_at"],
        session=row["session"],
    )
    return is_match and (
        wanted.text is None
        or holds(
            wanted.text,
            as_it_is=(row["job_id"], row["task"], row["queue"], row["key"]),
            as_json=(row["tags"], row["args"], row["result"], row["error"]),
        )
    )


def row_of(job: Job) -> dict[str, Any]:
    """The columns of a job that was read from another store: it is nobody's, and waits for no lock."""
    is_lent = job.is_suspect or job.is_handed_on
    executor = f"elsewhere:{job.task}" if job.is_handed_on else job.executor
    return {
        "job_id": job.job_id,
        "state": str(job.state),
        "queue": job.queue,
        "executor": "alone" if job.is_suspect else executor,
        "own_executor": job.executor if is_lent else None,
        "priority": job.priority,
        "run_at": from_datetime(job.run_at),
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "fence": job.fence,
        "rescues": job.rescues,
        "crashes": job.crashes,
        "cancel_requested": job.cancel_requested,
        "task": job.task,
        "enqueued_at": from_datetime(job.enqueued_at),
        "claimed_at": instant_of(job.claimed_at),
        "started_at": instant_of(job.started_at),
        "ended_at": instant_of(job.ended_at),
        "kept_for": kept_for(job),
        "expires_at": instant_of(job.expires_at),
        "delay": job.delay,
        "result_ttl": job.result_ttl,
        "lock": job.lock,
        "key": job.key,
        "tags": json.dumps(job.tags) if job.tags else None,
        "headers": json.dumps(job.headers) if job.headers else None,
        "pipeline": job.pipeline,
        "step": job.step,
        "args": job.args,
        "result": job.result,
        "error": error_text(job.error),
        "reason": job.reason,
    }


def kept_for(job: Job) -> int | None:
    """For how long after its end."""
    if not job.state.is_final:
        return None
    return max(job.result_ttl, FAILED_TTL) if job.state is State.FAILED else job.result_ttl


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "started_at": instant_of(attempt.started_at),
        "ended_at": from_datetime(attempt.ended_at),
        "error": error_text(attempt.error),
        "session": attempt.session,
    }


# Where a text is damaged, it is shown as it is: one job must not hide the others.


def error_of(text: str | None) -> ErrorInfo | None:
    try:
        return None if text is None else ErrorInfo(*map(str, json.loads(text)))
    except (ValueError, TypeError):
        return ErrorInfo("damaged", str(text))


def _tags(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        return tuple(map(str, json.loads(text)))
    except (ValueError, TypeError):
        return (str(text),)


def _headers(text: str | None) -> dict[str, str]:
    if not text:
        return {}
    try:
        return {str(name): str(value) for name, value in dict(json.loads(text)).items()}
    except (ValueError, TypeError):
        return {"damaged": str(text)}


def attempt_of(row: tuple[Any, ...]) -> Attempt:
    """Of number, outcome, started_at, ended_at, error, session."""
    number, outcome, started_at, ended_at, error, session = row
    return Attempt(
        number=number,
        outcome=outcome,
        started_at=moment_of(started_at),
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
