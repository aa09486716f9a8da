"""What the store holds, as the witness sees it; each of `stores/` reads it in its own way, by no code of taskmill's."""

from __future__ import annotations

from typing import NamedTuple

FINAL = ("succeeded", "failed", "cancelled")


class JobRow(NamedTuple):
    """The columns of a job that are watched."""

    job_id: str
    id: int
    state: str
    queue: str
    executor: str
    priority: int
    run_at: int
    attempt: int
    max_attempts: int
    fence: int
    session: int | None
    claim: int | None
    crashes: int
    task: str
    ended_at: int | None
    kept_for: int | None
    expires_at: int | None
    result_ttl: int
    lock: str | None
    waits_for: str | None
    pipeline: str | None
    step: int
    result: str | None
    error: str | None
    reason: str | None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it stands in line among jobs of its executor."""
        return -self.priority, self.run_at, self.id


class SessionRow(NamedTuple):
    """*lease* and *until*, when it is over, are None where they lie in the session's files."""

    session: int
    parent: int | None
    file: str
    lease: int | None = None
    until: int | None = None


class LockRow(NamedTuple):
    token: int
    name: str
    session: int
    job: int | None


class ScheduleRow(NamedTuple):
    name: str
    last_slot: int
    fired: int
    skipped: int


class Picture(NamedTuple):
    """The store at one moment."""

    jobs: dict[str, JobRow]
    sessions: dict[int, SessionRow]
    locks: dict[str, LockRow]
    schedules: dict[str, ScheduleRow]
