"""SQLite: each transaction passes a gate; what lies in files of the session is noted as the process writes it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from simulation.host import Lease
from simulation.rows import JobRow, LockRow, Picture, ScheduleRow, SessionRow
from simulation.stores.base import Machine, Put
from simulation.stores.gate import Gate, NotedJobs
from simulation.stores.slots import MortalSlots
from simulation.world import World
from taskmill._storage.base import Slots
from taskmill._storage.clock import Clock
from taskmill._storage.sqlite import liveness, opening, sessions, storage
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.insert import Rows
from taskmill._storage.sqlite.jobs import SqliteJobs
from taskmill._storage.sqlite.liveness import Liveness, Session
from taskmill._storage.sqlite.opening import Connection, Durability
from taskmill._storage.wake import Wake
from taskmill.errors import StoreUnavailable

T = TypeVar("T")

# Power cuts are not what this is about, and a disk is slow.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  (a folder of its own is made in it)

_JOBS = f"select {', '.join(JobRow._fields)} from taskmill_job"  # noqa: S608  (names of our own)


class SqliteStore:
    """A file of its own, and a connection to it that is nobody's."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.url = f"sqlite:///{path}?durability=normal"
        self._connection = connection
        self._version = -1

    def has_changed(self) -> bool:
        before = self._version
        [self._version] = self._connection.execute("pragma data_version").fetchone()
        return self._version != before

    def picture(self) -> Picture:
        read = self._connection.execute
        return Picture(
            {row[0]: JobRow._make(row) for row in read(_JOBS)},
            {row[0]: SessionRow(*row) for row in read("select id, parent, file from taskmill_session")},
            {row[1]: LockRow._make(row) for row in read("select id, name, session, job from taskmill_lock")},
            {
                row[0]: ScheduleRow._make(row)
                for row in read("select name, last_slot, fired, skipped from taskmill_schedule")
            },
        )

    def replace(self, world: World, machine: Machine, put: Put) -> None:
        put(sessions, os=machine.os, process_identity=machine.process_identity)
        put(sessions, Liveness=partial(SimulatedLiveness, world))
        put(liveness, process_identity=machine.process_identity, has_ended=machine.has_ended)
        put(liveness, _is_unlocked=partial(_is_unlocked, world))
        put(storage, Database=partial(SimulatedDatabase, world))
        put(storage, SqliteJobs=lambda *parts: NotedJobs(world, SqliteJobs(*parts)))
        put(storage, Doorbell=lambda _: Wake())


@contextmanager
def sqlite_store() -> Iterator[SqliteStore]:
    """An empty one."""
    with TemporaryDirectory(prefix="taskmill-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "jobs.db"
        with closing(opening.open_store(path, "normal", time.monotonic() + 5)) as connection:
            yield SqliteStore(path, connection)


class SimulatedDatabase(Database):
    """The real one; each transaction is one call."""

    def __init__(self, world: World, path: Path, *, durability: Durability, timeout: float) -> None:
        super().__init__(path, durability=durability, timeout=timeout)
        self._gate = Gate(world, StoreUnavailable)
        self._gate.process.open.add(self)

    def read(self, work: Callable[[Connection], T]) -> T:
        self._gate.enter()
        return super().read(work)

    def version(self) -> int:
        # A look that only says whether another one is worth it is no place to stop at: there are too many of them.
        self._gate.require_way()
        return super().read(self._version)

    def write(self, work: Callable[[Connection], T]) -> T:
        return self._gate.commit(lambda: super(SimulatedDatabase, self).write(work))

    def write_one(self, work: Callable[[Connection], T]) -> T:
        return self._gate.commit(lambda: super(SimulatedDatabase, self).write_one(work))

    def add_jobs(self, rows: Rows) -> None:
        self._gate.commit(lambda: super(SimulatedDatabase, self).add_jobs(rows))


class SimulatedLiveness(Liveness):
    """The real one, on the real files; the processes are not, so who has which lease is noted."""

    def __init__(self, world: World, database: Path, clock: Clock) -> None:
        super().__init__(database, clock)
        self._host = world.host
        self._gate = Gate(world, StoreUnavailable)

    def begin(self, lease: int) -> str:
        self._gate.require_life()
        name = super().begin(lease)
        self._host.leases[name] = Lease(self._gate.process, self._host.monotonic() + lease, lease)
        return name

    def slots(self, name: str, count: int) -> Slots:
        return MortalSlots(self._gate, super().slots(name, count))

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
        self._gate.require_life()
        return super().restore(name)

    def let_go(self, name: str) -> None:
        self._gate.require_life()
        super().let_go(name)


def _is_unlocked(world: World, file: Path) -> bool:
    """The kernel frees the lock when the process is gone."""
    file.stat()
    return not world.host.leases[file.stem].owner.is_alive
