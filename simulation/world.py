"""What all parts of one simulation share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulation.faults import Faults
from simulation.host import Host
from simulation.witness import Witness


@dataclass(frozen=True, slots=True)
class World:
    """The machine, what goes wrong on it, who watches, and the file of the store."""

    host: Host
    faults: Faults
    witness: Witness
    path: Path
