"""Locks on Redis; those of jobs are taken and freed in the turn that claims and settles the job."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from taskmill._core.instant import to_datetime
from taskmill._storage.base import LimitStore, LockState
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.sessions import RedisSessions


class RedisLimits(LimitStore):
    def __init__(self, caller: Caller, sessions: RedisSessions) -> None:
        self._caller = caller
        self._sessions = sessions

    def acquire(self, name: str, session: int) -> int | None:
        # The call is made twice if its reply is lost: it must know the lock as its own then.
        once = os.urandom(8).hex()
        token = self._caller.change("acquire", name, session, self._sessions.word(session), once)
        return None if token is None else int(token)

    def release(self, name: str, session: int, token: int) -> bool:
        word = self._sessions.word(session)
        return bool(self._caller.change("release", name, session, word, token, once=True))

    def list(self) -> Sequence[LockState]:
        told = self._caller.look("locks")
        found = []
        for name, lock, job_id, _ in zip(*[iter(told)] * 4, strict=True):
            token, session, since, *_ = json.loads(lock)
            held_by = None if job_id is None else job_id.decode()
            found.append(LockState(name.decode(), token, session, held_by, to_datetime(since)))
        return sorted(found)
