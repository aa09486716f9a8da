"""Several processes that run seeds, each process one after the other, each with a place for a store of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from multiprocessing.queues import SimpleQueue
from typing import Self

from simulation.run import Verdict, simulate

# So many seeds a process takes at a time.
_HANDFUL = 4
# What this process has, as one of a crew.
_own: list[str] = []


class Crew:
    """Fresh processes, one for each of *places*: a fork would take the threads of who starts them along by halves."""

    def __init__(self, places: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        left: SimpleQueue[str] = context.SimpleQueue()
        for place in places:
            left.put(place)
        self._pool = context.Pool(len(places), _take_place, (left,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def judge(self, seeds: Iterable[int], steps: int) -> Iterator[Verdict]:
        """The verdict on each of *seeds*, in their order."""
        return self._pool.imap(partial(_judge, steps), seeds, chunksize=_HANDFUL)


def _take_place(left: SimpleQueue[str]) -> None:
    _own.append(left.get())


def _judge(steps: int, seed: int) -> Verdict:
    return simulate(seed, steps=steps, place=_own[0])
