"""Programs that wait are rung by others; where no notification comes through, they look often enough."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from taskmill._storage.base import Storage
from taskmill._storage.open import open_storage
from taskmill._storage.postgres.address import Address
from taskmill._storage.postgres.connection import Connection
from taskmill._storage.wake import PATIENCE
from tests.conformance.builders import Worker, a_job, succeeded
from tests.worker.builders import DEADLINE, wait_for


@pytest.fixture
def open_store(empty_postgres: str) -> Iterator[Callable[[], Storage]]:
    stores: list[Storage] = []

    def open_one() -> Storage:
        stores.append(open_storage(empty_postgres))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def listening(store: Storage) -> threading.Event:
    """Rests, and is heard: rung when there may be jobs."""
    rung = threading.Event()
    store.wake.on_jobs(rung.set)
    store.wake.rest(rung.set, "all")
    wait_for(lambda: store.wake.patience == PATIENCE, "it hears itself")
    store.wake.rise(rung.set)
    store.wake.rest(rung.set, "all")
    rung.clear()
    return rung


def test_a_job_that_another_program_adds_rings_one_that_rests(open_store: Callable[[], Storage]) -> None:
    first, second, other = open_store(), open_store(), open_store()
    bells = [listening(first), listening(second)]

    other.jobs.add([a_job("a")])
    wait_for(lambda: any(bell.is_set() for bell in bells), "one rings")
    other.jobs.add([a_job("b")])

    assert all(bell.wait(DEADLINE) for bell in bells)


def test_what_another_program_changes_is_another_version(open_store: Callable[[], Storage]) -> None:
    store, other = open_store(), open_store()
    listening(store)
    before = store.version()

    other.jobs.add([a_job("a")])

    wait_for(lambda: store.version() != before, "another version")


def test_a_job_that_ends_elsewhere_rings_who_waits_for_it(open_store: Callable[[], Storage]) -> None:
    store, other = open_store(), open_store()
    other.jobs.add([a_job("a"), a_job("b")])
    listening(store)
    a, b = threading.Event(), threading.Event()
    store.wake.on_end("a", a.set)
    store.wake.on_end("b", b.set)
    worker = Worker(other)

    worker.settle(worker.claim_one(), succeeded())

    assert a.wait(DEADLINE)
    assert not b.is_set()


def test_after_a_broken_connection_it_listens_again(
    open_store: Callable[[], Storage], empty_postgres: str
) -> None:
    store, other = open_store(), open_store()
    rung = listening(store)
    with psycopg.connect(empty_postgres, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where query = 'listen taskmill'"
        )
    wait_for(lambda: store.wake.patience < PATIENCE, "it notices")
    wait_for(lambda: store.wake.patience == PATIENCE, "it hears itself again")
    store.wake.rise(rung.set)
    store.wake.rest(rung.set, "all")
    rung.clear()

    other.jobs.add([a_job("a")])

    assert rung.wait(DEADLINE)


def test_where_nothing_is_heard_it_looks_often(
    open_store: Callable[[], Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(address: Address) -> Connection:
        raise psycopg.OperationalError("no way through")

    monkeypatch.setattr(Address, "connect_to_listen", connect)
    store = open_store()
    rung = threading.Event()
    store.wake.rest(rung.set, "all")
    before = store.version()

    assert store.wake.patience <= 0.1
    wait_for(lambda: store.version() != before, "time makes another version")


def test_that_nothing_comes_through_is_told_once(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Others of this process may listen, too.
    name = "taskmill-deaf"
    tries: list[str] = []

    def refuse(address: Address) -> Connection:
        tries.append(address.shown)
        raise psycopg.OperationalError("connection failed:\n\tConnection refused")

    monkeypatch.setattr(Address, "connect_to_listen", refuse)
    caplog.set_level(logging.INFO)
    with closing(open_storage(f"{empty_postgres}?application_name={name}")) as store:
        store.wake.rest(lambda: None, "all")
        wait_for(lambda: sum(name in shown for shown in tries) > 2, "it was tried again")

    [told] = [message for message in caplog.messages if name in message]
    assert told.endswith(": connection failed: Connection refused")
