"""From a path to a connection that is ready for work: the place, the file, its settings, its schema."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

from taskmill._core.wording import listed
from taskmill._storage.sqlite import filesystem, schema
from taskmill._storage.sqlite.checkpoint import LONGEST_FILE
from taskmill._storage.sqlite.trouble import patiently
from taskmill.errors import NotAStore, StoreUnavailable

Connection = sqlite3.Connection
Durability = Literal["full", "normal"]

# Keeps the bytes of a damaged text, where Python's own way refuses the whole row and all that come after it.
LENIENT = partial(str, encoding="utf-8", errors="surrogateescape")
# RETURNING came with 3.35, STRICT tables with 3.37.
_OLDEST_SQLITE = (3, 37, 0)


def connect(path: Path, durability: Durability) -> Connection:
    """A connection to the file as it is. It never waits for others; already this can find the database busy."""
    connection = sqlite3.connect(
        path,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    with _closed_on_failure(connection):
        connection.execute("pragma wal_autocheckpoint = 0")
        connection.execute(f"pragma journal_size_limit = {LONGEST_FILE}")
        connection.execute("pragma cache_size = -16384")
        connection.execute(f"pragma synchronous = {durability}")
    return connection


def look(path: Path, timeout: float) -> Connection:
    """A connection that only reads, to a store that is there; it makes nothing and migrates nothing."""
    try:
        is_there = path.exists()
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be reached: {error.strerror}") from error
    if not is_there:
        raise StoreUnavailable(f"there is no store at {path}: name one with --url, or enqueue a first job")
    # A log that is there stays as it is: the last connection that may write folds it in when it is closed. Where there
    # is none, one that may not write would leave an empty one behind.
    mode = "ro" if path.with_name(path.name + "-wal").exists() else "rw"
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    with _closed_on_failure(connection):
        connection.execute("pragma query_only = 1")
        # In "ro" SQLite does not know of the tables' checks; what it finds is not to depend on the mode.
        connection.execute("pragma ignore_check_constraints = 1")
        schema.check(connection, str(path))
        if not schema.version(connection):
            raise NotAStore(
                f"{path} holds {_contents(connection)}, and no jobs: look whether the URL is right"
            )
    return connection


def _contents(connection: Connection) -> str:
    tables = connection.execute(
        "select name from sqlite_master where type = 'table' order by name"
    ).fetchall()
    return f"tables of another program ({listed([name for [name] in tables])})" if tables else "nothing"


def grew_lenient(connection: Connection, error: Exception) -> bool:
    """Whether *error* is about a damaged text, and what raised it may be repeated: texts keep their bytes from now on.

    That takes twice the time for a text, so only from the first damaged one on.
    """
    if (
        "decode to UTF-8" not in str(error)
        or not isinstance(error, sqlite3.Error)
        or connection.text_factory is not str
    ):
        return False
    connection.text_factory = LENIENT
    return True


def open_store(path: Path, durability: Durability, deadline: float) -> Connection:
    """A connection to a store that is there, with the newest schema, when this returns."""
    _prepare_place(path)
    return patiently(lambda: _set_up(path, durability), deadline)


def _prepare_place(path: Path) -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreUnavailable(
            f"this Python has SQLite {sqlite3.sqlite_version}, taskmill needs 3.37 or newer: use a newer Python"
        )
    if os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises where a folder may not be looked into)
        raise StoreUnavailable(f"{path} is a folder: name a file in it, for example sqlite:///{path}/jobs.db")
    try:
        _make_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"the folder {path.parent} cannot be made: {error.strerror}; make it, or use another path"
        ) from error
    filesystem.check(path)
    _make_private(path)


def _make_folder(folder: Path) -> None:
    """Make it and what is missing above it, for its owner alone, so that a power cut does not undo that."""
    missing = [each for each in (folder, *folder.parents) if not os.path.exists(each)]  # noqa: PTH110  (never raises)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for made in missing:
        # SQLite syncs only the folder in which its files are made.
        with suppress(OSError):
            filesystem.sync(made.parent)


def _make_private(path: Path) -> None:
    """Make the file, if it is not there, so that only its owner may read it; its companions follow it in that."""
    try:
        # Not by opening it: to close it again would drop the locks that a connection of this process may have by then.
        os.mknod(path, 0o600)
    except PermissionError:
        # For users of some systems that is forbidden, and there is no other way.
        with suppress(OSError):
            path.touch(0o600, exist_ok=False)
    except OSError:
        # It is there already, or SQLite will say why it cannot be.
        return


def _set_up(path: Path, durability: Durability) -> Connection:
    """Make the file a store; what is done already stays so when this is repeated."""
    connection = connect(path, durability)
    with _closed_on_failure(connection):
        if _is_empty(connection):
            connection.execute("pragma journal_mode = wal").fetchone()
        if durability == "full" and not _has_log(connection):
            # Another program's file. Without a write-ahead log FULL does not sync the folder, so that after a power cut
            # the journal may be back and undo what was committed.
            connection.execute("pragma synchronous = extra")
        schema.check(connection, str(path))
        if schema.version(connection) < schema.known_version():
            _migrate(connection, path)
    return connection


@contextmanager
def _closed_on_failure(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _is_empty(connection: Connection) -> bool:
    """Whether the file is new; in another program's database the file-wide settings are not ours to change."""
    [tables] = connection.execute("select count(*) from sqlite_master").fetchone()
    return bool(tables == 0)


def _has_log(connection: Connection) -> bool:
    [mode] = connection.execute("pragma journal_mode").fetchone()
    return bool(mode == "wal")


def _migrate(connection: Connection, path: Path) -> None:
    try:
        connection.execute("begin immediate")
        schema.migrate(connection, str(path))
        connection.execute("commit")
    finally:
        if connection.in_transaction:
            connection.execute("rollback")
