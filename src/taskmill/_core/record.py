"""The job as people see it; in a module of its own, because programs that only enqueue do not need to load it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from taskmill._core.job import KEPT_RELEASES, ErrorInfo, State
from taskmill._core.journal import Sheet
from taskmill._core.remark import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One finished run of a job that did not succeed.

    A run that took its process down (outcome "crashed") and one that its worker gave back before its end ("released")
    were handed back, so the next one has the same number. One whose worker died beside it, and one that was snoozed,
    have no entry. Of those that were released, a job keeps the newest KEPT_RELEASES: one that takes longer than its
    workers live is released each time.
    """

    number: int
    outcome: str
    started_at: datetime | None
    ended_at: datetime
    error: ErrorInfo | None
    session: int | None

    @property
    def is_handed_back(self) -> bool:
        """Whether the next run has its number."""
        return self.outcome in {"crashed", "released"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that is known of a job, for people; instants are aware UTC datetimes.

    `crashes`: how often it took down a process in which it ran alone. `is_suspect`: it was running when a process
    with others crashed, so it runs in a process of its own. `is_handed_on`: a worker had it that does not know its
    task, so it waits for one that does. `delay`: of a step of a pipeline, how long it waits once the
    one before has succeeded, in microseconds. `progress`: how far the attempt that runs, or ran last, said that it is.
    `sheets`: its journal, and only where the job is on its way from store to store.
    """

    job_id: str
    task: str
    queue: str
    executor: str
    priority: int
    state: State
    reason: str | None
    attempt: int
    max_attempts: int
    fence: int
    session: int | None
    rescues: int
    crashes: int
    is_suspect: bool
    is_handed_on: bool
    enqueued_at: datetime
    run_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    delay: int
    result_ttl: int
    lock: str | None
    waits_for: str | None
    key: str | None
    tags: tuple[str, ...]
    headers: dict[str, str]
    pipeline: str | None
    step: int
    cancel_requested: bool
    args: str
    result: str | None
    error: ErrorInfo | None
    attempts: tuple[Attempt, ...] = field(default=())
    progress: Progress | None = None
    sheets: tuple[Sheet, ...] = field(default=())

    @property
    def unlisted(self) -> int:
        """How many of its runs `attempts` has no entry of, once it does not keep all that were released; 0 before."""
        if sum(attempt.outcome == "released" for attempt in self.attempts) < KEPT_RELEASES:
            return 0
        is_in_the_row = self.state is State.RUNNING or self.state.is_final
        return max(0, self.fence - len(self.attempts) - is_in_the_row)

    @property
    def began_at(self) -> datetime | None:
        """When its latest attempt began; of one that runs, when it was claimed: its start is stored with its end."""
        return self.started_at or (self.claimed_at if self.state is State.RUNNING else None)
