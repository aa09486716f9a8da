"""The options of tasks and calls as type checkers and editors see them; imported by nothing that runs.

A TypedDict costs as much of the import as three modules of this size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypedDict

from taskmill._app.check import Duration
from taskmill._core.job import Executor, OwnExecutor

Errors = type[BaseException] | tuple[type[BaseException], ...]
"""One class of exceptions, or several."""


class JobFields(TypedDict, total=False):
    """The fields of NewJob that options decide."""

    task: str
    executor: Executor
    queue: str
    priority: int
    delay: int
    run_at: int | None
    expires_in: int | None
    max_attempts: int
    result_ttl: int
    lock: str | None
    key: str | None
    tags: str | None
    headers: str | None


class TaskSettings(TypedDict, total=False):
    """The options of `Mill.task`, for editors and type checkers; TaskOptions says what they mean."""

    name: str | None
    queue: str
    priority: int
    retries: int
    retry_delay: Duration
    backoff: float
    jitter: float
    retry_on: Errors
    no_retry_on: Errors
    timeout: Duration | None
    soft_timeout: Duration | None
    expires: Duration | None
    lock: str | None
    executor: OwnExecutor | None
    result_ttl: Duration
    aliases: Iterable[str]


class CallSettings(TypedDict, total=False):
    """The options of `Task.using`, which says what they mean."""

    queue: str
    priority: int
    retries: int
    delay: Duration | None
    run_at: datetime | None
    expires: Duration | datetime | None
    key: str | None
    tags: Iterable[str] | None
    headers: Mapping[str, str] | None
    lock: str | None
    result_ttl: Duration
    connection: object
