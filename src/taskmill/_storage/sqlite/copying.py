"""A backup: copied in one step under the name of a part, brought to rest, checked, and only then given its name."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from taskmill._storage.base import Backup, Violation
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite import filesystem, opening, verification
from taskmill._storage.sqlite.changes import Changes
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.sessions import SqliteSessions
from taskmill.errors import BackupFailed

SQL = Queries("taskmill._storage.sqlite", "copying.sql")

# More than a job is claimed, and a lock taken, between a backup and the day that it is needed.
_FENCE_LEAP, _TOKEN_LEAP = 1_000_000, 1_000_000_000_000
_COMPANIONS = ("-wal", "-shm", "-journal")


def _is_database(path: Path) -> bool:
    """Whether it may be an earlier copy: a file that begins as a database does, or an empty one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16) in (b"", b"SQLite format 3\0")


class Copy:
    """The way from the store at *source* to *target*; *now* is when."""

    def __init__(self, source: Path, target: Path, now: int) -> None:
        self._source = source
        self._target = Path(os.path.realpath(target))
        self._part = self._target.with_name(f".{self._target.name}.{secrets.token_hex(6)}.part")
        self._now = now

    def check(self, *, replace: bool) -> None:
        """Raise BackupFailed where *target* is no place for it."""
        with self._trouble_told():
            self._check(replace=replace)

    def _check(self, *, replace: bool) -> None:
        target = self._target
        if target in _family(self._source) or (target.exists() and target.samefile(self._source)):
            raise BackupFailed(f"{target} is the store itself: name another file")
        if target.is_dir():
            raise BackupFailed(f"{target} is a folder: name a file in it, for example {target}/jobs.db")
        if not target.parent.is_dir():
            raise BackupFailed(f"there is no folder {target.parent}: make it first")
        if target.exists() and not replace:
            raise BackupFailed(f"{target} is there already: name another file, or add --force to replace it")
        if target.exists() and not _is_database(target):
            raise BackupFailed(
                f"{target} is no SQLite database, and so no backup to be replaced: name another file"
            )
        for companion in _family(target)[1:]:
            if companion.exists():
                raise BackupFailed(
                    f"{companion} lies there, so {target} is, or was, a store in use: name another file, or remove "
                    f"{companion.name} if no program has it open"
                )

    def make(self, live: Connection) -> Backup:
        """Copy what *live* reads now."""
        with self._trouble_told():
            try:
                os.close(os.open(self._part, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                with closing(sqlite3.connect(self._part, isolation_level=None)) as part:
                    self._fill(part, live)
                    [jobs] = part.execute(SQL.count).fetchone()
                    broken = self._verified(part)
                size = self._part.stat().st_size
                self._place()
            finally:
                for file in _family(self._part):
                    file.unlink(missing_ok=True)
        return Backup(self._target, size, jobs, broken)

    def _fill(self, part: Connection, live: Connection) -> None:
        part.text_factory = opening.LENIENT
        # A job that the tables forbid is told of, and keeps nobody from having a copy.
        part.execute("pragma ignore_check_constraints = 1")
        part.execute("pragma synchronous = off")
        # All pages in one step: in several, the copy would begin anew after each commit of another process.
        live.backup(part)
        # What is not finished is thrown away, so nothing is kept for undoing it.
        [journal] = part.execute("pragma journal_mode").fetchone()
        part.execute("pragma journal_mode = off").fetchone()
        part.execute("begin immediate")
        self._bring_to_rest(part)
        part.execute("commit")
        part.execute(f"pragma journal_mode = {journal}").fetchone()

    def _bring_to_rest(self, part: Connection) -> None:
        changes = Changes(part, self._now)
        for [session] in part.execute(SQL.sessions).fetchall():
            changes.take_back(session, "rescued")
            SqliteSessions.remove(part, session)
        part.execute(SQL.leap_fences, {"leap": _FENCE_LEAP})
        part.execute(SQL.begin_tokens)
        part.execute(SQL.leap_tokens, {"leap": _TOKEN_LEAP})

    def _verified(self, part: Connection) -> Sequence[Violation]:
        """The rules that the copy breaks; BackupFailed if it is no sound database."""
        broken = verification.violations(part)
        if any(violation.rule == "integrity" for violation in broken):
            raise BackupFailed(
                f"{self._source} is damaged, and so would be the copy: see taskmill doctor --verify"
            )
        return broken

    def _place(self) -> None:
        filesystem.sync(self._part)
        self._part.replace(self._target)
        filesystem.sync(self._target.parent)

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BackupFailed(f"{self._target} cannot be written: {error.strerror}") from error
        except sqlite3.Error as error:
            raise BackupFailed(f"the copy to {self._target} failed: {error}{_hint(error)}") from error


def _family(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in _COMPANIONS)]


def _hint(error: sqlite3.Error) -> str:
    is_full = error.sqlite_errorcode in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}
    return "; make room in its folder" if is_full else ""
