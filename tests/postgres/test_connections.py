"""Connections that break: what was asked is asked again, and done once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Storage
from taskmill._storage.open import open_storage
from taskmill.errors import StoreUnavailable
from tests.conformance.builders import LEASE, Worker, a_job, ids, job_of, states_of, succeeded
from tests.postgres.proxy import Proxy


@pytest.fixture
def proxy(empty_postgres: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(empty_postgres).port or 5432) as proxy:
        yield proxy


@pytest.fixture
def storage(empty_postgres: str, proxy: Proxy) -> Iterator[Storage]:
    parts = urlsplit(empty_postgres)
    store = open_storage(parts._replace(netloc=f"{parts.username}@127.0.0.1:{proxy.port}").geturl())
    store.version()
    yield store
    store.close()


class TestLostAnswers:
    def test_a_job_is_stored_once(self, storage: Storage, proxy: Proxy) -> None:
        proxy.lose_answers = 1

        added = storage.jobs.add([a_job("a"), a_job("b", key="k")])

        assert proxy.lost == 1
        assert list(added) == ["a", "b"]
        assert states_of(storage) == {"a": "queued", "b": "queued"}

    def test_a_turn_is_taken_once(self, storage: Storage, proxy: Proxy) -> None:
        worker = Worker(storage)
        storage.jobs.add([a_job(str(number)) for number in range(6)])
        first = worker.claim(2)
        proxy.lose_answers = 1

        turn = worker.turn(*(Settlement(claimed, succeeded()) for claimed in first), thread=2)

        assert proxy.lost == 1
        assert (ids(turn.claimed), list(turn.stale)) == (["2", "3"], [])
        assert Counter(states_of(storage).values()) == {"succeeded": 2, "running": 2, "queued": 2}
        assert job_of(storage, "2").attempt == 1

    def test_a_lock_is_known_by_its_token(self, storage: Storage, proxy: Proxy) -> None:
        session = storage.sessions.open(kind="client", lease=LEASE)
        proxy.lose_answers = 1

        token = storage.limits.acquire("L", session)

        assert proxy.lost == 1
        assert token is not None
        assert storage.limits.release("L", session, token)

    def test_a_session_renews_its_lease(self, storage: Storage, proxy: Proxy) -> None:
        session = storage.sessions.open(kind="worker", lease=LEASE)
        proxy.lose_answers = 1

        assert storage.sessions.renew(session)

    def test_who_never_gets_an_answer_is_told(self, storage: Storage, proxy: Proxy) -> None:
        proxy.lose_answers = 10_000

        with pytest.raises(StoreUnavailable, match=r"cannot be used"):
            open_storage(f"{storage.url}?timeout=0.5").jobs.add([a_job("a")])


def test_connections_that_the_server_ended_are_replaced(storage: Storage, empty_postgres: str) -> None:
    storage.jobs.add([a_job("a")])
    with psycopg.connect(empty_postgres, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'taskmill' and datname = current_database()"
        )

    storage.jobs.add([a_job("b")])

    assert states_of(storage) == {"a": "queued", "b": "queued"}


def test_a_turn_of_a_silent_session_that_stands_still_is_ended_and_its_jobs_are_taken_back(
    empty_postgres: str, storage: Storage
) -> None:
    storage.jobs.add([a_job("a")])
    silent = Worker(storage, lease=1)
    silent.claim_one()
    with psycopg.connect(empty_postgres) as stuck:
        stuck.execute("select taskmill.v1_alone_with(%s)", (silent.session,))

        storage.jobs.rescue()
        with pytest.raises(psycopg.OperationalError):
            stuck.execute("select 1")
    storage.jobs.rescue()

    assert states_of(storage) == {"a": "queued"}
