"""What people ask about a store in memory as a whole."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from taskmill._core.census import Census, HeldLock, KnownSchedule, OpenCrate, Presence, Waiting
from taskmill._core.finding import Finding
from taskmill._core.job import State
from taskmill._storage.base import Backup, Health, Violation
from taskmill._storage.memory.changes import Changes, Memory
from taskmill._storage.memory.row import WAITING, Row
from taskmill._storage.memory.tables import Tables
from taskmill.errors import BackupFailed


class MemoryHealth(Health):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def findings(self) -> Iterator[Finding]:
        return iter(())

    def census(self) -> Census:
        with self._memory.change() as changes:
            tables, now = changes.tables, changes.now
            crate = tables.outgoing
            rows = tables.rows.values()
            outlived = [at for row in rows if (at := row.outlived_at) is not None and at <= now]
            return Census(
                now=now,
                newest=max(
                    (max(row.enqueued_at, row.claimed_at or 0, row.ended_at or 0) for row in rows), default=0
                ),
                sessions=[self._presence(changes, session) for session in sorted(tables.sessions)],
                waiting=_waiting(tables.by_state[State.QUEUED].values(), now),
                locks=[_held_lock(tables, name) for name in sorted(tables.locks)],
                schedules=[
                    KnownSchedule(*state[:4], state.paused_at) for state in sorted(tables.schedules.values())
                ],
                paused=dict(tables.paused),
                ended=sum(row.state.is_final for row in rows),
                outlived=len(outlived),
                outlived_at=min(outlived, default=None),
                attempts=sum(len(row.attempts) for row in rows),
                payload=sum(len(row.call.args) + len(row.result or "") for row in rows),
                crate=OpenCrate(crate.crate_id, len(crate.load.jobs)) if crate else None,
            )

    @staticmethod
    def _presence(changes: Changes, session: int) -> Presence:
        known = changes.tables.sessions[session]
        return Presence(
            session=session,
            kind=known.kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            life="silent" if changes.is_dead(session) else "alive",
            serves=known.serves,
            held=len(changes.tables.held_by(session))
            + sum(lock.session == session and lock.row is None for lock in changes.tables.locks.values()),
            is_stopping=known.is_asked_to_stop,
        )

    def verify(self) -> Sequence[Violation]:
        with self._memory.read() as tables:
            broken = _broken(tables)
        return [Violation(rule, len(names), names[:5]) for rule, names in broken.items() if names]

    def backup(self, target: Path, *, replace: bool) -> Backup:  # noqa: ARG002  (there is nothing to copy)
        raise BackupFailed(
            "memory:// lives and ends with this process: only a store in a file can be backed up"
        )


def _waiting(rows: Iterable[Row], now: int) -> list[Waiting]:
    kinds: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.call.queue, row.call.executor, row.call.task), []).append(row)
    due = {kind: [row.run_at for row in group if row.is_claimable(now)] for kind, group in kinds.items()}
    return [
        Waiting(*kind, len(group), len(due[kind]), min(due[kind], default=None))
        for kind, group in sorted(kinds.items())
    ]


def _held_lock(tables: Tables, name: str) -> HeldLock:
    lock = tables.locks[name]
    waiters = len(tables.waiters.get(name, ()))
    return HeldLock(name, lock.session, lock.row.job_id if lock.row else None, lock.since, waiters)


def _broken(tables: Tables) -> dict[str, list[str]]:
    """The rules of a store by name, and what breaks them."""
    running = tables.by_state[State.RUNNING].values()
    by_lock = {lock.row: name for name, lock in tables.locks.items() if lock.row}
    steps_before = {row: tables.step_before(row) for row in tables.rows.values() if row.call.step}
    woken = {row.call.lock for row in tables.line}
    return {
        "running-without-session": [row.job_id for row in running if row.session not in tables.sessions],
        "lock-without-session": [
            name for name, lock in tables.locks.items() if lock.session not in tables.sessions
        ],
        "lock-without-its-job": [
            name
            for row, name in by_lock.items()
            if (row.state, row.session, row.call.lock) != (State.RUNNING, tables.locks[name].session, name)
        ],
        "lock-that-wakes-nobody": [
            name for name in tables.waiters if name not in tables.locks and name not in woken
        ],
        "blocked-for-ever": [
            row.job_id
            for row, before in steps_before.items()
            if row.state is State.BLOCKED and (before is None or before.state.is_final)
        ],
        "step-before-its-turn": [
            row.job_id
            for row, before in steps_before.items()
            if row.state in {State.QUEUED, State.RUNNING}
            and (before is None or before.state is not State.SUCCEEDED)
        ],
        "cancelled-and-yet-waiting": [
            row.job_id for row in tables.in_states(WAITING) if row.cancel_requested
        ],
    }
