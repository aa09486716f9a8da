"""How and where a PostgreSQL store is kept: what of that puts jobs at risk, or slows them down."""

from __future__ import annotations

from collections.abc import Iterator

from taskmill._core.finding import Finding, error, note, warning
from taskmill._core.wording import sized
from taskmill._storage.postgres.address import Address
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.naming import Statements

SQL = Statements("surroundings.sql")

_OLDEST = 150_000
_LONG_TRANSACTION = 60
_MUCH_DEAD = 1_000_000
_LARGE = 10 * 1024**3


def of_url(address: Address) -> Iterator[Finding]:
    if "sslmode=disable" in address.conninfo:
        yield note(
            "no-encryption",
            "the URL says sslmode=disable: arguments, results and the password cross the network as they are",
            "leave it out, unless nobody else can listen there",
        )


def of_server(connection: Connection) -> Iterator[Finding]:
    [settings] = connection.execute(SQL.server.encode()).fetchall()
    number, version, fsync, synchronous_commit, autovacuum, is_standby = settings
    if number < _OLDEST:
        yield error(
            "server-version",
            f"the server is PostgreSQL {version}, taskmill is tested with 15 and later",
            "upgrade the server",
        )
    if is_standby:
        yield error("standby", "the server is a standby, which takes no jobs", "use the URL of the primary")
    if fsync == "off":
        yield error(
            "fsync", "the server runs with fsync=off: a power cut can destroy the database", "set fsync = on"
        )
    if synchronous_commit == "off":
        yield warning(
            "synchronous-commit",
            "synchronous_commit=off: a crash of the server takes the last moments with it, jobs that were acknowledged "
            "included",
            "set synchronous_commit = on for this user or database",
        )
    if autovacuum == "off":
        yield warning(
            "autovacuum",
            "autovacuum is off: what has ended stands in the way of what comes, more each day",
            "set autovacuum = on",
        )
    yield from _of_transactions(connection)
    yield from _of_tables(connection)


def _of_transactions(connection: Connection) -> Iterator[Finding]:
    for pid, seconds, state, query in connection.execute(SQL.oldest_transaction.encode()):
        if seconds > _LONG_TRANSACTION:
            yield warning(
                "long-transaction",
                f"the transaction of backend {pid} ({state}: {query}) is open for {seconds} s: until it ends nothing "
                "that is dead can be cleared away, and each claim reads past it",
                f"end it, or: select pg_terminate_backend({pid})",
            )


def _of_tables(connection: Connection) -> Iterator[Finding]:
    [(dead, size)] = connection.execute(SQL.tables.encode()).fetchall()
    if dead > _MUCH_DEAD:
        yield warning(
            "dead-rows",
            f"the table of jobs holds {dead:,} dead rows",
            "see whether autovacuum gets through: vacuum (verbose) taskmill.job",
        )
    if size > _LARGE:
        yield note(
            "size",
            f"the tables of taskmill have {sized(size)}",
            "nothing; what is no longer needed leaves sooner with a shorter result_ttl=",
        )
