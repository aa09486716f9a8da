"""Where a process enters a store: others have their turn here, and something can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from simulation.process import Request
from simulation.world import World
from taskmill._storage.base import JobStore, Turn

T = TypeVar("T")


class Gate:
    """That of the process that makes it; *lost* is what it raises where a way leads nowhere."""

    def __init__(self, world: World, lost: Callable[[str], Exception]) -> None:
        self.process = world.host.scheduler.process
        self._world = world
        self._lost = lost

    def enter(self) -> None:
        """Give the turn away, and go on if the store can be reached."""
        self._world.host.scheduler.wait()
        self.require_way()

    def require_way(self) -> None:
        """Raise where the store cannot be reached."""
        self.require_life()
        if self._world.host.monotonic() < self.process.is_reached_at:
            raise self._lost("the store cannot be reached")

    def require_life(self) -> None:
        """End what goes on in a dead process."""
        self._world.host.scheduler.require_life(self.process)

    def commit(self, carry_out: Callable[[], T]) -> T:
        """Let the store carry out what is one transaction, and then the reply come back."""
        world = self._world
        world.faults.around_a_commit(self.process)
        self.enter()
        if delay := world.faults.delay():
            world.host.scheduler.wait(seconds=delay)
        answer = carry_out()
        world.witness.look(self.process)
        # The reply is on its way.
        world.faults.around_a_commit(self.process)
        world.host.scheduler.wait()
        if world.faults.loses_reply(self.process):
            raise self._lost("the reply got lost")
        return answer


class NotedJobs:
    """The real ones; what a turn asks for is noted, so that it can be judged what it got."""

    def __init__(self, world: World, jobs: JobStore) -> None:
        self._world = world
        self._jobs = jobs

    def turn(self, session: int, *arguments: Any, **options: Any) -> Turn:
        process, host = self._world.host.scheduler.process, self._world.host
        process.request = Request(
            session,
            options["claim"],
            options["wants"],
            options["queues"],
            self._world.witness.looks,
            host.wall(),
            host.ahead,
        )
        try:
            return self._jobs.turn(session, *arguments, **options)
        finally:
            process.request = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)
