"""The PostgreSQL store, put together from its roles."""

from __future__ import annotations

from taskmill._storage.base import Health, Storage
from taskmill._storage.clock import Clock, SystemClock
from taskmill._storage.postgres.address import Address
from taskmill._storage.postgres.audit import PostgresAudit
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.doorbell import Doorbell
from taskmill._storage.postgres.inspection import PostgresInspection
from taskmill._storage.postgres.jobs import PostgresJobs
from taskmill._storage.postgres.journals import PostgresJournals
from taskmill._storage.postgres.limits import PostgresLimits
from taskmill._storage.postgres.schedules import PostgresSchedules
from taskmill._storage.postgres.sessions import PostgresSessions
from taskmill._storage.postgres.statistics import PostgresStatistics
from taskmill._storage.postgres.transfer import PostgresTransfer
from taskmill._storage.postgres.version import Version


class PostgresStorage(Storage):
    """Jobs in the schema `taskmill` of a PostgreSQL database, as durable as that server makes what is committed."""

    is_remote = True

    def __init__(self, address: Address, *, clock: Clock | None = None) -> None:
        self.url = address.url
        self._database = Database(address, clock)
        self.wake = self._doorbell = Doorbell(self._database)
        self._version = Version(clock or SystemClock(), lambda: self._doorbell.patience)
        self._doorbell.on_news = self._version.changed
        self.sessions = PostgresSessions(self._database, self._doorbell, self._version)
        self.jobs = PostgresJobs(self._database, self._doorbell, self._version, self.sessions)
        self.schedules = PostgresSchedules(self._database, self._doorbell, self._version)
        self.limits = PostgresLimits(self._database, self._doorbell, self._version, self.sessions)
        self.statistics = PostgresStatistics(self._database, self._version)
        self.audit = PostgresAudit(self._database, self._version)
        self.journals = PostgresJournals(self._database, self._version)
        self.transfer = PostgresTransfer(self._database, self._doorbell, self._version)
        self.inspection = PostgresInspection(self._database)

    @property
    def health(self) -> Health:
        # Programs that enqueue never ask.
        from taskmill._storage.postgres.health import PostgresHealth  # noqa: PLC0415

        return PostgresHealth(self._database)

    def now(self) -> int:
        return self._database.now()

    def exists(self) -> bool:
        return self._database.exists()

    def version(self) -> int:
        self._database.open()
        return self._version.now()

    def close(self) -> None:
        self._doorbell.close()
        self._database.close()
