"""The schema of the file: which it is, and its migrations, applied in one transaction with their versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache

from taskmill._storage.callers.base import Statements
from taskmill._storage.migrations import Migration, check_usable, migrations_of, missing_behind
from taskmill.errors import NotAStore

_MIGRATIONS = "taskmill._storage.sqlite.migrations"


def known_version() -> int:
    """The newest schema that this taskmill can work with."""
    return max(known.number for known in _migrations())


def version(connection: Statements) -> int:
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


def check(connection: Statements, where: str) -> None:
    """Raise SchemaTooNew if a newer taskmill made of the file what this one must not touch."""
    if found := version(connection):
        usable_from = _number(connection, "usable from")
        check_usable(where, found=found, usable_from=usable_from, known=known_version())


def _number(connection: Statements, name: str) -> int | None:
    row = connection.execute("select value from taskmill_meta where name = ?", (name,)).fetchone()
    return int(row[0]) if row is not None and str(row[0]).isdecimal() else None


def migrate(connection: Statements, where: str) -> None:
    """Bring the file to the known version, if it is not there or beyond; the caller holds the write transaction."""
    check(connection, where)
    for missing in missing_behind(version(connection), _migrations()):
        for statement in _statements(missing.script):
            connection.execute(statement)
        for name, number in (("schema", missing.number), ("usable from", missing.usable_from)):
            connection.execute(
                "insert into taskmill_meta (name, value) values (?, ?)"
                " on conflict (name) do update set value = excluded.value",
                (name, str(number)),
            )


@cache
def _migrations() -> list[Migration]:
    return migrations_of(_MIGRATIONS)


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the transaction that makes a migration all or nothing.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
