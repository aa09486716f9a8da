"""The hot operations on Redis: each is one script, which is carried out as a whole or not at all."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from json.encoder import encode_basestring as _quoted

from taskmill._core import lifecycle
from taskmill._core.event import Notice
from taskmill._core.job import EXECUTORS, ErrorInfo, Executor, NewJob, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.base import CancelAnswer, JobStore, Turn
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.rows import claimed_of, row_of, shape
from taskmill._storage.redis.sessions import RedisSessions
from taskmill.errors import StoreRefused

# Whether a result follows, the fence, and when it started.
_CLAIM = struct.Struct(">BIq")

_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class RedisJobs(JobStore):
    def __init__(self, caller: Caller, sessions: RedisSessions) -> None:
        self._caller = caller
        self._sessions = sessions

    def add(self, jobs: Sequence[NewJob]) -> Sequence[str]:
        ids = [job.job_id for job in jobs]
        for place, job_id in self._caller.add(added(jobs)) if jobs else ():
            ids[place - 1] = job_id
        return ids

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
        wish = {"wants": wants, "queues": None if queues is None else list(queues)}
        succeeded = [one.claimed.job_id for one in settlements if one.transition.state is State.SUCCEEDED]
        (stale, calls, given, next_at), notices, version, rows = self._caller.turn(
            session,
            self._sessions.word(session),
            claim,
            _text(wish),
            _text(list(knows)),
            _text(succeeded),
            *_settled(settlements),
            may_rest=queues is None and all(wants.get(executor) for executor in EXECUTORS),
        )
        self._caller.ended(succeeded)
        claimed = claimed_of(rows, calls)
        for place, result in given:
            claimed[place] = claimed[place]._replace(given=result)
        return Turn([settlements[index] for index in stale], claimed, next_at, notices, version)

    def rescue(self) -> Sequence[Notice]:
        return self._sessions.rescue()

    def bury(self, session: int, crash: ErrorInfo, *, alone: bool) -> Sequence[Notice]:
        known = self._sessions.find(session)
        if known is None:
            return []
        ran = self._sessions.running(known)
        blamed = [self._blamed(ref, fence, crash) if alone else [ref, fence] for ref, fence in ran]
        notices = self._caller.notices("bury", session, _text(blamed))
        self._sessions.let_go(session, known)
        return notices

    def _blamed(self, ref: int, fence: int, crash: ErrorInfo) -> list[object]:
        packed = self._caller.link.ask("HGET", self._caller.link.key("row"), f"{ref:014}")
        crashes = 0 if packed is None else row_of(packed).crashes
        return [ref, fence, _ending(lifecycle.after_crash(crash, crashes=crashes), None)]

    def cancel(self, job_id: str) -> tuple[CancelAnswer, Sequence[Notice]]:
        return self._caller.answer("cancel", job_id, once=True)

    def unwanted(self, session: int) -> Sequence[tuple[str, int]]:
        found = json.loads(self._caller.look("unwanted", session))
        return [(job_id, int(fence)) for job_id, fence in found]

    def retry(self, job_id: str) -> bool:
        return bool(self._caller.change("retry", job_id, once=True))

    def prune(self, *, limit: int) -> int:
        return int(self._caller.change("prune", limit))

    def purge(self, *, queue: str | None, ended: bool, limit: int) -> int:
        return int(self._caller.change("purge", _text(queue), "ended" if ended else "waiting", limit))

    def delete(self, job_ids: Sequence[str]) -> int:
        return int(self._caller.change("delete", _text(list(job_ids)), once=True))

    def pause(self, queue: str) -> bool:
        return bool(self._caller.change("pause", queue, once=True))

    def resume(self, queue: str) -> bool:
        return bool(self._caller.change("resume", queue, once=True))

    def hasten(self, job_id: str) -> bool:
        return bool(self._caller.change("hasten", job_id, once=True))


# --- how it is told to the scripts


def added(jobs: Sequence[NewJob]) -> list[str | bytes]:
    """The arguments that insert.lua takes."""
    arguments: list[str | bytes] = []
    before = b""
    for job in jobs:
        its_shape = shape(
            *(job.executor, job.queue, job.priority, job.step, job.max_attempts, job.result_ttl),
            *(job.delay, job.run_at, job.expires_in),
            *(job.lock is not None, job.pipeline is not None, job.key is not None),
        )
        arguments += (
            job.job_id,
            b"" if its_shape == before else its_shape,
            "" if job.key is None else f"{job.task}\0{job.key}",
            "" if job.pipeline is None else f":{job.pipeline}",
            _call(job),
        )
        before = its_shape
    return arguments


# Many jobs have these in common, and they are on the way of every enqueue.


def _call(job: NewJob) -> str:
    """The columns of a call, as rows.py and shared/columns.lua have them, as JSON."""
    own = f"{_quoted(job.job_id)},{_quoted(job.args)}"
    if job.headers is None and job.key is None and job.pipeline is None:
        given = "null,null,null"
    else:
        given = _text([job.headers, job.key, job.pipeline])[1:-1]
    return f"[{own},{given},{_kind(job.task, job.queue, job.executor, job.lock, job.tags)}]"


@lru_cache(maxsize=256)
def _kind(*columns: str | None) -> str:
    if any("\0" in column for column in columns if column):
        raise StoreRefused("Redis cannot hold the name of a queue, a task or a lock with a NUL: leave it out")
    return _text(columns)[1:-1]


def _settled(settlements: Sequence[Settlement]) -> Iterator[str | bytes | int]:
    """The arguments that turn.lua takes of them: how many; then the names of all, their claims, and their ends."""
    claims: list[bytes] = []
    ends: list[str] = []
    for claimed, transition, started_at in settlements:
        result = transition.result if transition.state is State.SUCCEEDED else None
        claims.append(_CLAIM.pack(result is not None, claimed.fence, started_at or 0))
        ends.append(_text(_ending(transition, started_at)) if result is None else result)
    refs = (f"{settlement.claimed.ref:014}" for settlement in settlements)
    return chain((len(settlements),), refs, claims, ends)


def _ending(transition: Transition, started_at: int | None) -> dict[str, object]:
    """What settle.lua takes."""
    is_failure = transition.state in {State.FAILED, State.CANCELLED}
    return {
        "state": transition.state,
        "event": transition.event,
        "reason": transition.reason,
        "error": transition.error,
        "outcome": _text([transition.reason, transition.error]) if is_failure else transition.result,
        "delay": transition.delay,
        "hand_back": transition.hand_back,
        "hand_on": transition.hand_on,
        "crashes": transition.crashes,
        "acquits": transition.acquits,
        "kept": transition.is_kept(started_at),
    }
