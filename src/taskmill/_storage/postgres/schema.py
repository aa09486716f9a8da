"""The schema of the database: tables by versioned migrations, and the functions that are the operations."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import psycopg

from taskmill._storage.migrations import Migration, check_usable, migrations_of, missing_behind
from taskmill.errors import NotAStore

Connection = psycopg.Connection[tuple[Any, ...]]

_MIGRATIONS = "taskmill._storage.postgres.migrations"
_FUNCTIONS = "taskmill._storage.postgres.functions"
_HAS_META = "select 1 from pg_tables where schemaname = 'taskmill' and tablename = 'meta'"
# The same for all taskmills, so that one migrates at a time; the other numbers are in functions/changes.sql.
_MIGRATING = 7261


def known_version() -> int:
    """The newest schema that this taskmill can work with."""
    return max(known.number for known in _migrations())


def version(connection: Connection) -> int:
    """The schema of the database; 0 where taskmill has no tables yet."""
    # Not to_regclass: that remembers what was not there before somebody else made it.
    if connection.execute(_HAS_META).fetchone() is None:
        return 0
    schema = _number(connection, "schema")
    if schema is None:
        raise NotAStore(
            "the table taskmill.meta does not say which schema it is: restore a backup of the database"
        )
    return schema


def check(connection: Connection, where: str) -> int:
    """The schema of the database; SchemaTooNew if a newer taskmill made of it what this one must not touch."""
    found = version(connection)
    if found:
        usable_from = _number(connection, "usable from")
        check_usable(where, found=found, usable_from=usable_from, known=known_version())
    return found


def _number(connection: Connection, name: str) -> int | None:
    row = connection.execute("select value from taskmill.meta where name = %s", (name,)).fetchone()
    return int(row[0]) if row is not None and str(row[0]).isdecimal() else None


def migrate(connection: Connection, where: str) -> None:
    """Bring the database to the known version, if it is not there or beyond, all or nothing."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_MIGRATING,))
        missing = list(missing_behind(check(connection, where), _migrations()))
        if not missing:
            return
        connection.execute("create schema if not exists taskmill")
        for step in missing:
            connection.execute(step.script.encode())
            for name, number in (("schema", step.number), ("usable from", step.usable_from)):
                connection.execute(
                    "insert into taskmill.meta (name, value) values (%s, %s)"
                    " on conflict (name) do update set value = excluded.value",
                    (name, str(number)),
                )
        # Bodies are looked at when they are called: the functions refer to each other.
        connection.execute("set local check_function_bodies = off")
        for function in _functions():
            connection.execute(function.encode())


@cache
def _migrations() -> list[Migration]:
    return migrations_of(_MIGRATIONS)


def _functions() -> list[str]:
    found = [entry for entry in files(_FUNCTIONS).iterdir() if entry.name.endswith(".sql")]
    return [entry.read_text(encoding="utf-8") for entry in sorted(found, key=lambda entry: entry.name)]
