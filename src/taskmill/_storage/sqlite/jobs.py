"""The hot operations on SQLite."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from taskmill._core.event import Notice
from taskmill._core.job import FAILED_TTL, Claimed, ErrorInfo, Executor, NewJob, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.base import CancelAnswer, JobStore, Turn
from taskmill._storage.clock import Clock
from taskmill._storage.sqlite.changes import SQL, Changes
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.sessions import SqliteSessions
from taskmill._storage.wake import Wake

# Longer payloads would be copied at each change of the job's state.
INLINE = 1024


class Lanes(NamedTuple):
    """The lanes of one priority that one executor may be fed from."""

    executor: Executor
    priority: int
    queues: Sequence[str]


class SqliteJobs(JobStore):
    def __init__(self, database: Database, clock: Clock, wake: Wake, sessions: SqliteSessions) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._sessions = sessions

    def add(self, jobs: Sequence[NewJob]) -> Sequence[str]:
        ids = self._database.write(lambda connection: insert(connection, jobs, self._clock.wall()))
        self._wake.jobs_added()
        return ids

    def turn(
        self,
        session: int,
        settlements: Sequence[Settlement],
        *,
        claim: int,
        wants: Mapping[Executor, int],
        queues: Collection[str] | None,
    ) -> Turn:
        def work(connection: Connection) -> Round:
            done = Round(connection, self._clock.wall(), session)
            done.settle(settlements)
            done.expire()
            done.claim(claim, wants, queues)
            return done

        done = self._database.write(work)
        done.announce(self._wake)
        claimed = self._claimed(session, claim) if done.has_claimed else []
        return Turn(done.stale, claimed, done.next_at, done.notices)

    def rescue(self) -> Sequence[Notice]:
        return self._sessions.rescue()

    def cancel(self, job_id: str) -> tuple[CancelAnswer, Sequence[Notice]]:
        answer, done = self._database.write(lambda c: self._cancel(c, job_id))
        done.announce(self._wake)
        return answer, done.notices

    def _cancel(self, connection: Connection, job_id: str) -> tuple[CancelAnswer, Changes]:
        done = Changes(connection, self._clock.wall())
        found = connection.execute(SQL.find, {"job_id": job_id}).fetchone()
        if found is None:
            return "missing", done
        ref, state, _, lock, pipeline, step = found
        match State(state):
            case State.RUNNING:
                connection.execute(SQL.request_cancel, {"id": ref})
                return "requested", done
            case State.QUEUED | State.BLOCKED:
                done.cancel(ref, job_id, Reason.REVOKED)
                done.after_cancel(lock, pipeline, step)
                return "cancelled", done
            case _:
                return "ended", done

    def retry(self, job_id: str) -> bool:
        has_queued = self._database.write(lambda connection: _retry(connection, job_id, self._clock.wall()))
        if has_queued:
            self._wake.jobs_added()
        return has_queued

    def prune(self, *, limit: int) -> int:
        ids = self._database.write(lambda connection: _prune(connection, limit, self._clock.wall()))
        self._wake.jobs_ended(ids)
        return len(ids)

    def purge(self, *, queue: str | None, ended: bool, limit: int) -> int:
        purge = _purge_ended if ended else _purge_waiting
        ids = self._database.write(lambda connection: purge(connection, queue, limit))
        self._wake.jobs_ended(ids)
        self._wake.jobs_added()
        return len(ids)

    def _claimed(self, session: int, claim: int) -> list[Claimed]:
        rows = self._database.read(
            lambda connection: connection.execute(
                SQL.claimed, {"session": session, "claim": claim}
            ).fetchall()
        )
        return [Claimed._make(row) for row in rows]


class Round(Changes):
    """The work of one turn."""

    def __init__(self, connection: Connection, now: int, session: int) -> None:
        super().__init__(connection, now)
        self.session = session
        self.stale: list[Settlement] = []
        self.has_claimed = False
        self.next_at: int | None = None

    # --- settle

    def settle(self, settlements: Sequence[Settlement]) -> None:
        plain: list[Settlement] = []
        for settlement in settlements:
            if _is_plain(settlement):
                plain.append(settlement)
            else:
                self._settle_one(settlement)
        if plain:
            self._settle_plain(plain)

    def _settle_plain(self, settlements: list[Settlement]) -> None:
        """The many that touch no other row: one statement for each, no reading before, no checking after."""
        now, session = self.now, self.session
        changed = self.connection.executemany(
            SQL.settle_plain,
            [
                (transition.result, started_at, now, claimed.ref, claimed.job_id, session, claimed.fence)
                for claimed, transition, started_at in settlements
            ],
        ).rowcount
        self.ended.extend(settlement.claimed.job_id for settlement in settlements)
        if changed != len(settlements):
            self.stale.extend(settlement for settlement in settlements if not self._is_recorded(settlement))

    def _guard(self, claimed: Claimed) -> dict[str, Any]:
        return {
            "id": claimed.ref,
            "job_id": claimed.job_id,
            "session": self.session,
            "fence": claimed.fence,
        }

    def _is_recorded(self, settlement: Settlement) -> bool:
        guard = self._guard(settlement.claimed)
        return self.connection.execute(SQL.is_recorded, guard).fetchone() is not None

    def _settle_one(self, settlement: Settlement) -> None:
        claimed, transition, started_at = settlement
        held = self.connection.execute(SQL.held, self._guard(claimed)).fetchone()
        if held is None:
            if not self._is_recorded(settlement):
                self.stale.append(settlement)
            return
        attempt, is_cancel_requested, lock, pipeline, step, result_ttl = held
        if transition.state is State.QUEUED:
            self._record_attempt(claimed.ref, attempt, transition, started_at)
            if is_cancel_requested:
                transition = Transition(State.CANCELLED, "cancelled", reason=Reason.REVOKED)
                self.notices.append(Notice("cancelled", claimed.job_id, Reason.REVOKED))
        if transition.state is State.QUEUED:
            self._requeue(claimed.ref, transition, started_at)
        else:
            self._end(claimed, transition, started_at)
            self._follow_up(claimed.ref, transition.state, pipeline, step, result_ttl)
        if lock is not None:
            self._free_lock(claimed.ref)

    def _record_attempt(self, ref: int, attempt: int, transition: Transition, started_at: int | None) -> None:
        if transition.hand_back:
            return
        self.connection.execute(
            SQL.insert_attempt,
            {
                "job": ref,
                "number": attempt,
                "outcome": transition.event,
                "started_at": started_at,
                "ended_at": self.now,
                "error": _error_text(transition.error),
                "session": self.session,
            },
        )

    def _requeue(self, ref: int, transition: Transition, started_at: int | None) -> None:
        # Given back at once, it keeps its place in the queue.
        keeps_place = transition.hand_back and not transition.delay
        self.connection.execute(
            SQL.settle_queued,
            {
                "id": ref,
                "handed_back": int(transition.hand_back),
                "run_at": None if keeps_place else self.now + transition.delay,
                "started_at": started_at,
            },
        )
        self.has_freed = True

    def _end(self, claimed: Claimed, transition: Transition, started_at: int | None) -> None:
        result = transition.result
        is_long = result is not None and len(result) > INLINE
        self.connection.execute(
            SQL.settle_final,
            {
                "id": claimed.ref,
                "state": transition.state,
                "result": None if is_long else result,
                "error": _error_text(transition.error),
                "reason": transition.reason,
                "started_at": started_at,
                "now": self.now,
                "failed_ttl": FAILED_TTL,
            },
        )
        if is_long:
            self.connection.execute(SQL.insert_result, {"id": claimed.ref, "result": result})
        self.ended.append(claimed.job_id)

    def _follow_up(self, ref: int, state: State, pipeline: str | None, step: int, result_ttl: int) -> None:
        place = {"pipeline": pipeline, "step": step, "now": self.now}
        if pipeline is not None and state is State.SUCCEEDED:
            for [job_id] in self.connection.execute(SQL.unblock_next, place).fetchall():
                self.notices.append(Notice("unblocked", job_id))
                self.has_freed = True
        elif pipeline is not None:
            self.cancel_later(pipeline, step)
        if state is State.SUCCEEDED and not result_ttl and not self._is_needed(place):
            _delete(self.connection, [ref])

    def _is_needed(self, place: dict[str, Any]) -> bool:
        return self.connection.execute(SQL.is_needed, place).fetchone() is not None

    def _free_lock(self, ref: int) -> None:
        owner = {"job": ref, "session": self.session}
        for [lock] in self.connection.execute(SQL.free_lock, owner).fetchall():
            self.wake_waiter(lock)

    # --- expire

    def expire(self) -> None:
        expired = self.connection.execute(SQL.expire, {"now": self.now, "reason": Reason.EXPIRED}).fetchall()
        for job_id, pipeline, step, lock in expired:
            self.note_cancelled(job_id, Reason.EXPIRED)
            self.after_cancel(lock, pipeline, step)

    # --- claim

    def claim(self, claim: int, wants: Mapping[Executor, int], queues: Collection[str] | None) -> None:
        parameters = {"session": self.session, "claim": claim, "now": self.now}
        executors = [executor for executor, want in wants.items() if want > 0]
        if not executors or self.connection.execute(SQL.has_session, parameters).fetchone() is None:
            self.next_at = self._next_expiry()
            return
        self.has_claimed = self.connection.execute(SQL.is_claimed, parameters).fetchone() is not None
        if not self.has_claimed:
            remaining = dict(wants)
            for lanes in _due_lanes(self._lanes(executors, queues), self.now):
                want = remaining[lanes.executor]
                if want:
                    remaining[lanes.executor] -= self._claim_lanes(lanes, want, parameters)
            self.has_claimed = remaining != dict(wants)
        self.next_at = self._next_at(executors, queues)

    def _lanes(self, executors: list[Executor], queues: Collection[str] | None) -> list[tuple[Any, ...]]:
        if queues is None:
            names = (name for [name] in self.connection.execute(SQL.queue_names).fetchall())
            queues = [name for name in names if _is_whole(name)]
        return self.connection.execute(
            SQL.lanes, {"queues": json.dumps(sorted(queues)), "executors": json.dumps(executors)}
        ).fetchall()

    def _next_at(self, executors: list[Executor], queues: Collection[str] | None) -> int | None:
        instants = [first_run_at for *_, first_run_at in self._lanes(executors, queues)]
        expiry = self._next_expiry()
        return min(instants if expiry is None else [*instants, expiry], default=None)

    def _next_expiry(self) -> int | None:
        [expiry] = self.connection.execute(SQL.next_expiry).fetchone()
        return None if expiry is None else int(expiry)

    def _claim_lanes(self, lanes: Lanes, want: int, parameters: dict[str, Any]) -> int:
        """Claim up to *want* jobs of these lanes; how many it were."""
        lane = {**parameters, "executor": lanes.executor, "priority": lanes.priority}
        if len(lanes.queues) == 1 and not self._has_locked(lanes, lane):
            return self.connection.execute(
                SQL.claim, {**lane, "queue": lanes.queues[0], "want": want}
            ).rowcount
        return self._claim_with_care(lanes, want, lane)

    def _has_locked(self, lanes: Lanes, lane: dict[str, Any]) -> bool:
        return any(
            self.connection.execute(SQL.has_locked, {**lane, "queue": queue}).fetchone()
            for queue in lanes.queues
        )

    def _claim_with_care(self, lanes: Lanes, want: int, lane: dict[str, Any]) -> int:
        """Where queues must be merged or locks asked for: choose first, park who must wait, then claim."""
        claimed = 0
        across = {**lane, "queues": json.dumps(lanes.queues)}
        while claimed < want:
            rows = self.connection.execute(
                SQL.candidates_across, {**across, "want": want - claimed}
            ).fetchall()
            chosen = [ref for ref, lock in rows if lock is None or self._take_lock(ref, lock)]
            if chosen:
                self.connection.execute(SQL.claim_these, {**lane, "ids": json.dumps(chosen)})
            claimed += len(chosen)
            if len(chosen) == len(rows):
                break
        return claimed

    def _take_lock(self, ref: int, lock: str) -> bool:
        if not _is_whole(lock):
            # Nobody can name it, so nobody can hold it; the task will say what it is about.
            return True
        request = {"lock": lock, "session": self.session, "job": ref, "now": self.now}
        if self.connection.execute(SQL.take_lock, request).rowcount:
            return True
        self.connection.execute(SQL.park, {"id": ref})
        return False


def _is_whole(text: str) -> bool:
    """Whether it can be given back to SQLite; one whose bytes were damaged cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_plain(settlement: Settlement) -> bool:
    claimed, transition, _ = settlement
    result = transition.result
    return claimed.plain and transition.state is State.SUCCEEDED and (result is None or len(result) <= INLINE)


def _due_lanes(lanes: Iterable[tuple[Any, ...]], now: int) -> Iterator[Lanes]:
    """The lanes with a due job, by priority (high first); queues that share priority and executor in one."""
    due = [(priority, executor, queue) for queue, executor, priority, run_at in lanes if run_at <= now]
    due.sort(key=lambda lane: (-lane[0], lane[1], lane[2]))
    for (priority, executor), group in groupby(due, key=lambda lane: lane[:2]):
        yield Lanes(executor, priority, [queue for _, _, queue in group])


def _error_text(error: ErrorInfo | None) -> str | None:
    return None if error is None else json.dumps(error)


# --- add


def insert(connection: Connection, jobs: Sequence[NewJob], now: int) -> list[str]:
    connection.executemany(SQL.insert, [_row(job, now) for job in jobs])
    for job in jobs:
        if len(job.args) > INLINE:
            connection.execute(SQL.insert_args, {"job_id": job.job_id, "args": job.args})
    return [job.job_id if job.key is None else _known_by(connection, job) for job in jobs]


def _known_by(connection: Connection, job: NewJob) -> str:
    place = {"job_id": job.job_id, "task": job.task, "key": job.key}
    [job_id] = connection.execute(SQL.known_by, place).fetchone()
    return str(job_id)


def _row(job: NewJob, now: int) -> tuple[Any, ...]:
    return (
        job.job_id,
        job.state,
        job.queue,
        job.executor,
        job.priority,
        now + job.delay if job.run_at is None else job.run_at,
        job.max_attempts,
        job.task,
        now,
        None if job.expires_in is None else now + job.expires_in,
        job.delay if job.run_at is None else 0,
        job.result_ttl,
        job.lock,
        job.key,
        job.tags,
        job.headers,
        job.pipeline,
        job.step,
        job.args if len(job.args) <= INLINE else None,
    )


# --- retry


def _retry(connection: Connection, job_id: str, now: int) -> bool:
    found = connection.execute(SQL.last_step, {"job_id": job_id}).fetchone()
    if found is None or found[0] not in (State.FAILED, State.CANCELLED):
        return False
    _, pipeline, step = found
    place = {"pipeline": pipeline, "step": step}
    if step and connection.execute(SQL.has_succeeded, place).fetchone() is None:
        return False
    connection.execute(SQL.keep_ending, {"job_id": job_id})
    connection.execute(SQL.queue_again, {"job_id": job_id, "now": now})
    if pipeline is not None:
        connection.execute(SQL.block_again, {**place, "reason": Reason.STEP_BEFORE})
    return True


# --- prune, purge


def _prune(connection: Connection, limit: int, now: int) -> list[str]:
    pruned: dict[int, str] = {}
    for [kept_for] in connection.execute(SQL.lifetimes).fetchall():
        outlived = {"kept_for": kept_for, "now": now, "limit": limit - len(pruned)}
        pruned.update(connection.execute(SQL.outlived, outlived).fetchall())
    _delete(connection, pruned)
    return list(pruned.values())


def _purge_waiting(connection: Connection, queue: str | None, limit: int) -> list[str]:
    rows = connection.execute(SQL.waiting, {"queue": queue, "limit": limit}).fetchall()
    gone = {ref: job_id for ref, job_id, *_ in rows}
    for _, _, pipeline, step, _ in rows:
        if pipeline is not None:
            gone.update(connection.execute(SQL.later_steps, {"pipeline": pipeline, "step": step}).fetchall())
    _delete(connection, gone)
    for lock in {lock for *_, lock in rows if lock is not None}:
        connection.execute(SQL.first_waiter, {"lock": lock})
    return list(gone.values())


def _purge_ended(connection: Connection, queue: str | None, limit: int) -> list[str]:
    rows = connection.execute(SQL.ended, {"queue": queue, "limit": limit}).fetchall()
    _delete(connection, [ref for ref, _ in rows])
    return [job_id for _, job_id in rows]


def _delete(connection: Connection, refs: Iterable[int]) -> None:
    ids = {"ids": json.dumps(list(refs))}
    connection.execute(SQL.delete_payloads, ids)
    connection.execute(SQL.delete_attempts, ids)
    connection.execute(SQL.delete, ids)
