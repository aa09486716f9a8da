"""The hot operations in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from taskmill._core.event import Notice
from taskmill._core.job import FINAL, ErrorInfo, Executor, NewJob, State
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import CancelAnswer, JobStore, Turn
from taskmill._storage.memory.changes import Memory, Wish
from taskmill._storage.memory.row import WAITING


class MemoryJobs(JobStore):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def add(self, jobs: Sequence[NewJob]) -> Sequence[str]:
        # Read to its end before anything is stored: all or none.
        calls = tuple(jobs)
        with self._memory.change() as changes:
            return [changes.add(call) for call in calls]

    def turn(
        self,
        session: int,
        settlements: Sequence[Settlement],
        *,
        claim: int,
        wants: Mapping[Executor, int],
        queues: Collection[str] | None,
        knows: Collection[str] = (),
    ) -> Turn:
        with self._memory.change() as changes:
            wish = Wish(wants, queues, knows, changes.tables.paused)
            stale = [settlement for settlement in settlements if not changes.settle(session, settlement)]
            changes.expire()
            claimed = changes.claim(session, claim, wish)
            return Turn(stale, claimed, changes.next_at(wish), changes.notices, changes.tables.version)

    def rescue(self) -> Sequence[Notice]:
        with self._memory.change() as changes:
            for session in [session for session in changes.tables.sessions if changes.is_dead(session)]:
                changes.take_back(session, "rescued")
                changes.keep_wish(session)
                changes.forget(session)
            changes.let_through_all()
            return changes.notices

    def bury(self, session: int, crash: ErrorInfo, *, alone: bool) -> Sequence[Notice]:
        with self._memory.change() as changes:
            changes.bury(session, crash, alone=alone)
            return changes.notices

    def cancel(self, job_id: str) -> tuple[CancelAnswer, Sequence[Notice]]:
        with self._memory.change() as changes:
            row = changes.tables.rows.get(job_id)
            if row is None:
                return "missing", []
            if row.state.is_final:
                return "ended", []
            if row.state is State.RUNNING:
                row.cancel_requested = True
                changes.tables.version += 1
                return "requested", []
            changes.revoke(row)
            return "cancelled", changes.notices

    def unwanted(self, session: int) -> Sequence[tuple[str, int]]:
        with self._memory.read() as tables:
            return [(row.job_id, row.fence) for row in tables.held_by(session) if row.cancel_requested]

    def retry(self, job_id: str) -> bool:
        with self._memory.change() as changes:
            row = changes.tables.rows.get(job_id)
            if row is None or row.state not in (State.FAILED, State.CANCELLED):
                return False
            before = changes.tables.step_before(row)
            if row.call.step and (before is None or before.state is not State.SUCCEEDED):
                return False
            changes.queue_again(row)
            return True

    def prune(self, *, limit: int) -> int:
        with self._memory.change() as changes:
            ended = changes.tables.in_states(FINAL)
            outlived = (
                row for row in ended if row.is_outlived(changes.now) and not changes.tables.is_needed(row)
            )
            changes.delete(list(islice(outlived, limit)))
            return len(changes.ended)

    def purge(self, *, queue: str | None, ended: bool, limit: int) -> int:
        with self._memory.change() as changes:
            rows = [
                row
                for row in changes.tables.in_states(FINAL if ended else WAITING)
                if queue in (None, row.call.queue) and not (ended and changes.tables.is_needed(row))
            ][:limit]
            if ended:
                changes.delete(rows)
            else:
                changes.delete_waiting(rows)
            return len(changes.ended)

    def delete(self, job_ids: Sequence[str]) -> int:
        with self._memory.change() as changes:
            for row in filter(None, map(changes.tables.rows.get, job_ids)):
                if row.state in WAITING:
                    changes.delete_waiting([row])
                elif row.state in FINAL and not changes.tables.is_needed(row):
                    changes.delete([row])
            return len(changes.ended)

    def pause(self, queue: str) -> bool:
        with self._memory.change() as changes:
            if queue in changes.tables.paused:
                return False
            changes.tables.paused[queue] = changes.now
            changes.tables.version += 1
            return True

    def resume(self, queue: str) -> bool:
        with self._memory.change() as changes:
            if changes.tables.paused.pop(queue, None) is None:
                return False
            changes.tables.version += 1
            changes.has_freed = True
            return True

    def hasten(self, job_id: str) -> bool:
        with self._memory.change() as changes:
            row = changes.tables.rows.get(job_id)
            if row is None or row.state is not State.QUEUED or row.run_at <= changes.now:
                return False
            changes.tables.hasten(row, changes.now)
            changes.has_freed = True
            return True
