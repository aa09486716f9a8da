"""What a simulation wants of a store."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from simulation.rows import Picture

if TYPE_CHECKING:
    from simulation.world import World


class Put(Protocol):
    """Replaces things of a module, by their names there."""

    def __call__(self, module: ModuleType, **things: Any) -> None:
        """Until the simulation is over."""
        ...


class Machine(NamedTuple):
    """What stands in the place of `threading`, `time` and `os`, and says who a process is and whether it is gone."""

    threading: SimpleNamespace
    time: SimpleNamespace
    os: SimpleNamespace
    process_identity: Callable[[], str]
    has_ended: Callable[[str], bool]


class Store(Protocol):
    """An empty store, and the witness's own way to it."""

    @property
    def url(self) -> str:
        """What a program's Mill is given."""
        ...

    def has_changed(self) -> bool:
        """Whether something was committed since it was asked last."""
        ...

    def picture(self) -> Picture:
        """What is committed now; nobody writes meanwhile."""
        ...

    def replace(self, world: World, machine: Machine, put: Put) -> None:
        """Let the adapter run on the simulated machine, with gates where it enters the store."""
        ...
