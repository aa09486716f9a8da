"""The machine that all runs on: its processes and its clocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from random import Random

from simulation.process import Process
from simulation.scheduler import Killed, Scheduler, Thread
from taskmill._core.instant import SECOND
from taskmill.errors import TaskmillError

_EPOCH = 1_750_000_000 * SECOND
KILLED = -9


class Lease:
    """That of a session, as the store should have it."""

    def __init__(self, owner: Process, until: int, length: int) -> None:
        self.owner = owner
        self.until = until
        self._length = length

    def renew(self, now: int) -> None:
        self.until = now + self._length


class Host:
    """Also the clock that the stores are given: what it shows is moved by the scheduler, and by faults."""

    def __init__(self, chance: Random, tell: Callable[[str], None] | None) -> None:
        self.chance = chance
        self._tell = tell
        self.scheduler = Scheduler(chance)
        self.ahead = 0
        self.processes: list[Process] = []
        # By the name of the session's file.
        self.leases: dict[str, Lease] = {}
        self.on_death: Callable[[Process], None] = lambda _: None
        self._unburied: list[Process] = []
        self._pids = count(1001)

    @property
    def is_told(self) -> bool:
        """Whether anybody wants to know what happens."""
        return self._tell is not None

    def tell(self, what: str) -> None:
        """Say what happens."""
        if self._tell is not None:
            self._tell(f"{self.scheduler.turns:6} {self.monotonic() / SECOND - 1_000:8.3f} {what}")

    def wall(self) -> int:
        """Microseconds since the epoch, as far as this machine knows."""
        return _EPOCH + self.scheduler.now + self.ahead

    def monotonic(self) -> int:
        """Microseconds since some instant."""
        return self.scheduler.now

    def start(self, name: str, program: Callable[[], None], parent: Process | None = None) -> Process:
        """Start a process; what its *program* raises of taskmill's errors is its end."""
        process = Process(next(self._pids), name, parent)
        self.processes.append(process)
        self.tell(f"{process} starts")

        def main() -> None:
            try:
                program()
            except TaskmillError as error:
                self.tell(f"{process} gives up: {type(error).__name__}")
                self.kill(process, 1)
            else:
                self.kill(process, 0)

        self.thread(main, process, "main")
        return process

    def thread(self, target: Callable[[], None], process: Process, name: str) -> None:
        Thread(self.scheduler, target, process, name=name).start()

    def kill(self, process: Process, status: int = KILLED) -> None:
        """End *process*: nothing of what it is in the middle of happens any more."""
        if process.is_alive:
            self.tell(f"{process} ends with {status}")
            self.on_death(process)
            process.is_alive, process.status, process.goes_on_at = False, status, -math.inf
            self._unburied.append(process)

    def crash(self, status: int) -> None:
        """End the process that calls this."""
        self.kill(self.scheduler.process, status)
        raise Killed

    def step(self) -> None:
        """One turn of one thread, and what follows from the death of a process."""
        self.scheduler.step()
        self.bury()

    def bury(self) -> None:
        """What the system does for the dead: their threads end, their files are closed, their children follow."""
        while self._unburied:
            process = self._unburied.pop(0)
            self.scheduler.end_threads(process)
            self.processes.remove(process)
            for each in tuple(process.open):
                each.close()
            for child in [child for child in self.processes if child.parent is process]:
                self.kill(child)

    def end(self) -> None:
        """Nothing lives any more."""
        for process in tuple(self.processes):
            self.kill(process)
        self.bury()
