"""One seed, from the first process to the verdict."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from simulation.faults import Faults
from simulation.host import Host
from simulation.programs import Site
from simulation.replaced import replaced
from simulation.rules import what_is_left
from simulation.witness import Violation, Witness
from simulation.world import World
from taskmill._storage.sqlite import opening

# So many turns go by with faults; then the program has so many to end what it owes.
STEPS = 900
_HEALING = 12_000
# How often is looked whether it has.
_LOOK = 20
# Power cuts are not what this is about, and a disk is slow.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  (a folder of its own is made in it)


class Verdict(NamedTuple):
    """What came of a seed; *violation*: the promise that was broken, None if none was."""

    seed: int
    violation: str | None
    turns: int

    def __str__(self) -> str:
        return f"seed {self.seed}, turn {self.turns}: {self.violation or 'all promises were kept'}"


def simulate(seed: int, *, steps: int = STEPS, tell: Callable[[str], None] | None = None) -> Verdict:
    """Run *seed*, for *steps* turns with faults; *tell* is called with everything that happens."""
    with _store() as (path, connection), _silent_log():
        simulation = Simulation(Random(seed), path, connection, tell)  # noqa: S311  (reproducible, no secret)
        violation = None
        try:
            simulation.run(steps)
        except Violation as error:
            violation = str(error)
        return Verdict(seed, violation, simulation.host.scheduler.turns)


class Simulation:
    """One machine with its store and all who use it."""

    def __init__(
        self,
        chance: Random,
        path: Path,
        connection: sqlite3.Connection,
        tell: Callable[[str], None] | None,
    ) -> None:
        lease = chance.choice([1.5, 3.0])
        self.host = Host(chance, tell)
        self._witness = Witness(self.host, connection)
        self._faults = Faults(chance, self.host, lease)
        self._world = World(self.host, self._faults, self._witness, path)
        self._site = Site(self._world, lease)
        self.host.on_death = self._witness.note_death

    def run(self, steps: int) -> None:
        """Raise Violation as soon as a promise is broken."""
        with replaced(self._world):
            try:
                self._site.open()
                for _ in range(steps):
                    self._faults.at_a_turn()
                    self._step()
                self._heal()
            finally:
                self.host.end()

    def _step(self) -> None:
        self.host.step()
        for error in (self._witness.violation, self.host.scheduler.error):
            if error is not None:
                raise error

    def _heal(self) -> None:
        """Without any more faults, all that is owed comes to its end."""
        self._site.is_closing = True
        self._faults.cease()
        left = ""
        for turn in range(_HEALING):
            self._step()
            if turn % _LOOK == 0 and not (left := what_is_left(self._witness)):
                return
        raise Violation(f"{left}, long after the last fault")


@contextmanager
def _store() -> Iterator[tuple[Path, sqlite3.Connection]]:
    """An empty store, and a connection to it that is nobody's."""
    with TemporaryDirectory(prefix="taskmill-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "jobs.db"
        with closing(opening.open_store(path, "normal", time.monotonic() + 5)) as connection:
            yield path, connection


@contextmanager
def _silent_log() -> Iterator[None]:
    """What is logged belongs to processes that are none."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
