"""How the roles call their scripts: with the clock, and with the rings that follow for who waits in this process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from taskmill._core.event import Notice
from taskmill._storage.clock import Clock
from taskmill._storage.redis.doorbell import RedisBell
from taskmill._storage.redis.link import Link
from taskmill._storage.redis.moment import Moment


class Caller:
    """One for all roles of a store; *clock* is the server's own where it is None."""

    def __init__(self, link: Link, clock: Clock | None, wake: RedisBell, moment: Moment) -> None:
        self.link = link
        self._clock = clock
        self._wake = wake
        self._moment = moment

    def look(self, name: str, *arguments: str | float, peeks: bool = False) -> Any:
        """Run a script that changes nothing."""
        return self.link.run(name, *arguments, clock=self._now(), peeks=peeks)

    def add(self, arguments: Sequence[str | bytes]) -> Iterable[tuple[int, str]]:
        """Store jobs; places and ids of those that are known by another id, counted from 1."""
        reply = self.link.run("add", *arguments, clock=self._now())
        version, *known = reply if isinstance(reply, list) else (reply,)
        if version:
            self._wake.learn(version)
            self._wake.jobs_added()
        return [(place, job_id.decode()) for place, job_id in zip(known[::2], known[1::2], strict=True)]

    def change(self, name: str, *arguments: str | bytes | float, once: bool = False) -> Any:
        """Run a script that changes something; its answer."""
        return self.answer(name, *arguments, once=once)[0]

    def notices(self, name: str, *arguments: str | float) -> Sequence[Notice]:
        """As `change`, for the notices."""
        return self.answer(name, *arguments)[1]

    def answer(
        self, name: str, *arguments: str | bytes | float, once: bool = False
    ) -> tuple[Any, list[Notice]]:
        """As `change`, with the notices."""
        return self._announced(self.link.run(name, *arguments, clock=self._now(), once=once))

    def turn(self, *arguments: str | bytes | float, may_rest: bool) -> tuple[Any, list[Notice], int, bytes]:
        """As `answer`, with the version of the store, and the rows of what was claimed.

        *may_rest*: whether the worker has room for any job, so that it rests where it finds none.
        """
        offered, is_taken = self._wake.offer() if may_rest else "", False
        try:
            reply, version, now, rows, is_taken = self.link.run(
                "turn", offered, *arguments, clock=self._now()
            )
            self._moment.learn(int(now))
            self._wake.saw(version)
            return *self._announced(reply), version, rows
        finally:
            if offered:
                self._wake.offered(is_taken=bool(is_taken))

    def ended(self, job_ids: Sequence[str]) -> None:
        """Ring who waits for these in this process."""
        self._wake.jobs_ended(job_ids)

    def _now(self) -> str:
        return "" if self._clock is None else f"{self._clock.wall()} {self._clock.monotonic()}"

    def _announced(self, reply: bytes) -> tuple[Any, list[Notice]]:
        answer, notices, ended, has_freed = json.loads(reply)
        # It may have another version by now.
        self._wake.learn(None)
        if ended:
            self._wake.jobs_ended(ended)
        if has_freed:
            self._wake.jobs_added()
        return answer, [Notice(*notice) for notice in notices]
