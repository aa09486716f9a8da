"""Several processes that run seeds, each process one after the other, each with a place for a store of its own."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle
from multiprocessing.queues import SimpleQueue
from typing import NamedTuple, Self

from simulation.run import Verdict, simulate

# So many seeds a process takes at a time.
_HANDFUL = 4
# What this process has, as one of a crew.
_own: list[str] = []


class Station(NamedTuple):
    """What one of a crew is given: the place for its store, and a processor."""

    place: str
    processor: int


class Crew:
    """Fresh processes, one for each of *places*: a fork would take the threads of who starts them along by halves."""

    def __init__(self, places: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        left: SimpleQueue[Station] = context.SimpleQueue()
        for station in map(Station, places, cycle(_processors())):
            left.put(station)
        self._pool = context.Pool(len(places), _take_place, (left,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def judge(self, seeds: Iterable[int], steps: int) -> Iterator[Verdict]:
        """The verdict on each of *seeds*, in their order."""
        return self._pool.imap(partial(_judge, steps), seeds, chunksize=_HANDFUL)


def _processors() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]


def _take_place(left: SimpleQueue[Station]) -> None:
    station = left.get()
    _own.append(station.place)
    if sys.platform == "linux":
        # One of its threads runs at a time, and says when the next one may: on one processor, that is a third faster.
        os.sched_setaffinity(0, {station.processor})


def _judge(steps: int, seed: int) -> Verdict:
    return simulate(seed, steps=steps, place=_own[0])
