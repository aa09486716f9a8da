"""When the write-ahead log is folded into the database, and how: guarded, and only when it is long.

After a checkpoint SQLite writes the log again from its beginning and leaves the file as long as it was, up to a
limit. That is wanted (a durable commit into a file that need not grow took half the time), so the file's size says
nothing: its frames do. Each frame carries the salt of the generation of the log that it belongs to
(sqlite.org/walformat.html).
"""

from __future__ import annotations

import os
import sqlite3
import struct
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Up to here the log may grow; a drain at full speed gets there a few times a second.
LOG_LIMIT = 8 * 1024 * 1024
# While a reader keeps an old generation alive the log goes on growing, and each such step is worth one more try.
_STEP = LOG_LIMIT // 8
# Of a file that a reader, or a process that stood still, has let grow: to that it is cut when the log begins anew.
LONGEST_FILE = 2 * LOG_LIMIT

_LOG_HEADER = struct.Struct(">8xI4x8s8x")
_FRAME_HEADER = struct.Struct(">8x8s8x")


class Unreached(NamedTuple):
    """The frame at *size* bytes when the log did not reach it: while that is there, it still does not."""

    size: int
    place: int
    frame: bytes


class Checkpoints:
    """Looks after the log of one file; used by one thread at a time."""

    def __init__(self, database: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._log = database.with_name(database.name + "-wal")
        self._connect = connect
        self._descriptor: int | None = None
        self._limit = LOG_LIMIT
        self._unreached: Unreached | None = None

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Fold the log in if it is long. Trouble is no error of the commit: a later one tries again."""
        try:
            if self._reaches(self._limit):
                self._limit += _STEP
                _checkpoint(connection, self._connect)
            elif self._limit > LOG_LIMIT and not self._reaches(LOG_LIMIT):
                self._limit = LOG_LIMIT
        except (OSError, sqlite3.Error):
            return

    def close(self) -> None:
        self._unreached = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _reaches(self, size: int) -> bool:
        """Whether the frame at *size* bytes belongs to the log as it is now."""
        if self._descriptor is None:
            # Unlike the database and its -shm, the log carries no locks that closing it would drop.
            self._descriptor = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        known = self._unreached
        if (
            known is not None
            and known.size == size
            and os.pread(self._descriptor, _FRAME_HEADER.size, known.place) == known.frame
        ):
            return False
        header = os.pread(self._descriptor, _LOG_HEADER.size, 0)
        if len(header) < _LOG_HEADER.size:
            return False
        page_size, generation = _LOG_HEADER.unpack(header)
        frame_size = _FRAME_HEADER.size + page_size
        place = _LOG_HEADER.size + size // frame_size * frame_size
        frame = os.pread(self._descriptor, _FRAME_HEADER.size, place)
        if len(frame) == _FRAME_HEADER.size and _FRAME_HEADER.unpack(frame) == (generation,):
            return True
        self._unreached = Unreached(size, place, frame)
        return False


def in_use(log: Path) -> int:
    """How many bytes of the log belong to its present generation; 0 where there is none."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        header = os.pread(descriptor, _LOG_HEADER.size, 0)
        if len(header) < _LOG_HEADER.size:
            return 0
        page_size, generation = _LOG_HEADER.unpack(header)
        frame_size = _FRAME_HEADER.size + page_size

        def is_older(number: int) -> bool:
            frame = os.pread(descriptor, _FRAME_HEADER.size, _LOG_HEADER.size + number * frame_size)
            return len(frame) < _FRAME_HEADER.size or _FRAME_HEADER.unpack(frame) != (generation,)

        # The present frames come first, and behind them those that they have not overwritten yet.
        frames = (os.fstat(descriptor).st_size - _LOG_HEADER.size) // frame_size
        return int(bisect_left(range(frames), x=True, key=is_older) * frame_size)
    finally:
        os.close(descriptor)


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
