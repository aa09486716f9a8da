"""The SQLite store, put together from its roles."""

from __future__ import annotations

import os
from pathlib import Path

from taskmill._storage.base import Health, Storage
from taskmill._storage.clock import Clock, SystemClock
from taskmill._storage.sqlite.audit import SqliteAudit
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.doorbell import Doorbell
from taskmill._storage.sqlite.inspection import SqliteInspection
from taskmill._storage.sqlite.jobs import SqliteJobs
from taskmill._storage.sqlite.journals import SqliteJournals
from taskmill._storage.sqlite.limits import SqliteLimits
from taskmill._storage.sqlite.opening import Durability
from taskmill._storage.sqlite.schedules import SqliteSchedules
from taskmill._storage.sqlite.sessions import SqliteSessions
from taskmill._storage.sqlite.statistics import SqliteStatistics
from taskmill._storage.sqlite.transfer import SqliteTransfer


class SqliteStorage(Storage):
    """Jobs in one SQLite file.

    *durability* "full": what a call stored survives a power cut. "normal": it survives any crash of programs, but a
    power cut can take the last moments with it. *timeout*: seconds to wait for another process's write.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        durability: Durability = "full",
        timeout: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        # Absolute at once: the program may change its folder before the first use. Without symbolic links, because
        # SQLite puts the companions of the file beside what they point to.
        path = Path(os.path.realpath(path))
        self.url = f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"
        self.wake = Doorbell(path.with_name(path.name + "-sessions"))
        self._clock = clock or SystemClock()
        self._database = Database(path, durability=durability, timeout=timeout)
        self.sessions: SqliteSessions = SqliteSessions(self._database, self._clock, self.wake)
        self.jobs = SqliteJobs(self._database, self._clock, self.wake, self.sessions)
        self.schedules = SqliteSchedules(self._database, self._clock, self.wake)
        self.limits = SqliteLimits(self._database, self._clock, self.wake, self.sessions)
        self.statistics = SqliteStatistics(self._database, self._clock)
        self.audit = SqliteAudit(self._database, self._clock)
        self.journals = SqliteJournals(self._database)
        self.transfer = SqliteTransfer(self._database, self.wake)
        self.inspection = SqliteInspection(self._database, self._clock)

    @property
    def health(self) -> Health:
        # A tenth of what it takes to import all of this, and programs that enqueue never ask.
        from taskmill._storage.sqlite.health import SqliteHealth  # noqa: PLC0415

        return SqliteHealth(self._database, self._clock, self.sessions)

    def now(self) -> int:
        return self._clock.wall()

    def exists(self) -> bool:
        return self._database.exists()

    def version(self) -> int:
        return self._database.version()

    def close(self) -> None:
        self.wake.close()
        self._database.close()
