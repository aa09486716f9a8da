"""The contract at its shortest, in dicts under one lock: a store of one process, and the tests' model."""

from __future__ import annotations

import json
import os
import socket
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import nlargest
from itertools import count, islice
from pathlib import Path
from threading import RLock
from typing import NamedTuple, cast

from taskmill._core import lifecycle
from taskmill._core.census import Census, HeldLock, KnownSchedule, Presence, Serves, Waiting
from taskmill._core.event import EventKind, Notice
from taskmill._core.finding import Finding
from taskmill._core.identity import new_job_id
from taskmill._core.instant import MINUTE, from_datetime, instant_of, moment_of, to_datetime
from taskmill._core.job import (
    FAILED_TTL,
    FINAL,
    Claimed,
    ErrorInfo,
    Executor,
    NewJob,
    Reason,
    State,
)
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._core.record import Attempt, Job
from taskmill._core.tally import KEPT_MINUTES, Tally
from taskmill._storage.base import (
    Backup,
    CancelAnswer,
    Crate,
    Health,
    Inspection,
    JobStore,
    LimitStore,
    Load,
    LockState,
    Outcome,
    Page,
    QueueCount,
    ScheduleState,
    ScheduleStore,
    SessionState,
    SessionStore,
    Slots,
    StatisticStore,
    Storage,
    Transfer,
    Turn,
    Violation,
)
from taskmill._storage.clock import Clock, SystemClock
from taskmill._storage.matching import holds
from taskmill._storage.rows import error_text
from taskmill._storage.wake import Wake
from taskmill.errors import BackupFailed

_WAITING = (State.BLOCKED, State.QUEUED)


class MemoryStorage(Storage):
    """Jobs that live as long as this object; `close` lets go of nothing, for nothing could bring it back."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.url = "memory://"
        self.wake = Wake()
        self._clock = clock or SystemClock()
        self._memory = _Memory(self._clock, self.wake)
        self.jobs = MemoryJobs(self._memory)
        self.sessions = MemorySessions(self._memory)
        self.schedules = MemorySchedules(self._memory)
        self.limits = MemoryLimits(self._memory)
        self.statistics = MemoryStatistics(self._memory)
        self.transfer = MemoryTransfer(self._memory)
        self.inspection = MemoryInspection(self._memory)

    @property
    def health(self) -> Health:
        return MemoryHealth(self._memory)

    def now(self) -> int:
        return self._clock.wall()

    def exists(self) -> bool:
        return True

    def version(self) -> int:
        return self._memory.tables.version

    def close(self) -> None:
        pass


# --- the tables


@dataclass(slots=True, kw_only=True, eq=False)
class _Row:
    """A job: the call as it came in, and what became of it."""

    ref: int
    call: NewJob
    state: State
    enqueued_at: int
    run_at: int
    expires_at: int | None
    max_attempts: int
    attempt: int = 0
    fence: int = 0
    session: int | None = None
    claim: int | None = None
    rescues: int = 0
    crashes: int = 0
    is_suspect: bool = False
    is_handed_on: bool = False
    claimed_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    waits_for: str | None = None
    cancel_requested: bool = False
    result: str | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def job_id(self) -> str:
        return self.call.job_id

    @property
    def executor(self) -> Executor:
        """For which it can be claimed."""
        if self.is_suspect:
            return "alone"
        return "elsewhere" if self.is_handed_on else self.call.executor

    def is_expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_claimable(self, now: int) -> bool:
        is_free = self.state is State.QUEUED and self.waits_for is None
        return is_free and self.run_at <= now and not self.is_expired(now)

    @property
    def outlived_at(self) -> int | None:
        """When its time to be kept is over."""
        if self.ended_at is None:
            return None
        ttl = self.call.result_ttl
        return self.ended_at + (max(ttl, FAILED_TTL) if self.state is State.FAILED else ttl)

    def is_outlived(self, now: int) -> bool:
        return self.outlived_at is not None and self.outlived_at <= now


def _place(row: _Row) -> tuple[int, int, int]:
    """Where it stands in line; no two are equal. It does not change while the row stands there."""
    return -row.call.priority, row.run_at, row.ref


class _Wish(NamedTuple):
    """What a turn is to claim; see the contract."""

    wants: Mapping[Executor, int]
    queues: Collection[str] | None
    knows: Collection[str]
    paused: Collection[str]

    def is_about(self, row: _Row) -> bool:
        """Whether *row* is what it asks for, be it due or not."""
        is_served = row.call.queue not in self.paused and (
            self.queues is None or row.call.queue in self.queues
        )
        is_known = row.executor != "elsewhere" or row.call.task in self.knows
        return self.wants.get(row.executor, 0) > 0 and is_served and is_known


@dataclass(slots=True, kw_only=True)
class _Session:
    kind: str
    lease: int
    leased_until: int
    started_at: int
    parent: int | None
    serves: Serves | None
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Lock:
    token: int
    session: int
    row: _Row | None
    since: int


class _Tables:
    """All that is stored; `version` counts the changes.

    `rows` are in the order of adding, `line` in that of claiming; `line` and `waiters` (by lock) share the queued.
    """

    def __init__(self) -> None:
        self.version = 0
        self.rows: dict[str, _Row] = {}
        self.by_state: dict[State, dict[str, _Row]] = {state: {} for state in State}
        self.line: list[_Row] = []
        self.waiters: dict[str, dict[str, _Row]] = {}
        self.expiring: dict[str, _Row] = {}
        self.by_key: dict[tuple[str, str], _Row] = {}
        self.pipelines: dict[str | None, dict[int, _Row]] = {}
        self.locks: dict[str, _Lock] = {}
        self.sessions: dict[int, _Session] = {}
        self.schedules: dict[str, ScheduleState] = {}
        self.paused: dict[str, int] = {}
        self.identity = new_job_id()
        self.outgoing: Crate | None = None
        self.unpacked: set[str] = set()
        self.tallies: Counter[tuple[int, str, str, int]] = Counter()
        self.refs, self.session_ids, self.tokens = count(1), count(1), count(1)

    def insert(self, row: _Row) -> None:
        self.version += 1
        call = row.call
        self.rows[call.job_id] = self.by_state[row.state][call.job_id] = row
        self._line_up(row)
        if row.expires_at is not None:
            self.expiring[call.job_id] = row
        if call.key is not None:
            self.by_key[call.task, call.key] = row
        if call.pipeline is not None:
            self.pipelines.setdefault(call.pipeline, {})[call.step] = row

    def move(self, row: _Row, state: State) -> None:
        self.version += 1
        self._step_out(row)
        del self.by_state[row.state][row.job_id]
        self.by_state[state][row.job_id] = row
        row.state, row.waits_for = state, None
        self._line_up(row)

    def hasten(self, row: _Row, run_at: int) -> None:
        """Move a queued job forward in its line."""
        self.version += 1
        self._step_out(row)
        row.run_at = run_at
        self._line_up(row)

    def wait_for(self, row: _Row, lock: str | None) -> None:
        """Let a queued job wait for *lock* or, with None, stand in line again."""
        self.version += 1
        self._step_out(row)
        row.waits_for = lock
        self._line_up(row)

    def delete(self, row: _Row) -> None:
        self.version += 1
        call = row.call
        self._step_out(row)
        del self.rows[call.job_id], self.by_state[row.state][call.job_id]
        self.expiring.pop(call.job_id, None)
        if call.key is not None:
            del self.by_key[call.task, call.key]
        if call.pipeline is not None:
            steps = self.pipelines[call.pipeline]
            del steps[call.step]
            if not steps:
                del self.pipelines[call.pipeline]

    def _line_up(self, row: _Row) -> None:
        if row.state is not State.QUEUED:
            return
        if row.waits_for is None:
            insort(self.line, row, key=_place)
        else:
            self.waiters.setdefault(row.waits_for, {})[row.job_id] = row

    def _step_out(self, row: _Row) -> None:
        if row.state is not State.QUEUED:
            return
        if row.waits_for is None:
            del self.line[bisect_left(self.line, _place(row), key=_place)]
        else:
            del self.waiters[row.waits_for][row.job_id]
            if not self.waiters[row.waits_for]:
                del self.waiters[row.waits_for]

    def in_states(self, states: Iterable[State]) -> list[_Row]:
        """The rows in *states*, in the order of adding."""
        rows = [row for state in states for row in self.by_state[state].values()]
        return sorted(rows, key=lambda row: row.ref)

    def held_by(self, session: int) -> list[_Row]:
        return [row for row in self.by_state[State.RUNNING].values() if row.session == session]

    def step_before(self, row: _Row) -> _Row | None:
        return self.pipelines.get(row.call.pipeline, {}).get(row.call.step - 1)

    def step_after(self, row: _Row) -> _Row | None:
        return self.pipelines.get(row.call.pipeline, {}).get(row.call.step + 1)

    def later_steps(self, row: _Row) -> list[_Row]:
        steps = self.pipelines.get(row.call.pipeline, {})
        return [steps[step] for step in sorted(steps) if step > row.call.step]

    def is_needed(self, row: _Row) -> bool:
        """Whether a later step has not ended, so that the result must stay."""
        return any(not later.state.is_final for later in self.later_steps(row))


# --- the changes


class _Memory:
    """What the roles share."""

    def __init__(self, clock: Clock, wake: Wake) -> None:
        self.clock = clock
        self.wake = wake
        self.tables = _Tables()
        self.lock = RLock()

    @contextmanager
    def read(self) -> Iterator[_Tables]:
        with self.lock:
            yield self.tables

    @contextmanager
    def change(self) -> Iterator[_Changes]:
        with self.lock:
            changes = _Changes(self.tables, self.clock)
            yield changes
        # Whoever is woken here may call the store from another thread and wait for it.
        if changes.ended:
            self.wake.jobs_ended(changes.ended)
        if changes.has_freed:
            self.wake.jobs_added()


class _Changes:
    """One operation: every change of a job's state, each said once, and whom it concerns.

    `ended` are the jobs whose waiters must be woken, `has_freed` says that jobs may have become claimable.
    """

    def __init__(self, tables: _Tables, clock: Clock) -> None:
        self.tables = tables
        self.now = clock.wall()
        self.monotonic = clock.monotonic()
        self.ended: list[str] = []
        self.notices: list[Notice] = []
        self.has_freed = False

    # --- into the queue

    def add(self, call: NewJob) -> str:
        """Store *call* unless it is there already; the id it is known by."""
        known = self.tables.rows.get(call.job_id)
        if known is None and call.key is not None:
            known = self.tables.by_key.get((call.task, call.key))
        if known is not None:
            return known.job_id
        self.tables.insert(self._row(call))
        self.has_freed = True
        return call.job_id

    def _row(self, call: NewJob) -> _Row:
        return _Row(
            ref=next(self.tables.refs),
            call=replace(call, delay=call.delay if call.run_at is None else 0),
            state=call.state,
            enqueued_at=self.now,
            run_at=self.now + call.delay if call.run_at is None else call.run_at,
            expires_at=None if call.expires_in is None else self.now + call.expires_in,
            max_attempts=call.max_attempts,
        )

    def unblock(self, row: _Row) -> None:
        row.run_at = max(row.run_at, self.now + row.call.delay)
        self._queue(row)
        self.notices.append(Notice("unblocked", row.job_id))

    def queue_again(self, row: _Row) -> None:
        """Give an ended job at least one more attempt, and its place in its pipeline back."""
        if row.error is not None:
            self._remember(row, outcome=row.state, error=row.error, ended_at=row.ended_at or self.now)
        row.run_at = self.now
        row.max_attempts = max(row.max_attempts, row.attempt + 1)
        row.cancel_requested = False
        row.crashes = 0
        self._reopen(row)
        self._queue(row)
        following = self.tables.step_after(row)
        # Behind one that is gone, or was cancelled for its own sake, none would ever have its turn.
        while following is not None and following.reason == Reason.STEP_BEFORE:
            self._reopen(following)
            self.tables.move(following, State.BLOCKED)
            following = self.tables.step_after(following)

    def take_back(self, session: int, kind: EventKind) -> None:
        """Take from *session* all that it holds."""
        for row in self.tables.held_by(session):
            row.session = None
            row.rescues += kind == "rescued"
            self._hand_back(row)
            if row.cancel_requested:
                self.cancel(row, Reason.REVOKED)
            else:
                self._queue(row)
                self.notices.append(Notice(kind, row.job_id))
        for name in [name for name, lock in self.tables.locks.items() if lock.session == session]:
            self.free(name)

    def bury(self, session: int, crash: ErrorInfo, *, alone: bool) -> None:
        """Blame what the slots of *session* name, then take all back."""
        known = self.tables.sessions.get(session)
        slots = () if known is None else known.slots.values()
        for row in self.tables.held_by(session):
            if (row.ref, row.fence) in slots and alone:
                self._blame(row, crash)
            elif (row.ref, row.fence) in slots:
                row.is_suspect = True
        self.take_back(session, "rescued")
        self.forget(session)

    def _blame(self, row: _Row, crash: ErrorInfo) -> None:
        transition = lifecycle.after_crash(crash, crashes=row.crashes)
        row.started_at = row.claimed_at
        self._settle(row, transition)
        if row.state is not State.CANCELLED:
            self.notices.append(Notice(transition.event, row.job_id, transition.reason))

    def _queue(self, row: _Row) -> None:
        self.tables.move(row, State.QUEUED)
        self.has_freed = True

    def _reopen(self, row: _Row) -> None:
        row.ended_at = row.reason = row.error = row.expires_at = None
        self.tables.expiring.pop(row.job_id, None)

    def _hand_back(self, row: _Row) -> None:
        row.attempt -= 1
        row.claimed_at = row.started_at = None

    def _remember(self, row: _Row, *, outcome: str, error: ErrorInfo | None, ended_at: int) -> None:
        attempt = Attempt(
            number=row.attempt,
            outcome=outcome,
            started_at=moment_of(row.started_at),
            ended_at=to_datetime(ended_at),
            error=error,
            session=row.session,
        )
        row.attempts.append(attempt)

    # --- from the queue to a session

    def claim(self, session: int, number: int, wish: _Wish) -> list[Claimed]:
        if session not in self.tables.sessions:
            return []
        rows = [row for row in self.tables.held_by(session) if row.claim == number]
        if not rows:
            rows = self._choose(session, wish)
            for row in rows:
                self._start(row, session, number)
        return [self._claimed(row) for row in sorted(rows, key=_place)]

    def _choose(self, session: int, wish: _Wish) -> list[_Row]:
        remaining = dict(wish.wants)
        chosen = []
        for row in self._served(wish):
            if not any(remaining.values()):
                break
            is_next = row.is_claimable(self.now) and remaining[row.executor] > 0
            if is_next and self._take_lock(row, session):
                remaining[row.executor] -= 1
                chosen.append(row)
        return chosen

    def _served(self, wish: _Wish) -> Iterator[_Row]:
        """Those in line, in order, that the turn is about."""
        # A copy: who must wait for a lock leaves the line meanwhile.
        return filter(wish.is_about, tuple(self.tables.line))

    def _start(self, row: _Row, session: int, number: int) -> None:
        self.tables.move(row, State.RUNNING)
        row.session, row.claim = session, number
        row.fence += 1
        row.attempt += 1
        row.claimed_at, row.started_at = self.now, None

    def _claimed(self, row: _Row) -> Claimed:
        call = row.call
        before = self.tables.step_before(row)
        return Claimed(
            ref=row.ref,
            job_id=call.job_id,
            task=call.task,
            queue=call.queue,
            executor=row.executor,
            attempt=row.attempt,
            max_attempts=row.max_attempts,
            fence=row.fence,
            plain=call.lock is None and call.pipeline is None and call.result_ttl > 0,
            args=call.args,
            given=None if before is None else before.result,
            headers=call.headers,
            crashes=row.crashes,
        )

    def next_at(self, wish: _Wish) -> int | None:
        instants = [row.run_at for row in self._served(wish)]
        instants += [row.expires_at or 0 for row in self.tables.expiring.values() if row.state in _WAITING]
        return min(instants, default=None)

    # --- from a session to its end, or back

    def settle(self, session: int, settlement: Settlement) -> bool:
        """Whether it counted, now or before; else it is stale."""
        claimed, transition, started_at = settlement
        row = self.tables.rows.get(claimed.job_id)
        if row is None or row.session != session or row.fence < claimed.fence:
            return False
        if row.state is State.RUNNING and row.fence == claimed.fence:
            row.started_at = started_at
            self._settle(row, transition)
        return True

    def _settle(self, row: _Row, transition: Transition) -> None:
        row.crashes += transition.crashes
        if transition.state is State.QUEUED:
            self._end_attempt(row, transition)
        else:
            self._end(row, transition)
            self._follow_up(row)
        self._free_lock_of(row)

    def _end_attempt(self, row: _Row, transition: Transition) -> None:
        if not transition.hand_back or transition.crashes:
            self._remember(row, outcome=transition.event, error=transition.error, ended_at=self.now)
        if row.cancel_requested:
            self.cancel(row, Reason.REVOKED)
            return
        row.is_suspect = row.is_suspect and not transition.acquits
        row.is_handed_on = (row.is_handed_on or transition.hand_on) and not transition.acquits
        if transition.hand_back:
            self._hand_back(row)
        # Given back at once, it keeps its place in the queue.
        if transition.delay or not transition.hand_back:
            row.run_at = self.now + transition.delay
        self._queue(row)

    def _end(self, row: _Row, transition: Transition) -> None:
        self.tables.move(row, transition.state)
        row.ended_at = self.now
        row.result, row.error, row.reason = transition.result, transition.error, transition.reason
        self.ended.append(row.job_id)

    def _follow_up(self, row: _Row) -> None:
        if row.state is not State.SUCCEEDED:
            self._cancel_later(row)
            return
        following = self.tables.step_after(row)
        if following is not None and following.state is State.BLOCKED:
            self.unblock(following)
        if not row.call.result_ttl and not self.tables.is_needed(row):
            self.tables.delete(row)

    def cancel(self, row: _Row, reason: Reason) -> None:
        """Cancel *row* and the later steps of its pipeline."""
        self._cancel_one(row, reason)
        self._cancel_later(row)

    def _cancel_later(self, row: _Row) -> None:
        for later in self.tables.later_steps(row):
            if later.state is State.BLOCKED:
                self._cancel_one(later, Reason.STEP_BEFORE)

    def _cancel_one(self, row: _Row, reason: Reason) -> None:
        self._end(row, Transition(State.CANCELLED, "cancelled", reason=reason))
        self.notices.append(Notice("cancelled", row.job_id, reason))

    def revoke(self, row: _Row) -> None:
        self.cancel(row, Reason.REVOKED)
        # It may have been the one that was let through to a lock.
        self.let_through(row.call.lock)

    def expire(self) -> None:
        expiring = self.tables.expiring.values()
        expired = [row for row in expiring if row.state in _WAITING and row.is_expired(self.now)]
        # The last steps first, or they would be cancelled for the sake of a step before them.
        for row in sorted(expired, key=lambda row: -row.call.step):
            self.cancel(row, Reason.EXPIRED)
        for row in expired:
            self.let_through(row.call.lock)

    def delete(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            self.tables.delete(row)
            self.ended.append(row.job_id)

    def delete_waiting(self, rows: list[_Row]) -> None:
        blocked = (
            later for row in rows for later in self.tables.later_steps(row) if later.state is State.BLOCKED
        )
        # Some are found both ways.
        self.delete({row.ref: row for row in (*rows, *blocked)}.values())
        for name in {row.call.lock for row in rows}:
            self.let_through(name)

    # --- from store to store

    def take_out(self, rows: list[_Row]) -> None:
        self.delete(rows)
        for name in {row.call.lock for row in rows}:
            self.let_through(name)

    def take_in(self, job: Job) -> bool:
        """Whether it is new."""
        if job.job_id in self.tables.rows or (job.task, job.key) in self.tables.by_key:
            return False
        self.tables.insert(_row_of(job, next(self.tables.refs)))
        return True

    def adopt(self, schedule: ScheduleState) -> None:
        mine = self.tables.schedules.get(schedule.name)
        if mine is not None:
            slots = (mine.last_slot, schedule.last_slot)
            schedule = mine._replace(
                last_slot=max(slots) if mine.fired else schedule.last_slot,
                fired=mine.fired + schedule.fired,
                skipped=mine.skipped + schedule.skipped,
                last_job=mine.last_job or schedule.last_job,
            )
        self.tables.schedules[schedule.name] = schedule

    # --- locks and sessions

    def _take_lock(self, row: _Row, session: int) -> bool:
        """Whether *row* may run; if not, it waits."""
        name = row.call.lock
        if name is None:
            return True
        if name in self.tables.locks:
            self.tables.wait_for(row, name)
            return False
        self.lock(name, session, row)
        return True

    def lock(self, name: str, session: int, row: _Row | None) -> int:
        token = next(self.tables.tokens)
        self.tables.locks[name] = _Lock(token=token, session=session, row=row, since=self.now)
        self.tables.version += 1
        return token

    def free(self, name: str) -> None:
        del self.tables.locks[name]
        self.tables.version += 1
        self.let_through(name)

    def _free_lock_of(self, row: _Row) -> None:
        name = row.call.lock
        # It may have lost its lock: that of a dead session is free for whoever asks.
        if name is not None and name in self.tables.locks and self.tables.locks[name].row is row:
            self.free(name)

    def let_through(self, name: str | None) -> None:
        """Let the first waiter be claimed again, if the lock is free."""
        if name is None or name in self.tables.locks:
            return
        waiters = self.tables.waiters.get(name)
        if waiters:
            self.tables.wait_for(min(waiters.values(), key=_place), None)
            self.has_freed = True

    def let_through_all(self) -> None:
        for name in tuple(self.tables.waiters):
            self.let_through(name)

    def forget(self, session: int) -> None:
        if self.tables.sessions.pop(session, None) is not None:
            self.tables.version += 1

    def is_dead(self, session: int) -> bool:
        known = self.tables.sessions.get(session)
        return known is None or known.leased_until < self.monotonic


# --- the roles


class MemoryJobs(JobStore):
    def __init__(self, memory: _Memory) -> None:
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
            wish = _Wish(wants, queues, knows, changes.tables.paused)
            stale = [settlement for settlement in settlements if not changes.settle(session, settlement)]
            changes.expire()
            claimed = changes.claim(session, claim, wish)
            return Turn(stale, claimed, changes.next_at(wish), changes.notices, changes.tables.version)

    def rescue(self) -> Sequence[Notice]:
        with self._memory.change() as changes:
            for session in [session for session in changes.tables.sessions if changes.is_dead(session)]:
                changes.take_back(session, "rescued")
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
                for row in changes.tables.in_states(FINAL if ended else _WAITING)
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
                if row.state in _WAITING:
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


class MemorySlots(Slots):
    def __init__(self, slots: dict[int, tuple[int, int]]) -> None:
        self._slots = slots

    def note(self, slot: int, ref: int, fence: int) -> None:
        self._slots[slot] = ref, fence

    def clear(self, slot: int) -> None:
        self._slots.pop(slot, None)


class MemorySessions(SessionStore):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def open(self, *, kind: str, lease: int, parent: int | None = None, serves: Serves | None = None) -> int:
        with self._memory.change() as changes:
            session = next(changes.tables.session_ids)
            changes.tables.sessions[session] = _Session(
                kind=kind,
                lease=lease,
                leased_until=changes.monotonic + lease,
                started_at=changes.now,
                parent=parent,
                serves=serves,
            )
            changes.tables.version += 1
            return session

    def slots(self, session: int, count: int) -> Slots:  # noqa: ARG002  (a dict has room for all)
        with self._memory.read() as tables:
            known = tables.sessions.get(session)
            # Of a session that is gone, nobody will read them.
            return MemorySlots({} if known is None else known.slots)

    def renew(self, session: int) -> bool:
        with self._memory.change() as changes:
            known = changes.tables.sessions.get(session)
            if known is None:
                return False
            known.leased_until = changes.monotonic + known.lease
            return True

    def end(self, session: int) -> Sequence[Notice]:
        with self._memory.change() as changes:
            changes.take_back(session, "released")
            changes.forget(session)
            return changes.notices


class MemorySchedules(ScheduleStore):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def register(self, *, name: str, task: str, spec: str) -> ScheduleState:
        with self._memory.change() as changes:
            known = changes.tables.schedules.get(name)
            fresh = known or ScheduleState(name, task, spec, changes.now, 0, 0, None)
            last_slot = fresh.last_slot if fresh.spec == spec else changes.now
            fresh = fresh._replace(task=task, spec=spec, last_slot=last_slot)
            if fresh != known:
                changes.tables.schedules[name] = fresh
                changes.tables.version += 1
            return fresh

    def fire(self, name: str, *, after: int, slot: int, fire: NewJob | None, skipped: int) -> bool:
        with self._memory.change() as changes:
            known = changes.tables.schedules.get(name)
            if known is None or after != known.last_slot or slot <= after:
                return False
            changes.tables.schedules[name] = known._replace(
                last_slot=slot,
                fired=known.fired + (fire is not None),
                skipped=known.skipped + skipped,
                last_job=known.last_job if fire is None else changes.add(fire),
            )
            changes.tables.version += 1
            return True

    def list(self) -> Sequence[ScheduleState]:
        with self._memory.read() as tables:
            return sorted(tables.schedules.values())


class MemoryLimits(LimitStore):
    def __init__(self, memory: _Memory) -> None:
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


class MemoryStatistics(StatisticStore):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def add(self, tallies: Sequence[Tally]) -> None:
        with self._memory.change() as changes:
            counts = changes.tables.tallies
            for minute, task, event, bucket, number in tallies:
                counts[minute, task, event, bucket] += number
            oldest = changes.now // MINUTE - KEPT_MINUTES
            for place in [place for place in counts if place[0] < oldest]:
                del counts[place]
            changes.tables.version += 1

    def series(self, *, since: int, task: str | None = None) -> Sequence[Tally]:
        with self._memory.read() as tables:
            return [
                Tally(*place, number)
                for place, number in sorted(tables.tallies.items())
                if place[0] >= since and task in (None, place[1])
            ]


class MemoryTransfer(Transfer):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def identity(self) -> str:
        return self._memory.tables.identity

    def read(self, *, after: str | None, limit: int) -> Page:
        with self._memory.read() as tables:
            groups = [group for group in _groups(tables) if group[0].ref > int(after or 0)][:limit]
            jobs = [_job(row, tuple(row.attempts)) for group in groups for row in group]
            return Page(jobs, str(groups[-1][0].ref) if len(groups) == limit else None)

    def pack(self, target: str, *, limit: int) -> Crate | None:
        with self._memory.change() as changes:
            tables = changes.tables
            if tables.outgoing is None:
                resting = (
                    group for group in _groups(tables) if all(row.state is not State.RUNNING for row in group)
                )
                rows = [row for group in islice(resting, limit) for row in group]
                jobs = [_job(row, tuple(row.attempts)) for row in rows]
                load = Load(jobs, [tables.schedules.pop(name) for name in sorted(tables.schedules)])
                if not any(load):
                    return None
                changes.take_out(rows)
                tables.version += 1
                tables.outgoing = Crate(new_job_id(), target, load)
            return tables.outgoing

    def unpack(self, crate_id: str, load: Load) -> Sequence[str] | None:
        with self._memory.change() as changes:
            if crate_id in changes.tables.unpacked:
                return None
            changes.tables.unpacked.add(crate_id)
            changes.tables.version += 1
            for schedule in load.schedules:
                changes.adopt(schedule)
            changes.has_freed = True
            return [job.job_id for job in load.jobs if not changes.take_in(job)]

    def forget(self, crate_id: str) -> None:
        with self._memory.change() as changes:
            outgoing = changes.tables.outgoing
            if outgoing is not None and outgoing.crate_id == crate_id:
                changes.tables.outgoing = None
                changes.tables.version += 1


def _groups(tables: _Tables) -> Iterator[list[_Row]]:
    """Jobs that stand for themselves, and pipelines by the first of their steps."""
    for row in tables.rows.values():
        steps = tables.pipelines.get(row.call.pipeline, {})
        if not steps:
            yield [row]
        elif row.call.step == min(steps):
            yield [steps[step] for step in sorted(steps)]


def _row_of(job: Job, ref: int) -> _Row:
    """Of a job that was read from another store: it is nobody's, and waits for no lock."""
    call = NewJob(
        job_id=job.job_id,
        task=job.task,
        args=job.args,
        queue=job.queue,
        executor=cast(Executor, job.executor),
        priority=job.priority,
        delay=job.delay,
        max_attempts=job.max_attempts,
        result_ttl=job.result_ttl,
        lock=job.lock,
        key=job.key,
        tags=json.dumps(job.tags) if job.tags else None,
        headers=json.dumps(job.headers) if job.headers else None,
        pipeline=job.pipeline,
        step=job.step,
    )
    return _Row(
        ref=ref,
        call=call,
        state=job.state,
        enqueued_at=from_datetime(job.enqueued_at),
        run_at=from_datetime(job.run_at),
        expires_at=instant_of(job.expires_at),
        max_attempts=job.max_attempts,
        attempt=job.attempt,
        fence=job.fence,
        rescues=job.rescues,
        crashes=job.crashes,
        is_suspect=job.is_suspect,
        is_handed_on=job.is_handed_on,
        claimed_at=instant_of(job.claimed_at),
        started_at=instant_of(job.started_at),
        ended_at=instant_of(job.ended_at),
        cancel_requested=job.cancel_requested,
        result=job.result,
        error=job.error,
        reason=job.reason,
        attempts=list(job.attempts),
    )


class MemoryInspection(Inspection):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def outcome(self, job_id: str) -> Outcome | None:
        with self._memory.read() as tables:
            row = tables.rows.get(job_id)
            if row is None:
                return None
            return Outcome(row.call.task, row.state, row.reason, row.result, row.error)

    def job(self, job_id: str) -> Job | None:
        with self._memory.read() as tables:
            row = tables.rows.get(job_id)
            return None if row is None else _job(row, tuple(row.attempts))

    def find(
        self,
        *,
        states: Collection[State] = (),
        task: str | None = None,
        queue: str | None = None,
        pipeline: str | None = None,
        limit: int = 100,
    ) -> Sequence[Job]:
        with self._memory.read() as tables:
            rows = list(reversed(tables.rows.values()))
            if pipeline is not None:
                rows = [
                    steps[step] for steps in [tables.pipelines.get(pipeline, {})] for step in sorted(steps)
                ]
            found = (
                row
                for row in rows
                if (not states or row.state in states)
                and task in (None, row.call.task)
                and queue in (None, row.call.queue)
            )
            return [_job(row) for row in islice(found, limit)]

    def search(
        self,
        *,
        states: Collection[State] = (),
        task: str | None = None,
        queue: str | None = None,
        text: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        with self._memory.read() as tables:
            older = (row for row in reversed(tables.rows.values()) if after is None or row.ref < int(after))
            found = (
                row
                for row in older
                if (not states or row.state in states)
                and task in (None, row.call.task)
                and queue in (None, row.call.queue)
                and (text is None or _has_text(row, text))
            )
            rows = list(islice(found, limit))
            return Page([_job(row) for row in rows], str(rows[-1].ref) if len(rows) == limit else None)

    def recent(self, limit: int) -> Sequence[Job]:
        with self._memory.read() as tables:
            events = ((moment, row.ref, row) for row in tables.rows.values() for moment in _moments(row))
            latest = nlargest(limit, events, key=lambda event: event[:2])
            return [_job(row, tuple(row.attempts)) for row in {ref: row for _, ref, row in latest}.values()]

    def queues(self) -> Sequence[QueueCount]:
        with self._memory.read() as tables:
            queues: dict[str, list[_Row]] = {}
            for row in tables.rows.values():
                queues.setdefault(row.call.queue, []).append(row)
            return [self._queue_count(name, rows) for name, rows in sorted(queues.items())]

    def _queue_count(self, name: str, rows: list[_Row]) -> QueueCount:
        now = self._memory.clock.wall()
        due = sum(row.is_claimable(now) for row in rows)
        return QueueCount(name, Counter(row.state for row in rows), due)

    def paused(self) -> Mapping[str, datetime]:
        with self._memory.read() as tables:
            return {queue: to_datetime(since) for queue, since in tables.paused.items()}

    def has_suspects(self, queues: Collection[str] | None) -> bool:
        now = self._memory.clock.wall()
        with self._memory.read() as tables:
            return any(
                row.is_suspect
                and row.is_claimable(now)
                and (queues is None or row.call.queue in queues)
                and row.call.queue not in tables.paused
                for row in tables.line
            )

    def sessions(self) -> Sequence[SessionState]:
        with self._memory.read() as tables:
            return [
                SessionState(
                    session=session,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    kind=known.kind,
                    parent=known.parent,
                    started_at=to_datetime(known.started_at),
                    running=len(tables.held_by(session)),
                )
                for session, known in sorted(tables.sessions.items())
            ]


class MemoryHealth(Health):
    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def findings(self) -> Iterator[Finding]:
        return iter(())

    def census(self) -> Census:
        with self._memory.change() as changes:
            tables, now = changes.tables, changes.now
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
                schedules=[KnownSchedule(*state[:4]) for state in sorted(tables.schedules.values())],
                ended=sum(row.state.is_final for row in rows),
                outlived=len(outlived),
                outlived_at=min(outlived, default=None),
                attempts=sum(len(row.attempts) for row in rows),
                payload=sum(len(row.call.args) + len(row.result or "") for row in rows),
            )

    @staticmethod
    def _presence(changes: _Changes, session: int) -> Presence:
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
        )

    def verify(self) -> Sequence[Violation]:
        with self._memory.read() as tables:
            broken = _broken(tables)
        return [Violation(rule, len(names), names[:5]) for rule, names in broken.items() if names]

    def backup(self, target: Path, *, replace: bool) -> Backup:  # noqa: ARG002  (there is nothing to copy)
        raise BackupFailed(
            "memory:// lives and ends with this process: only a store in a file can be backed up"
        )


def _waiting(rows: Iterable[_Row], now: int) -> list[Waiting]:
    kinds: dict[tuple[str, str, str], list[_Row]] = {}
    for row in rows:
        kinds.setdefault((row.call.queue, row.call.executor, row.call.task), []).append(row)
    due = {kind: [row.run_at for row in group if row.is_claimable(now)] for kind, group in kinds.items()}
    return [
        Waiting(*kind, len(group), len(due[kind]), min(due[kind], default=None))
        for kind, group in sorted(kinds.items())
    ]


def _held_lock(tables: _Tables, name: str) -> HeldLock:
    lock = tables.locks[name]
    waiters = len(tables.waiters.get(name, ()))
    return HeldLock(name, lock.session, lock.row.job_id if lock.row else None, lock.since, waiters)


def _broken(tables: _Tables) -> dict[str, list[str]]:
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
            row.job_id for row in tables.in_states(_WAITING) if row.cancel_requested
        ],
    }


def _has_text(row: _Row, text: str) -> bool:
    call = row.call
    return holds(
        text,
        as_it_is=(call.job_id, call.task, call.queue, call.key),
        as_json=(call.tags, call.args, row.result, error_text(row.error)),
    )


def _moments(row: _Row) -> Iterator[int]:
    """When something happened to it, as far as it is remembered."""
    moments = (row.enqueued_at, row.claimed_at, row.started_at, row.ended_at)
    yield from (moment for moment in moments if moment is not None)
    yield from (from_datetime(attempt.ended_at) for attempt in row.attempts)


def _job(row: _Row, attempts: tuple[Attempt, ...] = ()) -> Job:
    call = row.call
    return Job(
        job_id=call.job_id,
        task=call.task,
        queue=call.queue,
        executor=call.executor,
        priority=call.priority,
        state=row.state,
        reason=row.reason,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        fence=row.fence,
        session=row.session,
        rescues=row.rescues,
        crashes=row.crashes,
        is_suspect=row.is_suspect,
        is_handed_on=row.executor == "elsewhere",
        enqueued_at=to_datetime(row.enqueued_at),
        run_at=to_datetime(row.run_at),
        claimed_at=moment_of(row.claimed_at),
        started_at=moment_of(row.started_at),
        ended_at=moment_of(row.ended_at),
        expires_at=moment_of(row.expires_at),
        delay=call.delay,
        result_ttl=call.result_ttl,
        lock=call.lock,
        waits_for=row.waits_for,
        key=call.key,
        tags=tuple(json.loads(call.tags or "[]")),
        headers=json.loads(call.headers or "{}"),
        pipeline=call.pipeline,
        step=call.step,
        cancel_requested=row.cancel_requested,
        args=call.args,
        result=row.result,
        error=row.error,
        attempts=attempts,
    )
