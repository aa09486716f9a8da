"""The ways into the SQLite store, each a place where others have their turn and something can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from simulation.host import Host, Lease
from simulation.process import Process, Request
from simulation.world import World
from taskmill._core.job import Executor
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Slots, Turn
from taskmill._storage.clock import Clock
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.insert import Rows
from taskmill._storage.sqlite.jobs import SqliteJobs
from taskmill._storage.sqlite.liveness import Liveness, Session
from taskmill._storage.sqlite.opening import Connection, Durability
from taskmill.errors import StoreUnavailable

T = TypeVar("T")


class SimulatedDatabase(Database):
    """The real one; each transaction is one call."""

    def __init__(self, world: World, path: Path, *, durability: Durability, timeout: float) -> None:
        super().__init__(path, durability=durability, timeout=timeout)
        self._world = world
        self._process = world.host.scheduler.process
        self._process.databases.append(self)

    def read(self, work: Callable[[Connection], T]) -> T:
        self._enter()
        return super().read(work)

    def version(self) -> int:
        # A look that only says whether another one is worth it is no place to stop at: there are too many of them.
        self._require_way()
        return super().read(self._version)

    def write(self, work: Callable[[Connection], T]) -> T:
        return self._commit(lambda: super(SimulatedDatabase, self).write(work))

    def write_one(self, work: Callable[[Connection], T]) -> T:
        return self._commit(lambda: super(SimulatedDatabase, self).write_one(work))

    def add_jobs(self, rows: Rows) -> None:
        self._commit(lambda: super(SimulatedDatabase, self).add_jobs(rows))

    def _commit(self, write: Callable[[], T]) -> T:
        self._world.faults.around_a_commit(self._process)
        self._enter()
        if delay := self._world.faults.delay():
            self._world.host.scheduler.wait(seconds=delay)
        answer = write()
        self._world.witness.look(self._process)
        # The reply is on its way.
        self._world.faults.around_a_commit(self._process)
        self._world.host.scheduler.wait()
        if self._world.faults.loses_reply(self._process):
            raise StoreUnavailable("the reply got lost")
        return answer

    def _enter(self) -> None:
        self._world.host.scheduler.wait()
        self._require_way()

    def _require_way(self) -> None:
        self._world.host.scheduler.require_life(self._process)
        if self._world.host.monotonic() < self._process.is_reached_at:
            raise StoreUnavailable("the store cannot be reached")


class SimulatedJobs(SqliteJobs):
    """The real ones; what a turn asks for is noted, so that it can be judged what it got."""

    def __init__(self, world: World, *parts: Any) -> None:
        super().__init__(*parts)
        self._world = world

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
        process, host = self._world.host.scheduler.process, self._world.host
        process.request = Request(
            session, claim, wants, queues, self._world.witness.looks, host.wall(), host.ahead
        )
        try:
            return super().turn(session, settlements, claim=claim, wants=wants, queues=queues, knows=knows)
        finally:
            process.request = None


class SimulatedLiveness(Liveness):
    """The real one, on the real files; the processes are not, so who has which lease is noted."""

    def __init__(self, world: World, database: Path, clock: Clock) -> None:
        super().__init__(database, clock)
        self._host = world.host
        self._process = world.host.scheduler.process

    def begin(self, lease: int) -> str:
        self._host.scheduler.require_life(self._process)
        name = super().begin(lease)
        self._host.leases[name] = Lease(self._process, self._host.monotonic() + lease, lease)
        return name

    def slots(self, name: str, count: int) -> Slots:
        return _MortalSlots(self._host, self._process, super().slots(name, count))

    def renew(self, name: str) -> bool:
        self._host.scheduler.wait()
        is_renewed = super().renew(name)
        if is_renewed:
            self._host.leases[name].renew(self._host.monotonic())
        return is_renewed

    def renew_for(self, session: Session) -> bool:
        self._host.scheduler.wait()
        is_renewed = super().renew_for(session)
        if is_renewed:
            self._host.leases[session.file].renew(self._host.monotonic())
        return is_renewed

    def restore(self, name: str) -> bool:
        self._host.scheduler.require_life(self._process)
        return super().restore(name)

    def let_go(self, name: str) -> None:
        self._host.scheduler.require_life(self._process)
        super().let_go(name)


class _MortalSlots(Slots):
    """A dead process writes nothing more."""

    def __init__(self, host: Host, process: Process, slots: Slots) -> None:
        self._host = host
        self._process = process
        self._slots = slots

    def note(self, slot: int, ref: int, fence: int) -> None:
        self._host.scheduler.require_life(self._process)
        self._slots.note(slot, ref, fence)

    def clear(self, slot: int) -> None:
        self._host.scheduler.require_life(self._process)
        self._slots.clear(slot)
