"""Several processes that run seeds, each process one after the other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Self

from simulation.run import Verdict, simulate

# So many seeds a process takes at a time.
_HANDFUL = 4


class Crew:
    """Fresh processes: a fork would take the threads of who starts them along by halves."""

    def __init__(self, size: int) -> None:
        self._pool = multiprocessing.get_context("spawn").Pool(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def judge(self, seeds: Iterable[int], steps: int) -> Iterator[Verdict]:
        """The verdict on each of *seeds*, in their order."""
        return self._pool.imap(partial(simulate, steps=steps), seeds, chunksize=_HANDFUL)
