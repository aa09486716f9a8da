"""One seed, from the first process to the verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

from simulation.faults import Faults
from simulation.host import Host
from simulation.programs import Site
from simulation.replaced import replaced
from simulation.rules import what_is_left
from simulation.stores.base import Store
from simulation.stores.places import SQLITE, empty_store
from simulation.witness import Violation, Witness
from simulation.world import World

# So many turns go by with faults; then the program has so many to end what it owes.
STEPS = 900
_HEALING = 12_000
# How often is looked whether it has.
_LOOK = 20


class Verdict(NamedTuple):
    """What came of a seed; *violation*: the promise that was broken, None if none was."""

    seed: int
    violation: str | None
    turns: int

    def __str__(self) -> str:
        return f"seed {self.seed}, turn {self.turns}: {self.violation or 'all promises were kept'}"


def simulate(
    seed: int, *, steps: int = STEPS, place: str = SQLITE, tell: Callable[[str], None] | None = None
) -> Verdict:
    """Run *seed*, for *steps* turns with faults; *tell* is called with everything that happens.

    *place*: the URL of a server whose store is emptied for it; else a file of its own.
    """
    with empty_store(place) as store, _silent_log():
        simulation = Simulation(Random(seed), store, tell)  # noqa: S311  (reproducible, no secret)
        violation = None
        try:
            simulation.run(steps)
        except Violation as error:
            violation = str(error)
        return Verdict(seed, violation, simulation.host.scheduler.turns)


class Simulation:
    """One machine with its store and all who use it."""

    def __init__(self, chance: Random, store: Store, tell: Callable[[str], None] | None) -> None:
        lease = chance.choice([1.5, 3.0])
        self.host = Host(chance, tell)
        self._witness = Witness(self.host, store)
        self._faults = Faults(chance, self.host, lease)
        self._world = World(self.host, self._faults, self._witness, store)
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
def _silent_log() -> Iterator[None]:
    """What is logged belongs to processes that are none."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
