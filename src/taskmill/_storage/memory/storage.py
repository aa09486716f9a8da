"""The contract at its shortest, in dicts under one lock: a store of one process, and the tests' model."""

from __future__ import annotations

from taskmill._storage.base import Health, Storage
from taskmill._storage.clock import Clock, SystemClock
from taskmill._storage.memory.audit import MemoryAudit
from taskmill._storage.memory.changes import Memory
from taskmill._storage.memory.health import MemoryHealth
from taskmill._storage.memory.inspection import MemoryInspection
from taskmill._storage.memory.jobs import MemoryJobs
from taskmill._storage.memory.journals import MemoryJournals
from taskmill._storage.memory.limits import MemoryLimits
from taskmill._storage.memory.schedules import MemorySchedules
from taskmill._storage.memory.sessions import MemorySessions
from taskmill._storage.memory.statistics import MemoryStatistics
from taskmill._storage.memory.transfer import MemoryTransfer
from taskmill._storage.wake import Wake


class MemoryStorage(Storage):
    """Jobs that live as long as this object; `close` lets go of nothing, for nothing could bring it back."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.url = "memory://"
        self.wake = Wake()
        self._clock = clock or SystemClock()
        self._memory = Memory(self._clock, self.wake)
        self.jobs = MemoryJobs(self._memory)
        self.sessions = MemorySessions(self._memory)
        self.schedules = MemorySchedules(self._memory)
        self.limits = MemoryLimits(self._memory)
        self.statistics = MemoryStatistics(self._memory)
        self.audit = MemoryAudit(self._memory)
        self.journals = MemoryJournals(self._memory)
        self.transfer = MemoryTransfer(self._memory)
        self.inspection = MemoryInspection(self._memory)

    @property
    def health(self) -> Health:
        return MemoryHealth(self._memory)

    def now(self) -> int:
        return self._clock.wall()

    def exists(self) -> bool:
        return True

    def version(self) -> int:
        return self._memory.tables.version

    def close(self) -> None:
        pass
