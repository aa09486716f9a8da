"""Versioned migrations: numbered files, applied in order, each in one transaction with its version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from taskmill.errors import NotAStore, SchemaTooNew

_MIGRATIONS = "taskmill._storage.sqlite.migrations"


def known_version() -> int:
    """The newest schema that this taskmill can work with."""
    return max(number for number, _ in _migrations())


def version(connection: sqlite3.Connection) -> int:
    """The schema of the file; 0 where taskmill has no tables yet."""
    has_meta = "select 1 from sqlite_master where type = 'table' and name = 'taskmill_meta'"
    if connection.execute(has_meta).fetchone() is None:
        return 0
    row = connection.execute("select value from taskmill_meta where name = 'schema'").fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise NotAStore(
            "the table taskmill_meta does not say which schema it is: restore the file from a backup"
        )
    return int(row[0])


def migrate(connection: sqlite3.Connection, where: str) -> None:
    """Bring the file to the known version; the caller holds the write transaction."""
    found = version(connection)
    if found > known_version():
        raise SchemaTooNew(where, found, known_version())
    for number, script in _migrations():
        if number > found:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(
                "insert into taskmill_meta (name, value) values ('schema', ?)"
                " on conflict (name) do update set value = excluded.value",
                (str(number),),
            )


@cache
def _migrations() -> list[tuple[int, str]]:
    found = [entry for entry in files(_MIGRATIONS).iterdir() if entry.name.endswith(".sql")]
    return sorted((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in found)


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the transaction that makes a migration all or nothing.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
