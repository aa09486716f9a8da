"""A supervisor that is driven by hand: children that are no processes, a clock that stands still."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from taskmill._core.instant import SECOND
from taskmill._storage.base import Storage
from taskmill._worker.guardian import Guardian
from taskmill._worker.messages import FromParent, Hello, Leaving, Ready
from taskmill._worker.supervisor import Child, Role, Supervisor, SupervisorOptions
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker, a_job

LEASE = 30 * SECOND
HELLO = Hello("sqlite:///jobs.db", LEASE, 3, 0)


class Process:
    """One that only remembers what was done to it."""

    def __init__(self, role: Role, pid: int) -> None:
        self.role = role
        self.pid = pid
        self.said: list[FromParent] = []
        self.is_alive = True
        self.dumps = 0
        self.stands_still = False
        self.bytes = 0

    def say(self, message: FromParent) -> None:
        self.said.append(message)

    def kill(self) -> None:
        self.is_alive = False

    def dump(self) -> None:
        self.dumps += 1

    def is_stopped(self) -> bool:
        return self.stands_still

    def memory(self) -> int:
        return self.bytes


class House:
    """A supervisor with its children, and what it does in the store."""

    def __init__(self, storage: Storage, clock: FakeClock, **options: Any) -> None:
        self.clock = clock
        self.storage = storage
        self.started: list[Process] = []
        self.announced: list[Hello] = []
        self.on_ready: Callable[[Hello], object] = self.announced.append
        self.refused: OSError | None = None
        self.guardian = Guardian(lambda url: storage)
        self.supervisor = Supervisor(
            SupervisorOptions(**options),
            self._spawn,
            self.guardian,
            lambda: clock.monotonic() / SECOND,
            self._announce,
        )

    def _announce(self, hello: Hello) -> None:
        self.on_ready(hello)

    def _spawn(self, role: Role) -> Process:
        if self.refused is not None:
            raise self.refused
        # All have this process's number in the store, so there is one session at a time in these tests.
        self.started.append(Process(role, os.getpid()))
        return self.started[-1]

    def child(self, process: Process) -> Child:
        return next(child for child in self.supervisor.children if child.process is process)

    def step(self, seconds: float = 0) -> float:
        self.clock.travel(seconds)
        return self.supervisor.step()

    def hear(self, process: Process, *messages: Any) -> None:
        for message in messages:
            self.supervisor.hear(self.child(process), message)

    def start(self) -> Process:
        """The newest child becomes ready."""
        self.step()
        process = self.started[-1]
        self.hear(process, HELLO, Ready())
        self.step()
        return process

    def die(self, process: Process, status: int = -signal.SIGKILL) -> None:
        self.supervisor.mourn(self.child(process), status)
        self.step()

    def leave(self, process: Process, status: int = 0) -> None:
        self.hear(process, Leaving(status))
        self.die(process, status)

    def session_of_child(self) -> Worker:
        """A session as a child opens it, with a job that runs and one that waits."""
        self.storage.jobs.add([a_job("ran"), a_job("claimed")])
        worker = Worker(self.storage, parent=self.guardian.session)
        ran, _ = worker.claim()
        worker.start(ran)
        return worker

    def roles(self) -> list[str]:
        return [child.role for child in self.supervisor.children]
