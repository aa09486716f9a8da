"""From where a store is to be, to an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simulation.stores.base import Store
from simulation.stores.postgres import postgres_store
from simulation.stores.sqlite import sqlite_store

# No URL: each seed has a file of its own.
SQLITE = "sqlite"


@contextmanager
def empty_store(place: str) -> Iterator[Store]:
    """The store of that server, emptied, or one in a new file."""
    if place == SQLITE:
        with sqlite_store() as store:
            yield store
    else:
        with postgres_store(place) as store:
            yield store
