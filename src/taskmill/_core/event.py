"""The lifecycle events: the one list of names that signal handlers can ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from taskmill._core.job import ErrorInfo

EventKind = Literal[
    "enqueued",  # stored: the enqueue has returned or is about to
    "unblocked",  # a pipeline's step whose turn has come
    "started",  # an attempt begins, in the worker
    "succeeded",
    "failed",  # for good: the last attempt, or an error that is not retried
    "retrying",  # an attempt failed, another will follow
    "snoozed",
    "released",  # given back by a worker, no attempt burnt
    "rescued",  # taken back from a dead worker
    "crashed",  # took down the process in which it ran alone; it is tried again
    "cancelled",  # reason: revoked, expired, by its task, or a step before it failed
]
EVENT_KINDS: tuple[str, ...] = get_args(EventKind)


class Notice(NamedTuple):
    """A change that a store operation made to a job besides those it was asked to make."""

    kind: EventKind
    job_id: str
    reason: str | None = None


class Event(NamedTuple):
    """What a signal handler receives, and what `mill.events()` reads back from the store."""

    kind: EventKind
    job_id: str
    task: str
    queue: str
    attempt: int
    at: datetime
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
