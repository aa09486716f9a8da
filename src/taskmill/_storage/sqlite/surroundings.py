"""What is to be said of the file itself: the SQLite that reads it, where it lies, who may read it, who has it open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from taskmill._core.finding import Finding, error, note, warning
from taskmill._core.wording import listed, sized
from taskmill._storage.process import boot_id, identity_of
from taskmill._storage.sqlite import filesystem, procfs
from taskmill._storage.sqlite.checkpoint import LOG_LIMIT, in_use
from taskmill._storage.sqlite.opening import Connection, Durability
from taskmill._storage.sqlite.procfs import OpenFile

# sqlite.org/wal.html, "the WAL-reset bug": the releases that have it, and from which patch on an older line has not.
_BUG_SINCE, _BUG_UNTIL = (3, 7, 0), (3, 51, 2)
_MENDED = {(3, 44): 6, (3, 50): 7}

# The bytes of the -shm file that a reader locks (sqlite.org/walformat.html, section 2.3.2).
_FIRST_READ_LOCK, _LAST_READ_LOCK = 123, 127

_LONG_LOG = 8 * LOG_LIMIT
_MUCH_FREE = 64 << 20
_LARGE_FILE = 1 << 30
_LITTLE_SPACE = 256 << 20
_GONE_WITH = {
    "overlay": "with its container, unless the folder is a volume",
    "aufs": "with its container, unless the folder is a volume",
    "tmpfs": "when the machine stops: it is in memory",
    "ramfs": "when the machine stops: it is in memory",
}


def has_reset_bug(version: tuple[int, int, int]) -> bool:
    """Whether that SQLite can damage a database when checkpoints race."""
    line, patch = version[:2], version[2]
    return _BUG_SINCE <= version <= _BUG_UNTIL and patch < _MENDED.get(line, patch + 1)


# --- the file


def of_file(path: Path, durability: Durability) -> Iterator[Finding]:
    """What is known without opening it."""
    yield from _sqlite_version()
    yield from _file_system(path)
    yield from _permissions(path)
    yield from _sizes(path)
    if durability == "normal":
        yield note(
            "durability",
            "durability=normal: a power cut may take the jobs of the last moments with it",
            "nothing, if that is wanted; without it in the URL each job is on disk when its enqueue returns",
        )
    if boot_id() == "unknown":
        yield note(
            "boot-id",
            "this system does not tell when it was started",
            "nothing; after a power cut, what was running waits for the end of its lease",
        )


def _sqlite_version() -> Iterator[Finding]:
    if has_reset_bug(sqlite3.sqlite_version_info):
        yield note(
            "sqlite-version",
            f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug (3.7.0 to 3.51.2): two checkpoints at once can "
            "damage a database",
            "nothing, while only taskmill opens the file: its checkpoints are guarded. 3.51.3 or later has no such bug",
        )


def _file_system(path: Path) -> Iterator[Finding]:
    kind = filesystem.kind_of(path)
    if kind in filesystem.NETWORK:
        yield error(
            "file-system",
            f"the file lies on a {kind} file system, where SQLite loses data when several processes write",
            "put it on a local disk",
        )
    elif kind in _GONE_WITH:
        yield note(
            "file-system",
            f"the file lies on a {kind} file system and is gone {_GONE_WITH[kind]}",
            "see to that",
        )
    elif kind and kind not in filesystem.LOCAL:
        yield warning(
            "file-system",
            f"the file lies on a {kind} file system, on which taskmill was never tried",
            "make sure that it is a local disk with locks and shared memory",
        )


def _permissions(path: Path) -> Iterator[Finding]:
    modes = {place: _mode(place) for place in [*_files(path), Path(f"{path}-sessions")]}
    readable = [place.name for place, mode in modes.items() if mode & stat.S_IROTH]
    writable = [place.name for place, mode in modes.items() if mode & stat.S_IWOTH]
    folder = _mode(path.parent)
    if writable:
        yield error(
            "permissions",
            f"every user of this host may write to {listed(writable)}, and so have any task run with any arguments",
            f"chmod -R o-rwx {path}*",
        )
    elif readable:
        yield warning(
            "permissions",
            f"every user of this host may read {listed(readable)}, with all arguments and results",
            f"chmod -R o-rwx {path}*",
        )
    if folder & stat.S_IWOTH and not folder & stat.S_ISVTX:
        yield warning(
            "folder-permissions",
            f"every user of this host may replace files in {path.parent}",
            f"chmod o-w {path.parent}",
        )


def _mode(place: Path) -> int:
    try:
        return place.stat().st_mode
    except OSError:
        return 0


def _files(path: Path) -> tuple[Path, Path, Path]:
    return path, Path(f"{path}-wal"), Path(f"{path}-shm")


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError:
        return 0


def _sizes(path: Path) -> Iterator[Finding]:
    _, log, shared = _files(path)
    used, size = in_use(log), _size(log)
    if used > _LONG_LOG:
        yield warning(
            "wal-size",
            f"the write-ahead log has {sized(used)} and cannot begin anew while somebody reads: {_readers(shared)}",
            "let programs that read the file end their transactions; taskmill reads in short ones",
        )
    elif size > _LONG_LOG:
        yield note(
            "wal-size",
            f"the file of the write-ahead log has {sized(size)}, of which {sized(used)} are in use",
            "nothing; it is removed when the last process closes the store",
        )
    free = _free(path.parent)
    if free is not None and free < _LITTLE_SPACE:
        yield warning(
            "disk-space", f"{sized(free)} are left on the disk", "make room: a full disk takes no jobs"
        )


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _readers(shared: Path) -> str:
    pids = {
        lock.pid
        for lock in procfs.locks(shared)
        if not lock.is_exclusive and _FIRST_READ_LOCK <= lock.first <= _LAST_READ_LOCK
    }
    return _named(sorted(pids)) if pids else "nobody at this moment, as far as can be seen"


# --- processes


def of_processes(path: Path, identities: Collection[str]) -> Iterator[Finding]:
    """Who has the file open; *identities* are the processes that have a session."""
    known = procfs.open_files(str(path))
    if known is None:
        yield note(
            "foreign-connections",
            "which processes have the file open is not known on this system",
            "nothing, while only taskmill opens it",
        )
        return
    names = {str(file) for file in _files(path)}
    holders = {pid: files for pid, files in known.items() if any(file.path in names for file in files)}
    removed = [pid for pid, files in holders.items() if any(f.is_gone for f in files if f.path in names)]
    foreign = [pid for pid, files in holders.items() if not _is_ours(path, pid, files, identities)]
    yield from _replaced(removed)
    yield from _foreign([pid for pid in foreign if pid not in removed])


def _is_ours(path: Path, pid: int, files: Sequence[OpenFile], identities: Collection[str]) -> bool:
    """Whether it is a process of taskmill, by its session, or by files that nobody else opens (like) this."""
    if pid == os.getpid() or identity_of(pid) in identities:
        return True
    sessions, log = f"{path}-sessions{os.sep}", f"{path}-wal"
    return any(file.path.startswith(sessions) or (file.path == log and file.is_read_only) for file in files)


def _replaced(pids: Sequence[int]) -> Iterator[Finding]:
    if pids:
        yield error(
            "replaced-file",
            f"{_named(pids)} {'works' if len(pids) == 1 else 'work'} on a file, or a log of it, that was removed or "
            "replaced: what is stored there is lost",
            "restart what that is; stop all programs before a file is put in the place of another",
        )


def _foreign(pids: Sequence[int]) -> Iterator[Finding]:
    if not pids:
        return
    who = "1 process has" if len(pids) == 1 else f"{len(pids)} processes have"
    found = f"{who} the file open without being taskmill's, as far as can be seen: {_named(pids)}"
    if has_reset_bug(sqlite3.sqlite_version_info):
        yield warning(
            "foreign-connections",
            f"{found}; checkpoints of others are not guarded against the bug of SQLite {sqlite3.sqlite_version}",
            "close them, or open the file read-only; a program that only reads results through taskmill does no harm",
        )
    else:
        yield note("foreign-connections", found, "nothing, if they read in short transactions")


def _named(pids: Sequence[int]) -> str:
    return listed([f"process {pid} ({procfs.program_of(pid)})" for pid in pids])


# --- the pages


def of_pages(connection: Connection) -> Iterator[Finding]:
    """What SQLite tells of the file."""
    settings = ("page_size", "page_count", "freelist_count", "journal_mode")
    size, pages, free, journal = (
        connection.execute(f"pragma {setting}").fetchone()[0] for setting in settings
    )
    if size * pages > _LARGE_FILE:
        yield note(
            "file-size",
            f"the file has {sized(size * pages)}",
            "nothing; what is no longer needed leaves sooner with a shorter result_ttl=",
        )
    if size * free > _MUCH_FREE and free * 4 > pages:
        yield note(
            "free-pages",
            f"{sized(size * free)} of {sized(size * pages)} are free inside the file",
            'nothing, new jobs use them; to give them back, stop all programs, then: sqlite3 FILE "vacuum"',
        )
    if journal != "wal":
        yield note(
            "journal-mode",
            f"the database, which another program made, has journal_mode={journal}: who reads and who writes wait for "
            "each other, and each commit takes longer",
            "give taskmill a file of its own, or set journal_mode=wal, if the other program can do with it",
        )
