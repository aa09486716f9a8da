"""The Redis store, put together from its roles."""

from __future__ import annotations

from taskmill._storage.base import Health, Storage
from taskmill._storage.clock import Clock
from taskmill._storage.redis.address import Address
from taskmill._storage.redis.audit import RedisAudit
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.doorbell import RedisBell
from taskmill._storage.redis.inspection import RedisInspection
from taskmill._storage.redis.jobs import RedisJobs
from taskmill._storage.redis.journals import RedisJournals
from taskmill._storage.redis.limits import RedisLimits
from taskmill._storage.redis.link import Link
from taskmill._storage.redis.moment import Moment
from taskmill._storage.redis.schedules import RedisSchedules
from taskmill._storage.redis.sessions import RedisSessions
from taskmill._storage.redis.statistics import RedisStatistics
from taskmill._storage.redis.transfer import RedisTransfer


class RedisStorage(Storage):
    """Jobs in a Redis or Valkey server; *clock* is for tests, in the place of the server's own."""

    is_remote = True

    def __init__(self, address: Address, url: str, *, clock: Clock | None = None) -> None:
        self.url = url
        self._clock = clock
        self._link = Link(address)
        self._moment = Moment(self._link)
        self.wake: RedisBell = RedisBell(self._link)
        self._caller = Caller(self._link, clock, self.wake, self._moment)
        self.sessions: RedisSessions = RedisSessions(self._caller)
        self.jobs = RedisJobs(self._caller, self.sessions)
        self.schedules = RedisSchedules(self._caller)
        self.limits = RedisLimits(self._caller, self.sessions)
        self.statistics = RedisStatistics(self._caller, self.now)
        self.audit = RedisAudit(self._caller)
        self.journals = RedisJournals(self._caller)
        self.transfer = RedisTransfer(self._caller)
        self.inspection: RedisInspection = RedisInspection(self._caller)

    @property
    def health(self) -> Health:
        from taskmill._storage.redis.health import RedisHealth  # noqa: PLC0415  (programs that enqueue never ask)

        return RedisHealth(self._caller, self.inspection)

    def now(self) -> int:
        return self._moment.now() if self._clock is None else self._clock.wall()

    def exists(self) -> bool:
        return bool(self._link.ask("EXISTS", self._link.key("schema"), peeks=True))

    def version(self) -> int:
        told = self.wake.take_version()
        if told is not None:
            return told
        return int(self._link.ask("GET", self._link.key("version")) or 0)

    def close(self) -> None:
        self.wake.close()
        self._link.close()
