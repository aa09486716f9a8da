"""What SQLite's errors mean: some pass by waiting, the others are told in taskmill's words."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from taskmill.errors import NotAStore, StoreBusy, StoreError, StoreRefused, StoreUnavailable

T = TypeVar("T")

# What a statement raises: SQLite's own errors, and the driver's for values that do not fit in.
FAILURES = (sqlite3.Error, UnicodeError, OverflowError)

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# The bytes that are locked by whoever writes: of the -shm file (sqlite.org/walformat.html, section 2.3.2), or of the
# database itself where there is no write-ahead log (RESERVED_BYTE in SQLite's os.h).
_WAL_WRITE_LOCK = 120
_RESERVED_LOCK = 0x4000_0001


def patiently(step: Callable[[], T], deadline: float) -> T:
    """Repeat *step* while the database is busy, until the monotonic clock shows *deadline*.

    SQLite's own busy handler grows its waits, which starves whoever came first, and is not always asked.
    """
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if _primary_code(error) not in _BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(random.uniform(0.0002, 0.0008))  # noqa: S311  (spreads retries, no secret)


def translate(error: BaseException, path: Path, waited: float) -> StoreError:
    """The StoreError that says what *error* means for the caller."""
    match _primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(str(path), waited, _holder(path))
        case sqlite3.SQLITE_NOTADB:
            return NotAStore(f"{path} is not a SQLite database: move it away, or use another path")
        case sqlite3.SQLITE_CORRUPT:
            return NotAStore(f"{path} is damaged ({error}): restore it from a backup, or use another path")
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


def _primary_code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _holder(path: Path) -> str:
    """Who holds the write lock, as far as the system tells."""
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return "another connection"
    bytes_of = {
        _inode(path.with_name(path.name + "-shm")): _WAL_WRITE_LOCK,
        _inode(path): _RESERVED_LOCK,
    }
    for line in locks:
        # 1: POSIX  ADVISORY  WRITE 2747 fe:00:131 120 120
        fields = line.split()
        byte = bytes_of.get(fields[-3].rpartition(":")[2])
        if byte is not None and fields[3] == "WRITE" and _covers(fields[-2], fields[-1], byte):
            own = fields[4] == str(os.getpid())
            return "a transaction left open in this process" if own else f"process {fields[4]}"
    return "another connection"


def _inode(path: Path) -> str | None:
    try:
        return str(path.stat().st_ino)
    except OSError:
        return None


def _covers(first: str, last: str, byte: int) -> bool:
    return int(first) <= byte and (last == "EOF" or byte <= int(last))
