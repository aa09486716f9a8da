from __future__ import annotations

import threading

import pytest

from taskmill._app.kept import Kept
from taskmill.errors import StoreUnavailable


class Maker:
    """Makes 1, 2, 3, ...; each takes so long, by a clock of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 100.0
        self.made = 0
        self.is_broken = False

    def __call__(self) -> int:
        if self.is_broken:
            raise StoreUnavailable("it is gone")
        self.made += 1
        self.now += self.seconds
        return self.made

    def kept(self, rest: float = 0.0) -> Kept[int]:
        return Kept(self, rest=rest, clock=lambda: self.now)


def test_what_is_cheap_is_made_whenever_it_is_asked_for() -> None:
    maker = Maker(0.01)
    kept = maker.kept()

    assert [kept.get() for _ in range(3)] == [1, 2, 3]


def test_what_seldom_changes_is_made_seldom() -> None:
    maker = Maker(0.01)
    kept = maker.kept(rest=25)

    seen = []
    for _ in range(7):
        seen.append(kept.get())
        maker.now += 10

    assert seen == [1, 1, 1, 2, 2, 2, 3]


def test_what_is_dear_is_made_for_a_twentieth_of_the_time() -> None:
    maker = Maker(0.2)
    kept = maker.kept()

    seen = []
    for _ in range(100):
        seen.append(kept.get())
        maker.now += 0.1

    assert maker.made == pytest.approx(100 * 0.1 / (20 * 0.2), abs=1)
    assert seen == sorted(seen)


def test_nobody_waits_for_what_is_very_dear() -> None:
    maker = Maker(2)
    kept = maker.kept()
    assert kept.get() == 1
    maker.now += 40
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        go_on.wait(10)
        return maker()

    kept._make = slow
    assert [kept.get() for _ in range(3)] == [1, 1, 1]
    assert begun.wait(10)
    go_on.set()
    assert kept._maker is not None
    kept._maker.join(10)

    assert kept.get() == 2


def test_trouble_is_told_where_there_is_nothing_older() -> None:
    maker = Maker(2)
    kept = maker.kept()
    maker.is_broken = True
    with pytest.raises(StoreUnavailable):
        kept.get()
    maker.is_broken = False
    assert kept.get() == 1
    maker.is_broken = True
    maker.now += 100

    assert kept.get() == 1
    assert kept._maker is not None
    kept._maker.join(10)
    assert kept.get() == 1
