"""The schema of the database: tables by versioned migrations, and the functions that are the operations."""

from __future__ import annotations

from importlib.resources import files

from taskmill._storage.migrations import check_usable, missing_behind
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.naming import known_version, migrations, versioned
from taskmill.errors import NotAStore

_FUNCTIONS = "taskmill._storage.postgres.functions"
_HAS_META = "select 1 from pg_tables where schemaname = 'taskmill' and tablename = 'meta'"
_OUTDATED = """
select oid::regprocedure::text from pg_proc
where pronamespace = 'taskmill'::regnamespace and substring(proname from '^v([0-9]+)_')::integer < %s
"""
_HAS_FUNCTION = "select 1 from pg_proc where pronamespace = 'taskmill'::regnamespace and proname = %s"
# The same for all taskmills, so that one migrates at a time; the other numbers are in functions/changes.sql.
_MIGRATING = 7261


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


def is_complete(connection: Connection, where: str) -> bool:
    """Whether the database has all that this taskmill uses; SchemaTooNew as `check`."""
    if check(connection, where) < known_version():
        return False
    function = versioned("taskmill.turn(", known_version())[len("taskmill.") : -1]
    return connection.execute(_HAS_FUNCTION, (function,)).fetchone() is not None


def migrate(connection: Connection, where: str) -> None:
    """Bring the database to the known version, if it is not there or beyond, all or nothing.

    One that is beyond gets the functions of this version, if it was made or migrated past it without.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_MIGRATING,))
        if is_complete(connection, where):
            return
        missing = list(missing_behind(version(connection), migrations()))
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
            connection.execute(versioned(function, known_version()).encode())
        for row in connection.execute(_OUTDATED, (_number(connection, "usable from"),)).fetchall():
            connection.execute(f"drop function {row[0]}".encode())


def _functions() -> list[str]:
    found = [entry for entry in files(_FUNCTIONS).iterdir() if entry.name.endswith(".sql")]
    return [entry.read_text(encoding="utf-8") for entry in sorted(found, key=lambda entry: entry.name)]
