"""New jobs into their table, many by one statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, compress
from typing import Any

from taskmill._storage.callers.base import Statements
from taskmill._storage.sqlite.changes import SQL

Row = tuple[Any, ...]
# Made when they are written: their times are those of the store.
Rows = Callable[[], Sequence[Row]]

# Longer payloads would be copied at each change of the job's state; they have a table of their own.
INLINE = 1024
# A statement of 50 rows took a fifth less time than 50 statements; more rows in one saved nothing more.
MOST = 50


def insert_rows(connection: Statements, rows: Sequence[Row]) -> None:
    """Insert *rows*, whose columns are those of the statement, in order; up to MOST of them are one statement."""
    for start in range(0, len(rows), MOST):
        connection.execute(*insertion(rows[start : start + MOST]))


def insertion(rows: Sequence[Row]) -> tuple[str, Row]:
    """The statement that inserts them all, and its values."""
    if len(rows) == 1:
        # What follows would take as long as it saves.
        return SQL.insert, rows[0]
    columns = list(zip(*rows, strict=True))
    # Where nobody has a value, null is written out: for each None Python's sqlite3 would look for an adapter.
    given = tuple(column.count(None) < len(rows) for column in columns)
    values = chain.from_iterable(zip(*compress(columns, given), strict=True))
    return _statement(len(rows), given), tuple(values)


@lru_cache(maxsize=200)
def _statement(rows: int, given: Sequence[bool]) -> str:
    before, _, after = SQL.insert.partition("values (")
    _, _, rest = after.partition(")")
    row = ", ".join("?" if is_given else "null" for is_given in given)
    return before + "values " + ", ".join([f"({row})"] * rows) + rest
