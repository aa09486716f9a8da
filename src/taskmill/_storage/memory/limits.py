"""Locks in memory; those of jobs are taken and freed in the turn that claims and settles the job."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.instant import to_datetime
from taskmill._storage.base import LimitStore, LockState
from taskmill._storage.memory.changes import Memory


class MemoryLimits(LimitStore):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def acquire(self, name: str, session: int) -> int | None:
        with self._memory.change() as changes:
            holder = changes.tables.locks.get(name)
            if changes.is_dead(session) or (holder is not None and not changes.is_dead(holder.session)):
                return None
            return changes.lock(name, session, None)

    def release(self, name: str, session: int, token: int) -> bool:
        with self._memory.change() as changes:
            lock = changes.tables.locks.get(name)
            if lock is None or (lock.session, lock.token, lock.row) != (session, token, None):
                return False
            changes.free(name)
            return True

    def list(self) -> Sequence[LockState]:
        with self._memory.read() as tables:
            return [
                LockState(
                    name,
                    lock.token,
                    lock.session,
                    lock.row.job_id if lock.row else None,
                    to_datetime(lock.since),
                )
                for name, lock in sorted(tables.locks.items())
            ]
