"""What is measured, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bench.site import Numbers, Site

# Of no subject: a durable write, at once after another one and after a pause as the latencies have it.
SYNC, PAUSED_SYNC = "sync", "paused sync"
Better = Literal["higher", "lower"]
Lookup = Callable[[str], float | None]


class Target(NamedTuple):
    """A bound for a figure of taskmill: *factor* times what *of* names in the same run, and *plus*.

    *of* is empty, a sync, a subject (whose same figure is meant), or the key of another figure of taskmill.
    """

    factor: float
    of: str = ""
    plus: float = 0.0
    told: str = ""
    """What *of* is called in the table."""

    def bound(self, look_up: Lookup) -> float | None:
        """The bound in the unit of the figure; None where what it refers to was not measured."""
        base = look_up(self.of) if self.of else 1.0
        return None if base is None else self.factor * base + self.plus

    def __str__(self) -> str:
        if not self.of:
            return f"{self.factor:,g}"
        plus = f" + {self.plus:g}" if self.plus else ""
        return f"{self.factor:g} {self.told or self.of}{plus}"


class Figure(NamedTuple):
    """A row of the table: the number *name* of its measurement. Its title names the unit."""

    name: str
    title: str
    better: Better
    targets: tuple[Target, ...] = ()
    is_comparable: bool = True
    """Whether it means anything how many times better ours is."""

    def is_reached(self, target: Target, value: float, look_up: Lookup) -> bool | None:
        """Whether *value* keeps to *target*; None where that cannot be said."""
        bound = target.bound(look_up)
        if bound is None:
            return None
        return value >= bound if self.better == "higher" else value <= bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A function that measures one subject, and the figures that are made of the numbers it returns."""

    measure: Callable[[Site], Numbers]
    subjects: Collection[str]
    figures: tuple[Figure, ...]

    @property
    def name(self) -> str:
        return self.measure.__name__

    def key(self, figure: Figure) -> str:
        """What the figure is called outside of its measurement."""
        return f"{self.name}.{figure.name}"


Medians = Mapping[tuple[str, str], float]
"""Of a run: by subject and key of the figure."""
