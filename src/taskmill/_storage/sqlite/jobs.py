"""The hot operations on SQLite."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from taskmill._core.event import Notice
from taskmill._core.job import Claimed, ErrorInfo, Executor, NewJob, Reason, State
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import CancelAnswer, JobStore, Turn
from taskmill._storage.callers.base import Entry, Statements
from taskmill._storage.clock import Clock
from taskmill._storage.sqlite import quick
from taskmill._storage.sqlite.changes import SQL, Changes, delete
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.insert import INLINE, Row, insert_rows
from taskmill._storage.sqlite.lanes import Look, Request, look
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.quick import QuickTurn, claimed_under
from taskmill._storage.sqlite.sessions import SqliteSessions
from taskmill._storage.sqlite.turn import Round, stale_of
from taskmill._storage.sqlite.within import SqliteEntry
from taskmill._storage.wake import Wake


class Taken(NamedTuple):
    """What a turn did; as in the contract's `Turn`."""

    stale: Sequence[Settlement]
    claimed: Sequence[Claimed]
    notices: Sequence[Notice]


class SqliteJobs(JobStore):
    def __init__(self, database: Database, clock: Clock, wake: Wake, sessions: SqliteSessions) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake
        self._sessions = sessions

    def add(self, jobs: Sequence[NewJob]) -> Sequence[str]:
        if all(map(_is_one_row, jobs)):
            self._database.add_jobs(lambda: _rows(jobs, self._clock.wall()))
            ids: Sequence[str] = [job.job_id for job in jobs]
        else:
            ids = self._database.write(lambda connection: insert(connection, jobs, self._clock.wall()))
        self._wake.jobs_added()
        return ids

    def join(self, jobs: Sequence[NewJob]) -> Entry:
        return SqliteEntry(self._database.path, lambda caller: insert(caller, jobs, self._clock.wall()))

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
        request = Request(self._sessions.here(session), settlements, claim, wants, queues, knows)
        seen = self._look(request)
        usual = quick.plan(request, seen, self._clock.wall())
        stale, claimed, notices = self._round(request) if usual is None else self._take(usual, settlements)
        # Asked before the look: whatever is changed since is news.
        version = self._database.version()
        return Turn(stale, claimed, self._look(request).next_at(), notices, version)

    def _look(self, request: Request) -> Look:
        return self._database.read(lambda connection: look(connection, request))

    def _round(self, request: Request) -> Taken:
        def work(connection: Connection) -> Round:
            done = Round(connection, self._clock.wall(), request.session)
            done.settle(request.settlements)
            done.expire()
            done.claim(request)
            return done

        done = self._database.write(work)
        done.announce(self._wake)
        return Taken(done.stale, self._claimed(request.session, request.claim), done.notices)

    def _take(self, usual: QuickTurn, settlements: Sequence[Settlement]) -> Taken:
        if not settlements and not usual.want:
            return Taken([], self._claimed(usual.session, usual.claim), [])
        changed, claimed = self._database.write_one(usual.take)
        if settlements:
            self._wake.jobs_ended([settlement.claimed.job_id for settlement in settlements])
        if changed == len(settlements) + len(claimed):
            return Taken([], claimed, [])
        stale = self._database.read(lambda connection: stale_of(connection, usual.session, settlements))
        return Taken(stale, claimed, [])

    def rescue(self) -> Sequence[Notice]:
        return self._sessions.rescue()

    def bury(self, session: int, crash: ErrorInfo, *, alone: bool) -> Sequence[Notice]:
        known = self._sessions.find(session)
        if known is None:
            return []
        ran = self._sessions.running(known)

        def work(connection: Connection) -> Round:
            done = Round(connection, self._clock.wall(), session)
            for ref, fence in ran:
                if alone:
                    done.blame(ref, fence, crash)
                else:
                    done.suspect(ref, fence)
            done.take_back(session, "rescued")
            self._sessions.remove(connection, session)
            return done

        done = self._database.write(work)
        self._sessions.let_go(known)
        done.announce(self._wake)
        return done.notices

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

    def unwanted(self, session: int) -> Sequence[tuple[str, int]]:
        return self._database.read(
            lambda connection: connection.execute(SQL.unwanted, {"session": session}).fetchall()
        )

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

    def delete(self, job_ids: Sequence[str]) -> int:
        ids = self._database.write(
            lambda connection: [gone for job_id in job_ids for gone in _delete(connection, job_id)]
        )
        self._wake.jobs_ended(ids)
        self._wake.jobs_added()
        return len(ids)

    def pause(self, queue: str) -> bool:
        place = {"queue": queue, "now": self._clock.wall()}
        return self._database.write(lambda connection: connection.execute(SQL.pause, place).rowcount > 0)

    def resume(self, queue: str) -> bool:
        place = {"queue": queue}
        is_back = self._database.write(lambda connection: connection.execute(SQL.resume, place).rowcount > 0)
        if is_back:
            self._wake.jobs_added()
        return is_back

    def hasten(self, job_id: str) -> bool:
        place = {"job_id": job_id, "now": self._clock.wall()}
        has_moved = self._database.write(
            lambda connection: connection.execute(SQL.hasten, place).rowcount > 0
        )
        if has_moved:
            self._wake.jobs_added()
        return has_moved

    def _claimed(self, session: int, claim: int) -> list[Claimed]:
        return self._database.read(lambda connection: claimed_under(connection, session, claim))


# --- add


def insert(connection: Statements, jobs: Sequence[NewJob], now: int) -> list[str]:
    insert_rows(connection, _rows(jobs, now))
    for job in jobs:
        if len(job.args) > INLINE:
            connection.execute(SQL.insert_args, {"job_id": job.job_id, "args": job.args})
    return [job.job_id if job.key is None else _known_by(connection, job) for job in jobs]


def _is_one_row(job: NewJob) -> bool:
    """Whether nothing but its row is to be written, and no other job can be in its place."""
    return job.key is None and len(job.args) <= INLINE


def _known_by(connection: Statements, job: NewJob) -> str:
    place = {"job_id": job.job_id, "task": job.task, "key": job.key}
    [job_id] = connection.execute(SQL.known_by, place).fetchone()
    return str(job_id)


def _rows(jobs: Sequence[NewJob], now: int) -> list[Row]:
    return [
        (
            job.job_id,
            str(job.state),  # exactly a str: Python's sqlite3 asks for an adapter for all else
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
        for job in jobs
    ]


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
    delete(connection, pruned)
    return list(pruned.values())


def _delete(connection: Connection, job_id: str) -> list[str]:
    found = connection.execute(SQL.find, {"job_id": job_id}).fetchone()
    if found is None:
        return []
    ref, state, _, lock, pipeline, step = found
    if state in {State.QUEUED, State.BLOCKED}:
        return _delete_waiting(connection, [(ref, job_id, pipeline, step, lock)])
    place = {"pipeline": pipeline, "step": step}
    if state == State.RUNNING or connection.execute(SQL.is_needed, place).fetchone() is not None:
        return []
    delete(connection, [ref])
    return [job_id]


def _purge_waiting(connection: Connection, queue: str | None, limit: int) -> list[str]:
    rows = connection.execute(SQL.waiting, {"queue": queue, "limit": limit}).fetchall()
    return _delete_waiting(connection, rows)


def _delete_waiting(
    connection: Connection, rows: Sequence[tuple[int, str, str | None, int, str | None]]
) -> list[str]:
    gone = {ref: job_id for ref, job_id, *_ in rows}
    for _, _, pipeline, step, _ in rows:
        if pipeline is not None:
            gone.update(connection.execute(SQL.later_steps, {"pipeline": pipeline, "step": step}).fetchall())
    delete(connection, gone)
    for lock in {lock for *_, lock in rows if lock is not None}:
        connection.execute(SQL.first_waiter, {"lock": lock})
    return list(gone.values())


def _purge_ended(connection: Connection, queue: str | None, limit: int) -> list[str]:
    rows = connection.execute(SQL.ended, {"queue": queue, "limit": limit}).fetchall()
    delete(connection, [ref for ref, _ in rows])
    return [job_id for _, job_id in rows]
