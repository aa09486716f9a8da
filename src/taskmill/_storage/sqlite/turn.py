"""One turn in one transaction, whatever its jobs need: settle, expire, claim."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from taskmill._core import lifecycle
from taskmill._core.event import Notice
from taskmill._core.job import FAILED_TTL, KEPT_RELEASES, Claimed, ErrorInfo, Executor, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.rows import error_text
from taskmill._storage.sqlite.changes import SQL, Changes, delete
from taskmill._storage.sqlite.insert import INLINE
from taskmill._storage.sqlite.lanes import Lane, Request, is_whole, look
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.quick import is_quick, listed_text


class Lanes(NamedTuple):
    """The lanes of one priority that one executor may be fed from."""

    executor: Executor
    priority: int
    lanes: Sequence[Lane]


class Round(Changes):
    """The work of one turn."""

    def __init__(self, connection: Connection, now: int, session: int) -> None:
        super().__init__(connection, now)
        self.session = session
        self.stale: list[Settlement] = []

    # --- settle

    def settle(self, settlements: Sequence[Settlement]) -> None:
        quick = [settlement for settlement in settlements if is_quick(settlement)]
        for settlement in settlements:
            if not is_quick(settlement):
                self._settle_one(settlement)
        if quick:
            self._settle_quick(quick)

    def _settle_quick(self, settlements: list[Settlement]) -> None:
        listed = {"settlements": listed_text(settlements), "now": self.now, "session": self.session}
        changed = self.connection.execute(SQL.settle_plain, listed).rowcount
        self.ended.extend(settlement.claimed.job_id for settlement in settlements)
        if changed != len(settlements):
            self.stale.extend(stale_of(self.connection, self.session, settlements))

    def _settle_one(self, settlement: Settlement) -> None:
        claimed, transition, started_at = settlement
        held = self.connection.execute(SQL.held, _guard(self.session, claimed)).fetchone()
        if held is None:
            self.stale.extend(stale_of(self.connection, self.session, [settlement]))
            return
        attempt, is_cancel_requested, lock, pipeline, step, result_ttl = held
        if transition.state is State.QUEUED:
            self._record_attempt(claimed.ref, attempt, transition, started_at)
            if is_cancel_requested:
                transition = Transition(
                    State.CANCELLED, "cancelled", reason=Reason.REVOKED, crashes=transition.crashes
                )
                self.notices.append(Notice("cancelled", claimed.job_id, Reason.REVOKED))
        if transition.state is State.QUEUED:
            self._requeue(claimed.ref, transition, started_at)
        else:
            self._end(claimed, transition, started_at)
            self._follow_up(claimed.ref, transition.state, pipeline, step, result_ttl)
        if lock is not None:
            self._free_lock(claimed.ref)

    def _record_attempt(self, ref: int, attempt: int, transition: Transition, started_at: int | None) -> None:
        if not transition.is_kept(started_at):
            return
        self.connection.execute(
            SQL.insert_attempt,
            {
                "job": ref,
                "number": attempt,
                "outcome": transition.event,
                "started_at": started_at,
                "ended_at": self.now,
                "error": error_text(transition.error),
                "session": self.session,
            },
        )
        if transition.event == "released":
            self.connection.execute(SQL.forget_released, {"job": ref, "kept": KEPT_RELEASES})

    def _requeue(self, ref: int, transition: Transition, started_at: int | None) -> None:
        # Given back at once, it keeps its place in the queue.
        keeps_place = transition.hand_back and not transition.delay
        self.connection.execute(
            SQL.settle_queued,
            {
                "id": ref,
                "handed_back": int(transition.hand_back),
                "crashes": transition.crashes,
                "acquits": int(transition.acquits),
                "hand_on": int(transition.hand_on),
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
                "error": error_text(transition.error),
                "reason": transition.reason,
                "crashes": transition.crashes,
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
            delete(self.connection, [ref])

    def _is_needed(self, place: dict[str, Any]) -> bool:
        return self.connection.execute(SQL.is_needed, place).fetchone() is not None

    def _free_lock(self, ref: int) -> None:
        owner = {"job": ref, "session": self.session}
        for [lock] in self.connection.execute(SQL.free_lock, owner).fetchall():
            self.wake_waiter(lock)

    # --- bury

    def suspect(self, ref: int, fence: int) -> None:
        """It was running when the session's process crashed, perhaps beside others."""
        self.connection.execute(SQL.suspect, {"id": ref, "fence": fence, "session": self.session})

    def blame(self, ref: int, fence: int, crash: ErrorInfo) -> None:
        """It was all that ran when the session's process crashed."""
        run = {"id": ref, "fence": fence, "session": self.session}
        for *fields, claimed_at, is_cancel_requested in self.connection.execute(SQL.ran, run).fetchall():
            claimed = Claimed._make(fields)
            transition = lifecycle.after_crash(crash, crashes=claimed.crashes)
            self._settle_one(Settlement(claimed, transition, claimed_at))
            if transition.state is not State.QUEUED or not is_cancel_requested:
                self.notices.append(Notice(transition.event, claimed.job_id, transition.reason))

    # --- expire

    def expire(self) -> None:
        expired = self.connection.execute(SQL.expire, {"now": self.now, "reason": Reason.EXPIRED}).fetchall()
        for job_id, pipeline, step, lock in expired:
            self.note_cancelled(job_id, Reason.EXPIRED)
            self.after_cancel(lock, pipeline, step)

    # --- claim

    def claim(self, request: Request) -> None:
        parameters = {"session": self.session, "claim": request.claim, "now": self.now}
        wants_any = any(request.wants.values())
        if not wants_any or self.connection.execute(SQL.has_session, parameters).fetchone() is None:
            return
        if self.connection.execute(SQL.is_claimed, parameters).fetchone() is not None:
            return
        remaining = dict(request.wants)
        for lanes in _together(look(self.connection, request).due(self.now)):
            want = remaining[lanes.executor]
            if want:
                remaining[lanes.executor] -= self._claim_lanes(lanes, want, parameters)

    def _claim_lanes(self, lanes: Lanes, want: int, parameters: dict[str, Any]) -> int:
        """Claim up to *want* jobs of these lanes; how many it were."""
        if len(lanes.lanes) == 1 and not lanes.lanes[0].has_locks:
            [lane] = lanes.lanes
            this = {"queue": lane.queue, "executor": lane.executor, "priority": lane.priority, "want": want}
            return self.connection.execute(SQL.claim, {**parameters, **this}).rowcount
        return self._claim_with_care(lanes, want, parameters)

    def _claim_with_care(self, lanes: Lanes, want: int, parameters: dict[str, Any]) -> int:
        """Where lanes must be merged or locks asked for: choose first, park who must wait, then claim."""
        claimed = 0
        places = json.dumps([(lane.queue, lane.executor) for lane in lanes.lanes])
        across = {"lanes": places, "priority": lanes.priority, "now": self.now}
        while claimed < want:
            rows = self.connection.execute(
                SQL.candidates_across, {**across, "want": want - claimed}
            ).fetchall()
            chosen = [ref for ref, lock in rows if lock is None or self._take_lock(ref, lock)]
            if chosen:
                self.connection.execute(SQL.claim_these, {**parameters, "ids": json.dumps(chosen)})
            claimed += len(chosen)
            if len(chosen) == len(rows):
                break
        return claimed

    def _take_lock(self, ref: int, lock: str) -> bool:
        if not is_whole(lock):
            # Nobody can name it, so nobody can hold it; the task will say what it is about.
            return True
        request = {"lock": lock, "session": self.session, "job": ref, "now": self.now}
        if self.connection.execute(SQL.take_lock, request).rowcount:
            return True
        self.connection.execute(SQL.park, {"id": ref})
        return False


def _together(due: Sequence[Lane]) -> Iterator[Lanes]:
    """Lanes by priority (high first); those that share priority and executor in one."""
    for (negative, executor), lanes in groupby(sorted(due, key=_rank), key=_rank):
        yield Lanes(executor, -negative, list(lanes))


def _rank(lane: Lane) -> tuple[int, Executor]:
    return -lane.priority, lane.serves


def stale_of(connection: Connection, session: int, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Those of *settlements* that are not recorded."""
    return [
        settlement
        for settlement in settlements
        if connection.execute(SQL.is_recorded, _guard(session, settlement.claimed)).fetchone() is None
    ]


def _guard(session: int, claimed: Claimed) -> dict[str, Any]:
    return {"id": claimed.ref, "job_id": claimed.job_id, "session": session, "fence": claimed.fence}
