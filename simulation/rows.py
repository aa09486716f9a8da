"""What the store holds, as the witness reads it: by plain SQL of its own, on a connection of its own."""

from __future__ import annotations

import sqlite3
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
    session: int
    parent: int | None
    file: str


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


_JOBS = f"select {', '.join(JobRow._fields)} from taskmill_job"  # noqa: S608  (names of our own)


def picture(connection: sqlite3.Connection) -> Picture:
    """What is committed now; nobody writes meanwhile."""
    read = connection.execute
    return Picture(
        {row[0]: JobRow._make(row) for row in read(_JOBS)},
        {row[0]: SessionRow._make(row) for row in read("select id, parent, file from taskmill_session")},
        {row[1]: LockRow._make(row) for row in read("select id, name, session, job from taskmill_lock")},
        {
            row[0]: ScheduleRow._make(row)
            for row in read("select name, last_slot, fired, skipped from taskmill_schedule")
        },
    )
