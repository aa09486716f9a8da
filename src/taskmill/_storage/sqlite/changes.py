"""What transactions share: cancelling, taking jobs back from a session, waking who waits for a lock."""

from __future__ import annotations

import json
from collections.abc import Iterable

from taskmill._core.event import EventKind, Notice
from taskmill._core.job import Reason
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.wake import Wake

SQL = Queries("taskmill._storage.sqlite", "jobs.sql")


class Changes:
    """The changes of one transaction and whom they concern.

    `ended` are the jobs whose waiters must be woken, `has_freed` says that jobs may have become claimable.
    """

    def __init__(self, connection: Connection, now: int) -> None:
        self.connection = connection
        self.now = now
        self.ended: list[str] = []
        self.notices: list[Notice] = []
        self.has_freed = False

    def cancel(self, ref: int, job_id: str, reason: Reason) -> None:
        self.connection.execute(SQL.cancel_one, {"id": ref, "reason": reason, "now": self.now})
        self.note_cancelled(job_id, reason)

    def cancel_later(self, pipeline: str, step: int) -> None:
        """Cancel the steps that can no longer have their turn."""
        later = {"pipeline": pipeline, "step": step, "reason": Reason.STEP_BEFORE, "now": self.now}
        for [job_id] in self.connection.execute(SQL.cancel_later, later).fetchall():
            self.note_cancelled(job_id, Reason.STEP_BEFORE)

    def after_cancel(self, lock: str | None, pipeline: str | None, step: int) -> None:
        """What follows when a waiting job is cancelled: its pipeline ends, its place at the lock is free."""
        if pipeline is not None:
            self.cancel_later(pipeline, step)
        if lock is not None:
            self.wake_waiter(lock)

    def wake_waiter(self, lock: str) -> None:
        """Let the first job that waits for *lock* be claimed again, if the lock is free."""
        self.connection.execute(SQL.first_waiter, {"lock": lock})
        self.has_freed = True

    def wake_all_awaited(self) -> None:
        """The first waiter of every free lock: heals what left a lock free and its waiters behind."""
        for [lock] in self.connection.execute(SQL.awaited_locks).fetchall():
            self.wake_waiter(lock)

    def announce(self, wake: Wake) -> None:
        """Tell this process, after the commit."""
        if self.ended:
            wake.jobs_ended(self.ended)
        if self.has_freed:
            wake.jobs_added()

    def take_back(self, session: int, kind: EventKind) -> None:
        """Queue again what *session* holds, and free its locks."""
        for ref, job_id, cancel_requested, pipeline, step in self._held_by(session):
            back = {"id": ref, "rescued": int(kind == "rescued")}
            self.connection.execute(SQL.take_back, back)
            if cancel_requested:
                self.cancel(ref, job_id, Reason.REVOKED)
                self.cancel_later(pipeline, step)
            else:
                self.notices.append(Notice(kind, job_id))
            self.has_freed = True
        for [lock] in self.connection.execute(SQL.free_session_locks, {"session": session}).fetchall():
            self.wake_waiter(lock)

    def _held_by(self, session: int) -> Iterable[tuple[int, str, int, str, int]]:
        return self.connection.execute(SQL.held_by, {"session": session}).fetchall()

    def note_cancelled(self, job_id: str, reason: Reason) -> None:
        self.ended.append(job_id)
        self.notices.append(Notice("cancelled", job_id, reason))


def delete(connection: Connection, refs: Iterable[int]) -> None:
    ids = {"ids": json.dumps(list(refs))}
    connection.execute(SQL.delete_payloads, ids)
    connection.execute(SQL.delete_attempts, ids)
    connection.execute(SQL.delete_sheets, ids)
    connection.execute(SQL.delete, ids)
