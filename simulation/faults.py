"""What goes wrong, by chance, and where."""

from __future__ import annotations

from random import Random

from simulation.host import Host
from simulation.process import INIT, Process
from taskmill._core.instant import HOUR, SECOND

# How often something happens at a turn, and after a commit.
_AT_A_TURN, _IN_A_RUN, _AROUND_A_COMMIT, _LOST_REPLIES, _DELAYS = 0.003, 0.25, 0.015, 0.08, 0.12
# The causes, and how they share in it.
_CAUSES = {"kill": 4, "freeze": 4, "stall": 5, "cut off": 2, "stop": 3, "sleep": 1, "clock": 2}


class Faults:
    """Each seed has its own measure of trouble; after `cease` there is none."""

    def __init__(self, chance: Random, host: Host, lease: float) -> None:
        self._chance = chance
        self._host = host
        self._lease = lease
        self._measure = chance.choice([0.3, 1.0, 1.0, 2.0])

    def at_a_turn(self) -> None:
        """Something may happen to any process."""
        if self._chance.random() < _AT_A_TURN * self._measure:
            self._strike(self._chance.choice(self._host.processes))

    def in_a_run(self, process: Process) -> None:
        """Something may happen to a process that runs a job."""
        if self._chance.random() < _IN_A_RUN * self._measure:
            self._strike(process)

    def around_a_commit(self, process: Process) -> None:
        """Something may happen to a process that is about to store a change, or does not know yet that it is stored."""
        if self._chance.random() < _AROUND_A_COMMIT * self._measure:
            self._strike(process)

    def delay(self) -> float:
        """For how many seconds a change is on its way to the store."""
        if self._chance.random() < _DELAYS * self._measure:
            return self._chance.uniform(0, 0.5)
        return 0.0

    def loses_reply(self, process: Process) -> bool:
        """Whether *process* is told that the change failed that is stored."""
        is_lost = self._chance.random() < _LOST_REPLIES * self._measure
        if is_lost:
            self._host.tell(f"{process} gets no reply")
        return is_lost

    def cease(self) -> None:
        """From now on all goes well; the wall clock is set to a time when everything delayed is due."""
        self._measure = 0.0
        self._host.ahead = 3 * HOUR
        for process in self._host.processes:
            process.goes_on_at = process.is_reached_at = self._host.monotonic()
            for thread in self._host.scheduler.threads_of(process):
                thread.goes_on_at = process.goes_on_at
        self._host.tell("the faults cease")

    def _strike(self, process: Process) -> None:
        now = self._host.monotonic()
        if process.name == INIT:
            return
        match self._chance.choices(list(_CAUSES), list(_CAUSES.values()))[0]:
            case "kill":
                self._host.kill(process)
            case "freeze":
                process.goes_on_at = now + (self._lease_of(process) or self._some_time())
                self._host.tell(f"{process} stands still")
            case "stall":
                self._stall(process)
            case "cut off":
                process.is_reached_at = now + self._some_time()
                self._host.tell(f"{process} does not reach the store")
            case "stop" if process.on_stop is not None:
                self._host.tell(f"{process} is asked to stop")
                process.on_stop()
            case "sleep":
                self._host.scheduler.now += round(self._some_time())
                self._host.tell("the whole machine stood still")
            case "clock":
                self._host.ahead = self._chance.choice([-HOUR, 0, HOUR])
                self._host.tell(f"the wall clock is {self._host.ahead / HOUR:+g} h ahead")

    def _stall(self, process: Process) -> None:
        """One thread stands still; a heartbeat is as likely as all the others."""
        threads = self._host.scheduler.threads_of(process)
        heartbeats = [thread for thread in threads if thread.name == "taskmill-heartbeat"]
        thread = self._chance.choice(self._chance.choice([threads, heartbeats or threads]))
        thread.goes_on_at = self._host.monotonic() + (self._lease_of(process) or self._some_time())
        self._host.tell(f"{thread.name} of {process} stands still")

    def _lease_of(self, process: Process) -> float:
        """Now and then until a moment when it is just taken for dead; else 0."""
        ends = [lease.until for lease in self._host.leases.values() if lease.owner is process]
        left = max(ends, default=0) - self._host.monotonic()
        is_chosen = left > 0 and self._chance.random() < 0.4
        return left + self._chance.uniform(0, 0.3) * SECOND if is_chosen else 0.0

    def _some_time(self) -> float:
        """Often shorter than a lease, often longer."""
        return self._chance.uniform(0.1, 2.5) * self._lease * SECOND
