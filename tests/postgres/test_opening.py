"""What a URL may say, what is made of a database, and what is said where that cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from taskmill import Mill
from taskmill._core.lifecycle import Settlement
from taskmill._storage.migrations import Migration, migration
from taskmill._storage.open import open_storage
from taskmill._storage.postgres import naming, schema
from taskmill._storage.postgres.address import address
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.postgres.trouble import translate
from taskmill.errors import BackupFailed, InvalidURL, NotAStore, SchemaTooNew, StoreUnavailable
from tests.conformance.builders import Worker, a_job, ids, states_of, succeeded
from tests.servers import free_port


@pytest.fixture
def other_database(postgres_url: str) -> Iterator[str]:
    """One without taskmill's schema."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create database taskmill_other")
        try:
            yield urlsplit(postgres_url)._replace(path="/taskmill_other").geturl()
        finally:
            admin.execute("drop database taskmill_other with (force)")


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "query, problem",
    [
        ("timeout=soon", "timeout=soon is no number of seconds"),
        ("connections=0", "connections=0 is no number of connections"),
        ("listen=elsewhere", "listen=elsewhere is no host:port"),
        ("nonsense=1", "nonsense"),
    ],
)
def test_options_that_cannot_be_are_named_and_no_password_is(query: str, problem: str) -> None:
    with pytest.raises(InvalidURL, match=problem) as refusal:
        open_storage(f"postgresql://me:secret@localhost/jobs?{query}")

    assert "secret" not in str(refusal.value)


def test_options_of_libpq_reach_it_as_they_are_written() -> None:
    url = "postgresql://h/jobs?timeout=1&password=a+b%20c&options=-c%20search_path%3Dnowhere"

    told = conninfo_to_dict(address(url, url).conninfo)

    assert (told["password"], told["options"]) == ("a+b c", "-c search_path=nowhere")


def test_a_server_that_is_not_there_is_told_at_once_and_without_the_password() -> None:
    store = open_storage(f"postgresql://me:secret@127.0.0.1:{free_port()}/jobs?timeout=60")

    with pytest.raises(StoreUnavailable, match="check the URL, and that the server runs") as refusal:
        store.jobs.add([a_job("a")])

    assert "secret" not in str(refusal.value)


def test_who_may_not_is_told_what_to_be_granted(other_database: str) -> None:
    role = f"taskmill_weak_{os.getpid()}"
    store = open_storage(urlsplit(other_database)._replace(query=f"options=-crole%3D{role}").geturl())
    with psycopg.connect(other_database, autocommit=True) as admin:
        admin.execute(f"create role {role}")
        try:
            told = r"\(permission denied for [^)]*\): grant the user the role"
            with pytest.raises(StoreUnavailable, match=told) as refusal:
                store.jobs.add([a_job("a")])
        finally:
            store.close()
            admin.execute(f"drop role {role}")

    assert "create" in str(refusal.value)


def test_a_database_that_is_not_there(other_database: str) -> None:
    store = open_storage(urlsplit(other_database)._replace(path="/nowhere", query="timeout=0.3").geturl())

    with pytest.raises(StoreUnavailable, match='"nowhere" does not exist; create it, or name another one'):
        store.jobs.add([a_job("a")])
    store.close()


def test_nothing_is_made_by_looking(other_database: str) -> None:
    store = open_storage(other_database)

    is_there_before = store.exists()
    with pytest.raises(StoreUnavailable, match="there is no store"):
        store.health.census()
    still_not = store.exists()
    store.jobs.add([a_job("a")])

    assert (is_there_before, still_not, store.exists()) == (False, False, True)
    store.close()


def test_programs_that_start_at_once_make_it_together(other_database: str) -> None:
    stores = [open_storage(other_database) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: pair[1].jobs.add([a_job(str(pair[0]))]), enumerate(stores)))

    assert states_of(stores[0]) == {str(number): "queued" for number in range(4)}
    for store in stores:
        store.close()


def test_a_newer_schema_that_says_so_is_refused_also_by_a_program_that_runs(empty_postgres: str) -> None:
    store = open_storage(empty_postgres)
    session = store.sessions.open(kind="worker", lease=1_000_000)
    execute(empty_postgres, "update taskmill.meta set value = '99'")
    try:
        with pytest.raises(SchemaTooNew, match="has schema 99"):
            store.sessions.renew(session)
        with pytest.raises(SchemaTooNew):
            open_storage(empty_postgres).jobs.add([a_job("a")])
        execute(empty_postgres, "update taskmill.meta set value = '1' where name = 'usable from'")
        assert store.sessions.renew(session)
        open_storage(empty_postgres).jobs.add([a_job("a")])
    finally:
        execute(empty_postgres, "update taskmill.meta set value = '1'")
        store.close()


def later(number: int, *, usable_from: int) -> Migration:
    """One that makes schema *number*."""
    column = f"alter table taskmill.job add column colour_{number} text default 'blue';"
    return migration(number, f"-- usable from: {usable_from}\n{column}\n")


class Newer:
    """A taskmill that knows more migrations, and whose functions are others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        self._patch = monkeypatch
        self._url = url

    def migrate(self, *more: Migration) -> None:
        known = [*naming.migrations(), *more]
        with self._patch.context() as patch:
            for module in (naming, schema):
                patch.setattr(module, "migrations", lambda: known)
            patch.setattr(schema, "_functions", lambda: [NEW_TURN])
            with Connection.connect(self._url, autocommit=True) as connection:
                schema.migrate(connection, "here")

    def functions(self) -> set[str]:
        """What the database has for a turn."""
        with psycopg.connect(self._url) as connection:
            found = connection.execute("select proname from pg_proc where proname ~ '^v[0-9]+_turn$'")
            return {name for (name,) in found}


# It takes and answers something else.
NEW_TURN = "create or replace function taskmill.turn(integer) returns integer language sql as 'select 7'"


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch, other_database: str) -> Newer:
    return Newer(monkeypatch, other_database)


def test_an_older_schema_gets_what_it_lacks(other_database: str, newer: Newer) -> None:
    open_storage(other_database).jobs.add([a_job("a")])

    newer.migrate(later(2, usable_from=1))

    with psycopg.connect(other_database) as connection:
        jobs = connection.execute("select job_id, colour_2 from taskmill.job").fetchall()
        versions = dict(connection.execute("select name, value from taskmill.meta").fetchall())
    assert jobs == [("a", "blue")]
    assert versions == {"schema": "2", "usable from": "1"}


def test_an_older_taskmill_that_may_go_on_does_so_with_functions_of_its_own(
    other_database: str, newer: Newer
) -> None:
    running = open_storage(other_database)
    running.jobs.add([a_job("a")])
    worker = Worker(running)

    newer.migrate(later(2, usable_from=1))
    opened = open_storage(other_database)
    opened.jobs.add([a_job("b")])
    turn = worker.turn(Settlement(worker.claim_one(), succeeded()), thread=1)

    assert newer.functions() == {"v1_turn", "v2_turn"}
    assert ids(turn.claimed) == ["b"]
    assert running.health.verify() == []
    running.close()
    opened.close()


def test_one_that_comes_to_what_a_newer_one_has_made_brings_its_functions(
    other_database: str, newer: Newer
) -> None:
    newer.migrate(later(2, usable_from=1))

    store = open_storage(other_database)
    store.jobs.add([a_job("a")])

    assert newer.functions() == {"v1_turn", "v2_turn"}
    assert states_of(store) == {"a": "queued"}
    store.close()


def test_one_that_is_locked_out_is_told_so_in_the_middle_of_a_call(other_database: str, newer: Newer) -> None:
    store = open_storage(other_database)
    store.jobs.add([a_job("a")])

    newer.migrate(later(2, usable_from=1), later(3, usable_from=3))

    assert newer.functions() == {"v3_turn"}
    with pytest.raises(SchemaTooNew, match="has schema 3"):
        store.jobs.add([a_job("b")])
    store.close()


def test_a_schema_that_lost_a_part_is_no_store(other_database: str) -> None:
    store = open_storage(other_database)
    store.jobs.add([a_job("a")])
    execute(other_database, "drop table taskmill.waiting cascade")

    with pytest.raises(NotAStore, match="restore it from a backup"):
        store.jobs.add([a_job("b")])
    store.close()


def test_one_that_was_dropped_is_told_and_made_anew_by_who_comes_next(other_database: str) -> None:
    running = open_storage(other_database)
    running.jobs.add([a_job("a")])
    execute(other_database, "drop schema taskmill cascade")

    with pytest.raises(NotAStore, match="the next program that is started makes a new one"):
        running.jobs.add([a_job("b")])
    started = open_storage(other_database)
    started.jobs.add([a_job("c")])
    running.jobs.add([a_job("d")])

    assert set(states_of(running)) == {"c", "d"}
    running.close()
    started.close()


def test_a_session_of_before_is_not_taken_for_one_of_the_same_number(other_database: str) -> None:
    old = Worker(open_storage(other_database))
    execute(other_database, "drop schema taskmill cascade")
    young = Worker(open_storage(other_database))
    young.storage.jobs.add([a_job("a"), a_job("b")])
    claimed = young.claim_one()

    turn = old.turn(Settlement(claimed, succeeded()), thread=1)
    is_known = old.storage.sessions.renew(old.session)
    token = old.storage.limits.acquire("L", old.session)
    ended = old.storage.sessions.end(old.session)

    assert old.session == young.session
    assert ([stale.claimed for stale in turn.stale], list(turn.claimed)) == ([claimed], [])
    assert (is_known, token, list(ended)) == (False, None, [])
    assert young.storage.sessions.renew(young.session)
    assert ids(young.turn(Settlement(claimed, succeeded()), thread=1).claimed) == ["b"]
    for worker in (old, young):
        worker.storage.close()


def test_a_limit_of_the_role_is_told_with_what_to_change_and_without_the_statement(
    empty_postgres: str,
) -> None:
    open_storage(empty_postgres).jobs.add([a_job("a")])
    limited = urlsplit(empty_postgres)._replace(query="options=-c%20statement_timeout%3D100").geturl()
    store = open_storage(limited)

    with psycopg.connect(empty_postgres) as other:
        other.execute("lock table taskmill.job in access exclusive mode")
        with pytest.raises(StoreUnavailable, match="set statement_timeout = 0") as refusal:
            store.jobs.add([a_job("b")])

    assert "insert" not in str(refusal.value)
    store.close()


@pytest.mark.parametrize(
    "said",
    [
        "FATAL: sorry, too many clients already",
        'FATAL: too many connections for role "web"',
        "FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ],
)
def test_a_server_without_room_for_another_connection(said: str) -> None:
    told = str(translate(psycopg.OperationalError(said), "postgresql://db/jobs", 5.0))

    assert told.endswith("or the server more")


def test_the_doctor_knows_what_the_server_risks(empty_postgres: str) -> None:
    store = open_storage(empty_postgres)
    store.version()

    found = {finding.name for finding in store.health.findings()}

    assert found <= {"fsync", "synchronous-commit", "autovacuum", "long-transaction", "dead-rows", "size"}
    store.close()


def test_a_backup_is_the_business_of_pg_dump(empty_postgres: str, tmp_path: object) -> None:
    with pytest.raises(BackupFailed, match=r"pg_dump --schema=taskmill"):
        open_storage(empty_postgres).health.backup(tmp_path / "copy", replace=False)  # type: ignore[operator]


def test_a_fork_uses_connections_of_its_own(empty_postgres: str) -> None:
    mill = Mill(empty_postgres)
    add = mill.task(name="add")(lambda a, b: a + b)
    add.enqueue(1, 1)
    pid = os.fork()
    if not pid:
        try:
            add.enqueue(2, 2)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    add.enqueue(3, 3)

    assert len(mill.app.storage.inspection.find()) == 3
    mill.close()


def test_a_server_without_tls_is_told_to_who_requires_it(postgres_url: str) -> None:
    store = open_storage(urlsplit(postgres_url)._replace(query="sslmode=require").geturl())

    with pytest.raises(
        StoreUnavailable, match="write sslmode=prefer or sslmode=disable in the URL, or set `ssl = on`"
    ):
        store.version()


@pytest.mark.parametrize(
    "said, advice",
    [
        (
            'FATAL: no pg_hba.conf entry for host "::1", user "me", database "jobs", no encryption',
            "sslmode=require",
        ),
        (
            'FATAL: no pg_hba.conf entry for host "::1", user "me", database "jobs", SSL encryption',
            "sslmode=disable",
        ),
        ('root certificate file "/home/anna/.postgresql/root.crt" does not exist', "sslrootcert=/path"),
        ("SSL error: certificate verify failed", "sslrootcert=/path"),
        ('server certificate for "one" does not match host name "other"', "sslmode=verify-ca"),
        ("FATAL: connection requires a valid client certificate", "sslcert=/path&sslkey=/path"),
        ("fe_sendauth: no password supplied", "user:password@host"),
    ],
)
def test_what_keeps_somebody_out_is_told_with_what_to_write(said: str, advice: str) -> None:
    told = str(translate(psycopg.OperationalError(said), "postgresql://db/jobs", 5.0))

    assert told.partition(said)[2].count(advice) == 1
