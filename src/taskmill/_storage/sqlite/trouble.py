"""What SQLite's errors mean: some pass by waiting, the others are told in taskmill's words."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from taskmill._storage.sqlite import procfs
from taskmill.errors import NotAStore, StoreBusy, StoreError, StoreRefused, StoreUnavailable

T = TypeVar("T")

# What a statement raises: SQLite's own errors, and the driver's for values that do not fit in.
FAILURES = (sqlite3.Error, UnicodeError, OverflowError)

# Seconds between two tries: at first, and after 0.0015 * 100 = 150 ms of waiting. Sooner, and all of twenty processes
# ask all the time: with 0.1 ms after 19 ms they left no processor to who had the lock, and some waited for 20 s.
_FIRST_PAUSE, _SHORTEST_PAUSE, _HURRY = 0.002, 0.0005, 100

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# The bytes that are locked by whoever writes: of the -shm file (sqlite.org/walformat.html, section 2.3.2), or of the
# database itself where there is no write-ahead log (RESERVED_BYTE in SQLite's os.h).
_WAL_WRITE_LOCK = 120
_RESERVED_LOCK = 0x4000_0001


def patiently(step: Callable[[], T], deadline: float) -> T:
    """Repeat *step* while the database is busy, until the monotonic clock shows *deadline*.

    SQLite's own busy handler grows its waits, which starves whoever came first, and is not always asked. Here it is the
    other way round: the longer somebody has waited, the more often it asks, so it is most likely the next.
    """
    since = time.monotonic()
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            if _primary_code(error) not in _BUSY or now >= deadline:
                raise
        pause = max(_SHORTEST_PAUSE, _FIRST_PAUSE - (now - since) / _HURRY)
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  (spreads retries, no secret)


def translate(error: BaseException, path: Path, waited: float) -> StoreError:
    """The StoreError that says what *error* means for the caller."""
    match _primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(str(path), waited, _holder(path))
        case sqlite3.SQLITE_NOTADB:
            return NotAStore(f"{path} is not a SQLite database: move it away, or use another path")
        case sqlite3.SQLITE_CORRUPT:
            return NotAStore(
                f"{path} is damaged ({error}): stop all programs and restore a backup, see docs/operations.md, "
                "or use another path"
            )
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(f"the disk that holds {path} is full: make room, then try again")
        case sqlite3.SQLITE_READONLY:
            return StoreUnavailable(f"{path} is read-only: make it and its folder writable for this user")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreUnavailable(
                f"{path} cannot be opened: check that this user may read and write it and its folder"
            )
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable(f"reading or writing {path} failed ({error}): check the disk")
        case _ if isinstance(error, sqlite3.OperationalError):
            return StoreUnavailable(f"{path}: {error}")
        case _:
            return StoreRefused(f"{path} cannot hold this value: {error}")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether what was read is no sound database."""
    return _primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _primary_code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _holder(path: Path) -> str:
    """Who holds the write lock, as far as the system tells."""
    for file, byte in (
        (path.with_name(path.name + "-shm"), _WAL_WRITE_LOCK),
        (path, _RESERVED_LOCK),
    ):
        for lock in procfs.locks(file):
            if lock.is_exclusive and lock.covers(byte):
                own = lock.pid == os.getpid()
                return "a transaction left open in this process" if own else f"process {lock.pid}"
    return "another connection"
