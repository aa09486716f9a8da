"""What Linux tells of a file: who has it open, who has locked which of its bytes. Elsewhere nobody does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_GONE = " (deleted)"


class OpenFile(NamedTuple):
    """A file that a process has open, by the name that it was opened under; `is_gone`: it was removed or replaced."""

    path: str
    is_gone: bool
    is_read_only: bool


class Lock(NamedTuple):
    """A POSIX lock on the bytes from *first* to *last* (None: to the end)."""

    pid: int
    is_exclusive: bool
    first: int
    last: int | None

    def covers(self, byte: int) -> bool:
        return self.first <= byte and (self.last is None or byte <= self.last)


def open_files(prefix: str) -> Mapping[int, Sequence[OpenFile]] | None:
    """By process, the open files with a path that begins so; None where the system does not tell.

    Processes of other users are seen by root only.
    """
    try:
        pids = [int(entry) for entry in os.listdir(_PROC) if entry.isdecimal()]  # noqa: PTH208  (thousands of them)
    except OSError:
        return None
    found = {pid: list(_open_files(pid, prefix)) for pid in pids}
    return {pid: files for pid, files in found.items() if files} if pids else None


def _open_files(pid: int, prefix: str) -> Iterator[OpenFile]:
    # It may be another user's, or end at any moment.
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            with suppress(OSError):
                # Not by looking at the file itself: on a network that is away, that would hang.
                path = os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115
                if path.startswith(prefix):
                    is_gone = path.endswith(_GONE)
                    yield OpenFile(path.removesuffix(_GONE), is_gone, _is_read_only(pid, number))


def _is_read_only(pid: int, number: str) -> bool:
    info = Path(f"/proc/{pid}/fdinfo/{number}").read_text(encoding="ascii")
    flags = next(line.split()[1] for line in info.splitlines() if line.startswith("flags:"))
    return int(flags, 8) & os.O_ACCMODE == os.O_RDONLY


def program_of(pid: int) -> str:
    """The name of the program that a process runs; "?" where it cannot be told."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="backslashreplace").strip()
    except OSError:
        return "?"


def locks(path: Path) -> Iterator[Lock]:
    """Who has locked bytes of the file; nobody where the system does not tell."""
    try:
        inode = str(path.stat().st_ino)
        lines = (_PROC / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 2747 fe:00:131 120 120
        fields = line.split()
        # Who waits for a lock has "->" there.
        if fields[1] == "POSIX" and fields[5].rpartition(":")[2] == inode:
            last = None if fields[7] == "EOF" else int(fields[7])
            yield Lock(int(fields[4]), fields[3] == "WRITE", int(fields[6]), last)
