"""The demo's file: an earlier demo's may be replaced, and nothing else of the user's may be harmed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, unquote

from taskmill.errors import ConfigurationError

_SQLITE = b"SQLite format 3\0"
# No task has such a name by itself: neither modules nor functions have a colon in theirs.
_OWN_TASKS = "demo:"

_SESSION_FILES = {".lock", ".lease", ".bell", ".asks"}


def url_of(file: Path) -> str:
    """The store's URL."""
    return f"sqlite:///{quote(str(file))}"


def file_of(url: str) -> Path:
    """The way back."""
    return Path(unquote(url.removeprefix("sqlite:///")))


def clear(file: Path) -> None:
    """Make room for a new demo; ConfigurationError where something else, or somebody at work, is in the way."""
    if not os.path.lexists(file):
        return
    try:
        obstacle = _obstacle(file)
    except (OSError, sqlite3.Error) as error:
        obstacle = f"cannot be read as that of an earlier demo ({error})"
    if obstacle:
        raise ConfigurationError(f"{file} {obstacle}; it is left alone: name another file with --file PATH")
    _remove(file)


def _obstacle(file: Path) -> str | None:
    """What speaks against replacing it."""
    if file.is_symlink() or not file.is_file():
        return "is no regular file"
    with file.open("rb") as opened:
        if opened.read(len(_SQLITE)) != _SQLITE:
            return "is no SQLite database"
    # Without a log nobody has it open; and then immutable leaves no empty log beside the file of somebody else.
    mode = "mode=ro" if _beside(file, "-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True)) as connection:
        return _foreign_content(connection) or _user(file)


def _foreign_content(connection: sqlite3.Connection) -> str | None:
    """What it holds that no demo has put there."""
    tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
    foreign = [name for name in tables if not name.startswith(("taskmill_", "sqlite_"))]
    if foreign:
        return f"holds a table of somebody else, {foreign[0]}"
    if "taskmill_job" not in tables:
        return "is no taskmill store"
    names = [name for (name,) in connection.execute("select distinct task from taskmill_job")]
    foreign = [name for name in names if not name.startswith(_OWN_TASKS)]
    if foreign:
        return f"holds jobs of somebody else, of the task {foreign[0]}"
    return None if names else "holds no jobs that would show that it is an earlier demo's"


def _user(file: Path) -> str | None:
    """A process that works with it; each holds the lock of a session file beside it."""
    for lock in _beside(file, "-sessions").glob("*.lock"):
        with lock.open("rb") as opened:
            try:
                fcntl.lockf(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return "is in use by a demo or a worker that is running"
    return None


def _remove(file: Path) -> None:
    folder = _beside(file, "-sessions")
    sessions = [path for path in folder.glob("*") if path.suffix in _SESSION_FILES]
    for path in (file, _beside(file, "-wal"), _beside(file, "-shm"), *sessions):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)
