"""What an operation does to the tables, all of it or nothing, and whom it concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import NamedTuple

from taskmill._core import lifecycle
from taskmill._core.event import EventKind, Notice
from taskmill._core.instant import moment_of, to_datetime
from taskmill._core.job import KEPT_RELEASES, Claimed, ErrorInfo, Executor, NewJob, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._core.record import Attempt, Job
from taskmill._storage.base import WISHES, ScheduleState
from taskmill._storage.clock import Clock
from taskmill._storage.memory.row import WAITING, Row, place, row_of
from taskmill._storage.memory.tables import Lock, Tables
from taskmill._storage.wake import Wake


class Wish(NamedTuple):
    """What a turn is to claim; see the contract."""

    wants: Mapping[Executor, int]
    queues: Collection[str] | None
    knows: Collection[str]
    paused: Collection[str]

    def is_about(self, row: Row) -> bool:
        """Whether *row* is what it asks for, be it due or not."""
        is_served = row.call.queue not in self.paused and (
            self.queues is None or row.call.queue in self.queues
        )
        is_known = row.executor != "elsewhere" or row.call.task in self.knows
        return self.wants.get(row.executor, 0) > 0 and is_served and is_known


class Memory:
    """What the roles share."""

    def __init__(self, clock: Clock, wake: Wake) -> None:
        self.clock = clock
        self.wake = wake
        self.tables = Tables()
        self.lock = RLock()

    @contextmanager
    def read(self) -> Iterator[Tables]:
        with self.lock:
            yield self.tables

    @contextmanager
    def change(self) -> Iterator[Changes]:
        with self.lock:
            changes = Changes(self.tables, self.clock)
            yield changes
        # Whoever is woken here may call the store from another thread and wait for it.
        if changes.ended:
            self.wake.jobs_ended(changes.ended)
        if changes.has_freed:
            self.wake.jobs_added()


class Changes:
    """One operation: every change of a job's state, each said once, and whom it concerns.

    `ended` are the jobs whose waiters must be woken, `has_freed` says that jobs may have become claimable.
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
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

    def _row(self, call: NewJob) -> Row:
        return Row(
            ref=next(self.tables.refs),
            call=replace(call, delay=call.delay if call.run_at is None else 0),
            state=call.state,
            enqueued_at=self.now,
            run_at=self.now + call.delay if call.run_at is None else call.run_at,
            expires_at=None if call.expires_in is None else self.now + call.expires_in,
            max_attempts=call.max_attempts,
        )

    def unblock(self, row: Row) -> None:
        row.run_at = max(row.run_at, self.now + row.call.delay)
        self._queue(row)
        self.notices.append(Notice("unblocked", row.job_id))

    def queue_again(self, row: Row) -> None:
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

    def _blame(self, row: Row, crash: ErrorInfo) -> None:
        transition = lifecycle.after_crash(crash, crashes=row.crashes)
        row.started_at = row.claimed_at
        self._settle(row, transition)
        if row.state is not State.CANCELLED:
            self.notices.append(Notice(transition.event, row.job_id, transition.reason))

    def _queue(self, row: Row) -> None:
        self.tables.move(row, State.QUEUED)
        self.has_freed = True

    def _reopen(self, row: Row) -> None:
        row.ended_at = row.reason = row.error = row.expires_at = None
        self.tables.expiring.pop(row.job_id, None)

    def _hand_back(self, row: Row) -> None:
        row.attempt -= 1
        row.claimed_at = row.started_at = None

    def _remember(self, row: Row, *, outcome: str, error: ErrorInfo | None, ended_at: int) -> None:
        attempt = Attempt(
            number=row.attempt,
            outcome=outcome,
            started_at=moment_of(row.started_at),
            ended_at=to_datetime(ended_at),
            error=error,
            session=row.session,
        )
        row.attempts.append(attempt)
        released = [each for each in row.attempts if each.outcome == "released"]
        if len(released) > KEPT_RELEASES:
            row.attempts.remove(released[0])

    # --- from the queue to a session

    def claim(self, session: int, number: int, wish: Wish) -> list[Claimed]:
        if session not in self.tables.sessions:
            return []
        rows = [row for row in self.tables.held_by(session) if row.claim == number]
        if not rows:
            rows = self._choose(session, wish)
            for row in rows:
                self._start(row, session, number)
        return [self._claimed(row) for row in sorted(rows, key=place)]

    def _choose(self, session: int, wish: Wish) -> list[Row]:
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

    def _served(self, wish: Wish) -> Iterator[Row]:
        """Those in line, in order, that the turn is about."""
        # A copy: who must wait for a lock leaves the line meanwhile.
        return filter(wish.is_about, tuple(self.tables.line))

    def _start(self, row: Row, session: int, number: int) -> None:
        self.tables.move(row, State.RUNNING)
        row.session, row.claim = session, number
        row.fence += 1
        row.attempt += 1
        row.claimed_at, row.started_at = self.now, None

    def _claimed(self, row: Row) -> Claimed:
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
            due_at=row.run_at,
        )

    def next_at(self, wish: Wish) -> int | None:
        instants = [row.run_at for row in self._served(wish)]
        instants += [row.expires_at or 0 for row in self.tables.expiring.values() if row.state in WAITING]
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

    def _settle(self, row: Row, transition: Transition) -> None:
        row.crashes += transition.crashes
        if transition.state is State.QUEUED:
            self._end_attempt(row, transition)
        else:
            self._end(row, transition)
            self._follow_up(row)
        self._free_lock_of(row)

    def _end_attempt(self, row: Row, transition: Transition) -> None:
        if transition.is_kept(row.started_at):
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

    def _end(self, row: Row, transition: Transition) -> None:
        self.tables.move(row, transition.state)
        row.ended_at = self.now
        row.result, row.error, row.reason = transition.result, transition.error, transition.reason
        self.ended.append(row.job_id)

    def _follow_up(self, row: Row) -> None:
        if row.state is not State.SUCCEEDED:
            self._cancel_later(row)
            return
        following = self.tables.step_after(row)
        if following is not None and following.state is State.BLOCKED:
            self.unblock(following)
        if not row.call.result_ttl and not self.tables.is_needed(row):
            self.tables.delete(row)

    def cancel(self, row: Row, reason: Reason) -> None:
        """Cancel *row* and the later steps of its pipeline."""
        self._cancel_one(row, reason)
        self._cancel_later(row)

    def _cancel_later(self, row: Row) -> None:
        for later in self.tables.later_steps(row):
            if later.state is State.BLOCKED:
                self._cancel_one(later, Reason.STEP_BEFORE)

    def _cancel_one(self, row: Row, reason: Reason) -> None:
        self._end(row, Transition(State.CANCELLED, "cancelled", reason=reason))
        self.notices.append(Notice("cancelled", row.job_id, reason))

    def revoke(self, row: Row) -> None:
        self.cancel(row, Reason.REVOKED)
        # It may have been the one that was let through to a lock.
        self.let_through(row.call.lock)

    def expire(self) -> None:
        expiring = self.tables.expiring.values()
        expired = [row for row in expiring if row.state in WAITING and row.is_expired(self.now)]
        # The last steps first, or they would be cancelled for the sake of a step before them.
        for row in sorted(expired, key=lambda row: -row.call.step):
            self.cancel(row, Reason.EXPIRED)
        for row in expired:
            self.let_through(row.call.lock)

    def delete(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.tables.delete(row)
            self.ended.append(row.job_id)

    def delete_waiting(self, rows: list[Row]) -> None:
        blocked = (
            later for row in rows for later in self.tables.later_steps(row) if later.state is State.BLOCKED
        )
        # Some are found both ways.
        self.delete({row.ref: row for row in (*rows, *blocked)}.values())
        for name in {row.call.lock for row in rows}:
            self.let_through(name)

    # --- from store to store

    def take_out(self, rows: list[Row]) -> None:
        self.delete(rows)
        for name in {row.call.lock for row in rows}:
            self.let_through(name)

    def take_in(self, job: Job) -> bool:
        """Whether it is new."""
        if job.job_id in self.tables.rows or (job.task, job.key) in self.tables.by_key:
            return False
        self.tables.insert(row_of(job, next(self.tables.refs)))
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
                paused_at=mine.paused_at or schedule.paused_at,
            )
        self.tables.schedules[schedule.name] = schedule

    # --- locks and sessions

    def _take_lock(self, row: Row, session: int) -> bool:
        """Whether *row* may run; if not, it waits."""
        name = row.call.lock
        if name is None:
            return True
        if name in self.tables.locks:
            self.tables.wait_for(row, name)
            return False
        self.lock(name, session, row)
        return True

    def lock(self, name: str, session: int, row: Row | None) -> int:
        token = next(self.tables.tokens)
        self.tables.locks[name] = Lock(token=token, session=session, row=row, since=self.now)
        self.tables.version += 1
        return token

    def free(self, name: str) -> None:
        del self.tables.locks[name]
        self.tables.version += 1
        self.let_through(name)

    def _free_lock_of(self, row: Row) -> None:
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
            self.tables.wait_for(min(waiters.values(), key=place), None)
            self.has_freed = True

    def let_through_all(self) -> None:
        for name in tuple(self.tables.waiters):
            self.let_through(name)

    def keep_wish(self, session: int) -> None:
        """Remember whether it was asked to stop."""
        if self.tables.sessions[session].is_asked_to_stop:
            self.tables.wishes = {each for each in self.tables.wishes if each > session - WISHES} | {session}

    def forget(self, session: int) -> None:
        if self.tables.sessions.pop(session, None) is not None:
            self.tables.version += 1

    def is_dead(self, session: int) -> bool:
        known = self.tables.sessions.get(session)
        return known is None or known.leased_until < self.monotonic
