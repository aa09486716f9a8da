"""Whether the files that a connection has open are still those that everybody else finds under their names.

SQLite does not look: what it commits into a file that was deleted or replaced meanwhile, nobody ever sees.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
from pathlib import Path

from taskmill.errors import StoreSevered, StoreUnavailable

_Inode = tuple[int, int]

# Databases whose log was deleted under this process. One set for the process: so are SQLite's locks and shared memory.
_severed: set[_Inode] = set()


class Moved(Exception):
    """What was written to is not the store any more: open it anew and do it again."""


class Anchor:
    """The database at *path* and its log as they are now: as a connection that was just opened has them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Strings, because the question is asked after each commit.
        self._names = str(path), f"{path}-wal"
        self._files = self._found()

    def holds(self) -> bool:
        """Whether both are in place; 3 us."""
        found = self._found()
        if found == self._files:
            return True
        if found[0] == self._files[0] and self._files[1] is None:
            # Another program's database has been given a log, while nobody read or wrote.
            self._files = found
            return True
        return False

    def check(self) -> None:
        """Raise Moved unless both are in place."""
        if not self.holds():
            raise Moved

    @property
    def is_there(self) -> bool:
        return self._files[0] is not None

    def is_same_file(self, other: Anchor) -> bool:
        return self._files[0] == other._files[0]

    def close(self, connection: sqlite3.Connection) -> None:
        """Close *connection*, unless that would harm what others have written since."""
        if self._is_severed():
            # The last one to close folds the log that it has open, and nobody else, into the database with which the
            # others went on. So it stays open, even at the end of the process.
            _severed.update(inode for inode in self._files[:1] if inode)
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        else:
            # Where the database itself is another one by now, SQLite sees that and leaves the log alone.
            connection.close()

    def check_successor(self) -> None:
        """Raise StoreUnavailable if there is nothing to go on with under the name of what was open before."""
        database, log = self._found()
        if database is None:
            raise StoreUnavailable(
                f"{self._path} is gone: it was deleted or moved away while this program had it open; "
                "put it back, or restart the program to begin with an empty store"
            )
        if database != self._files[0] and log is not None and log == self._files[1]:
            raise StoreUnavailable(
                f"{self._path} was replaced, and {self._path}-wal is still the log of the file that was there before: "
                "stop all programs that use the store, delete the files ending in -wal and -shm, and start them again"
            )

    def _is_severed(self) -> bool:
        return self._found()[0] == self._files[0] is not None and not self.holds()

    def _found(self) -> tuple[_Inode | None, _Inode | None]:
        database, log = self._names
        return _inode(database), _inode(log)


def check_usable(path: Path) -> None:
    """Raise StoreSevered if no connection of this process can do right any more."""
    if _severed and _inode(str(path)) in _severed:
        raise StoreSevered(
            f"{path}-wal was deleted while this program had it open: restart the program. It happens when a program "
            "itself opens and closes the file, to copy it for example: use `taskmill backup` for that"
        )


def _inode(name: str) -> _Inode | None:
    try:
        status = os.stat(name)  # noqa: PTH116  (twice as fast as Path.stat)
    except OSError:
        return None
    return status.st_dev, status.st_ino
