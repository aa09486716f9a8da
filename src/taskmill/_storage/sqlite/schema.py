"""Versioned migrations: numbered files, applied in order, in one transaction with their versions.

A file says in its first line which taskmills may go on using what it makes of the store, ``-- usable from: 1``: those
that know at least the schema of that number.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from taskmill.errors import NotAStore, SchemaTooNew

_MIGRATIONS = "taskmill._storage.sqlite.migrations"
_USABLE_FROM = re.compile(r"-- usable from: (\d+)\n")


class Migration(NamedTuple):
    """The schema of that *number*, and the oldest one that a taskmill must know to use it."""

    number: int
    script: str
    usable_from: int


def migration(number: int, script: str) -> Migration:
    found = _USABLE_FROM.match(script)
    assert found is not None, f"migration {number} does not say which taskmills may use it"  # noqa: S101  (in every test)
    return Migration(number, script, int(found[1]))


def known_version() -> int:
    """The newest schema that this taskmill can work with."""
    return max(known.number for known in _migrations())


def version(connection: sqlite3.Connection) -> int:
    """The schema of the file; 0 where taskmill has no tables yet."""
    has_meta = "select 1 from sqlite_master where type = 'table' and name = 'taskmill_meta'"
    if connection.execute(has_meta).fetchone() is None:
        return 0
    schema = _number(connection, "schema")
    if schema is None:
        raise NotAStore(
            "the table taskmill_meta does not say which schema it is: restore the file from a backup"
        )
    return schema


def check(connection: sqlite3.Connection, where: str) -> None:
    """Raise SchemaTooNew if a newer taskmill made of the file what this one must not touch."""
    found, known = version(connection), known_version()
    if found > known and (_number(connection, "usable from") or found) > known:
        raise SchemaTooNew(where, found, known)


def _number(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute("select value from taskmill_meta where name = ?", (name,)).fetchone()
    return int(row[0]) if row is not None and str(row[0]).isdecimal() else None


def migrate(connection: sqlite3.Connection, where: str) -> None:
    """Bring the file to the known version, if it is not there or beyond; the caller holds the write transaction."""
    check(connection, where)
    found, usable_from = version(connection), 0
    for known in _migrations():
        usable_from = max(usable_from, known.usable_from)
        if known.number > found:
            for statement in _statements(known.script):
                connection.execute(statement)
            for name, number in (("schema", known.number), ("usable from", usable_from)):
                connection.execute(
                    "insert into taskmill_meta (name, value) values (?, ?)"
                    " on conflict (name) do update set value = excluded.value",
                    (name, str(number)),
                )


@cache
def _migrations() -> list[Migration]:
    found = [entry for entry in files(_MIGRATIONS).iterdir() if entry.name.endswith(".sql")]
    return sorted(migration(int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in found)


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the transaction that makes a migration all or nothing.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
