"""What all parts of one simulation share."""

from __future__ import annotations

from dataclasses import dataclass

from simulation.faults import Faults
from simulation.host import Host
from simulation.stores.base import Store
from simulation.witness import Witness


@dataclass(frozen=True, slots=True)
class World:
    """The machine, what goes wrong on it, who watches, and the store."""

    host: Host
    faults: Faults
    witness: Witness
    store: Store
