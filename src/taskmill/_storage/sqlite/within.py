"""New jobs by a transaction of the caller's."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from taskmill._storage.callers.base import AsyncCaller, Caller, Entry, Statements
from taskmill._storage.sqlite import schema
from taskmill._storage.sqlite.trouble import FAILURES, translate
from taskmill.errors import CannotJoin


class SqliteEntry(Entry):
    """All is done by the caller's connection, the schema too: one of our own would wait for what it has locked."""

    def __init__(self, path: Path, insert: Callable[[Statements], Sequence[str]]) -> None:
        self._path = path
        self._insert = insert

    def through(self, caller: Caller) -> Sequence[str]:
        driver = caller.driver
        if not hasattr(driver, "in_transaction"):
            raise self._elsewhere(f"one of {type(driver).__module__}")
        since = time.monotonic()
        try:
            self._check_file(caller)
            _begin(caller)
            with _all_or_nothing(caller):
                self._make_schema(caller)
                return self._insert(caller)
        except FAILURES as error:
            raise translate(error, self._path, time.monotonic() - since) from error

    async def athrough(self, caller: AsyncCaller) -> Sequence[str]:
        raise self._elsewhere(f"one of {type(caller.driver).__module__}")

    def _check_file(self, caller: Caller) -> None:
        files = {name: file for _, name, file in caller.execute("pragma database_list").fetchall()}
        if not _is_same(files["main"], self._path):
            raise self._elsewhere(f"to {files['main'] or 'a database in memory'}")

    def _make_schema(self, caller: Caller) -> None:
        schema.check(caller, str(self._path))
        if schema.version(caller) < schema.known_version():
            schema.migrate(caller, str(self._path))

    def _elsewhere(self, what: str) -> CannotJoin:
        return CannotJoin(
            f"the connection is {what}, and the store is {self._path}: give one to that file, or let the Mill have its "
            "store where your data is"
        )


def _is_same(file: str, path: Path) -> bool:
    with suppress(OSError):
        return path.samefile(file)
    # Before the first write there is no file.
    return bool(file) and os.path.realpath(file) == str(path)


def _begin(caller: Caller) -> None:
    """Begin a transaction where the driver would do so before it writes; CannotJoin where it would not."""
    driver: Any = caller.driver
    if driver.in_transaction:
        return
    if driver.isolation_level is None or getattr(driver, "autocommit", None) is True:
        raise CannotJoin(
            "the connection commits each statement by itself, so there is no transaction to join: begin one, with "
            'execute("begin immediate") or transaction.atomic(), or enqueue without connection='
        )
    caller.execute(f"begin {driver.isolation_level}")


@contextmanager
def _all_or_nothing(caller: Caller) -> Iterator[None]:
    caller.execute("savepoint taskmill")
    try:
        yield
    except BaseException:
        # After some errors SQLite has rolled back all of the transaction.
        with suppress(sqlite3.Error):
            caller.execute("rollback to taskmill")
            caller.execute("release taskmill")
        raise
    caller.execute("release taskmill")
