"""From where a store is to be, to an empty one."""

from __future__ import annotations

from contextlib import AbstractContextManager

from simulation.stores.base import Store
from simulation.stores.postgres import postgres_store
from simulation.stores.redis import redis_store
from simulation.stores.sqlite import sqlite_store

# No URL: each seed has a file of its own.
SQLITE = "sqlite"


def empty_store(place: str) -> AbstractContextManager[Store]:
    """The store of that server, emptied, or one in a new file."""
    if place == SQLITE:
        return sqlite_store()
    if place.startswith("redis:"):
        return redis_store(place)
    return postgres_store(place)
