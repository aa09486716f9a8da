"""The job: what is stored, and what an attempt needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, get_args

from taskmill._core.instant import DAY

OwnExecutor = Literal["thread", "asyncio", "process"]
EXECUTORS: tuple[OwnExecutor, ...] = get_args(OwnExecutor)
# Two are given to jobs by the store: "alone" to those suspected of having taken their process down, "elsewhere" to
# those that a worker handed on because it does not know their task.
Executor = OwnExecutor | Literal["alone", "elsewhere"]

DEFAULT_QUEUE = "default"
LOWEST_PRIORITY, HIGHEST_PRIORITY = -100, 100
RESULT_TTL = 1 * DAY
FAILED_TTL = 30 * DAY
# So many of the runs that were given back are in the history of a job.
KEPT_RELEASES = 50


class State(StrEnum):
    """Where a job is; the last three are final."""

    BLOCKED = "blocked"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class Reason(StrEnum):
    """Why a job failed or was cancelled."""

    ERROR = "error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    UNDECODABLE = "undecodable"
    MISFIT = "arguments do not fit"
    RESULT_REFUSED = "result refused"
    REVOKED = "revoked"
    EXPIRED = "expired"
    BY_TASK = "by its task"
    STEP_BEFORE = "a step before it did not succeed"


@dataclass(slots=True, kw_only=True)
class NewJob:
    """A call on its way into the store; durations and instants in microseconds.

    `delay` counts from the moment the store takes the job (for a step of a pipeline: from the moment it
    is unblocked) and is ignored where `run_at` is given.
    """

    job_id: str
    task: str
    args: str
    queue: str = DEFAULT_QUEUE
    executor: Executor = "thread"
    priority: int = 0
    delay: int = 0
    run_at: int | None = None
    expires_in: int | None = None
    max_attempts: int = 1
    result_ttl: int = RESULT_TTL
    lock: str | None = None
    key: str | None = None
    tags: str | None = None
    headers: str | None = None
    pipeline: str | None = None
    step: int = 0

    @property
    def state(self) -> State:
        return State.BLOCKED if self.step else State.QUEUED


class Claimed(NamedTuple):
    """What a worker needs to run and settle one attempt; a tuple, because thousands are made a second.

    `ref` is the store's own handle of the job; `plain` says that ending the job touches no other row
    (no lock, no pipeline, result kept); `given` is the encoded result of the step before; `crashes`: how often
    the job took down a process in which it ran alone; `due_at`: since when it could have been claimed, by its time.
    """

    ref: int
    job_id: str
    task: str
    queue: str
    executor: Executor
    attempt: int
    max_attempts: int
    fence: int
    plain: bool
    args: str
    given: str | None
    headers: str | None
    crashes: int = 0
    due_at: int = 0


class ErrorInfo(NamedTuple):
    """An error as text: it crosses processes, so the exception object itself does not travel."""

    type: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"
