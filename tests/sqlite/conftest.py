"""The SQLite adapter by itself: files, locks, processes; what it stores is the conformance suite's business."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskmill._storage.sqlite.storage import SqliteStorage
from tests.sqlite.children import Child, Spawn

OpenStore = Callable[..., SqliteStorage]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[OpenStore]:
    """Makes stores on the same file, and closes them in the end."""
    opened: list[SqliteStorage] = []

    def one_more(place: Path | str = path, **options: Any) -> SqliteStorage:
        opened.append(SqliteStorage(place, **options))
        return opened[-1]

    yield one_more
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> SqliteStorage:
    return open_store(durability="normal")


@pytest.fixture
def spawn(path: Path) -> Iterator[Spawn]:
    """Starts children on the same file; those that are left in the end are killed."""
    children: list[Child] = []

    def start(program: str, *arguments: str, place: Path = path, **options: Any) -> Child:
        children.append(Child(program, place, *arguments, **options))
        return children[-1]

    yield start
    for child in children:
        child.signal(signal.SIGCONT)
        child.kill()
