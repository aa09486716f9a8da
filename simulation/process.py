"""A process of the simulated machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

from taskmill._core.job import Executor


class Request(NamedTuple):
    """What a turn asks for; when it began there were so many `looks`, and the wall clock was so far `ahead`."""

    session: int
    claim: int
    wants: Mapping[Executor, int]
    queues: Collection[str] | None
    looks: int
    wall: int
    ahead: int


class Closable(Protocol):
    """A file, or a connection."""

    def close(self) -> None:
        """Let go of it; once more does nothing."""
        ...


# The one that nothing happens to.
INIT = "init"


class Process:
    """It lives until it is killed or its program ends; it stands still until `goes_on_at`.

    Until `is_reached_at` no call of the store comes through. `on_stop` is what SIGTERM does.
    """

    def __init__(self, pid: int, name: str, parent: Process | None) -> None:
        self.pid = pid
        self.name = name
        self.parent = parent
        self.is_alive = True
        self.status: int | None = None
        self.goes_on_at = -math.inf
        self.is_reached_at = -math.inf
        self.on_stop: Callable[[], None] | None = None
        # What the system closes when it is dead.
        self.open: set[Closable] = set()
        # The turn that it is in the middle of.
        self.request: Request | None = None

    @property
    def identity(self) -> str:
        """A name that no other process has."""
        return f"{self.pid}:{self.name}"

    def has_ended(self) -> bool:
        return not self.is_alive

    def __str__(self) -> str:
        return f"{self.name} {self.pid}"
