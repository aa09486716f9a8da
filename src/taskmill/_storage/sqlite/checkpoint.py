"""When the write-ahead log is folded into the database, and how: guarded, and only when it is long.

After a checkpoint SQLite writes the log again from its beginning and leaves the file as long as it was. That is
wanted (a durable commit into a file that need not grow took half the time), so the file's size says nothing: its
frames do. Each frame carries the salt of the generation of the log that it belongs to (sqlite.org/walformat.html).
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Up to here the log may grow; a drain at full speed gets there a few times a second.
LOG_LIMIT = 8 * 1024 * 1024
# While a reader keeps an old generation alive the log goes on growing, and each such step is worth one more try.
_STEP = LOG_LIMIT // 8

_LOG_HEADER = struct.Struct(">8xI4x8s8x")
_FRAME_HEADER = struct.Struct(">8x8s8x")


class Checkpoints:
    """Looks after the log of one file; used by one thread at a time."""

    def __init__(self, database: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._log = database.with_name(database.name + "-wal")
        self._connect = connect
        self._descriptor: int | None = None
        self._limit = LOG_LIMIT

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Fold the log in if it is long. Trouble is no error of the commit: a later one tries again."""
        with suppress(OSError, sqlite3.Error):
            if self._reaches(self._limit):
                self._limit += _STEP
                _checkpoint(connection, self._connect)
            elif self._limit > LOG_LIMIT and not self._reaches(LOG_LIMIT):
                self._limit = LOG_LIMIT

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _reaches(self, size: int) -> bool:
        """Whether the frame at *size* bytes belongs to the log as it is now."""
        if self._descriptor is None:
            # Unlike the database and its -shm, the log carries no locks that closing it would drop.
            self._descriptor = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        header = os.pread(self._descriptor, _LOG_HEADER.size, 0)
        if len(header) < _LOG_HEADER.size:
            return False
        page_size, generation = _LOG_HEADER.unpack(header)
        frame_size = _FRAME_HEADER.size + page_size
        frame = os.pread(
            self._descriptor, _FRAME_HEADER.size, _LOG_HEADER.size + size // frame_size * frame_size
        )
        return len(frame) == _FRAME_HEADER.size and _FRAME_HEADER.unpack(frame) == (generation,)


def _checkpoint(connection: sqlite3.Connection, connect: Callable[[], sqlite3.Connection]) -> None:
    """Copy the log into the database while the write lock is held, so that no commit can reset the log.

    SQLite 3.7.0 to 3.51.2 can corrupt the database when a checkpoint races with such a reset
    (sqlite.org/wal.html, "the WAL-reset bug").
    """
    connection.execute("begin immediate")
    try:
        checkpointer = connect()
        try:
            checkpointer.execute("pragma wal_checkpoint(passive)").fetchone()
        finally:
            checkpointer.close()
    finally:
        connection.execute("rollback")
