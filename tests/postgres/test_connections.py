"""Connections that break: what was asked is asked again, and done once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from taskmill._core.job import NewJob
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Storage
from taskmill._storage.open import open_storage
from taskmill._storage.postgres.connection import Connection
from taskmill.errors import StoreUnavailable
from tests.conformance.builders import LEASE, Worker, a_job, a_pipeline, ids, job_of, states_of, succeeded
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
    @pytest.mark.parametrize(
        "jobs",
        [
            [a_job("a")],
            [a_job("a", key="k")],
            [a_job("a"), a_job("b")],
            [a_job("a"), a_job("b", key="k")],
            a_pipeline("a", "b"),
        ],
        ids=["one", "one with a key", "two", "two with a key", "a pipeline"],
    )
    def test_a_job_is_stored_once(self, storage: Storage, proxy: Proxy, jobs: list[NewJob]) -> None:
        proxy.lose_answers = 1

        added = storage.jobs.add(jobs)

        assert proxy.lost == 1
        assert list(added) == [job.job_id for job in jobs]
        assert states_of(storage) == {job.job_id: job.state for job in jobs}
        assert storage.health.verify() == []

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


@pytest.mark.parametrize("who", ["a job comes", "somebody looks"])
def test_connections_that_the_server_ended_are_replaced(
    storage: Storage, empty_postgres: str, who: str
) -> None:
    storage.jobs.add([a_job("a")])
    with psycopg.connect(empty_postgres, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'taskmill' and datname = current_database()"
        )

    if who == "a job comes":
        storage.jobs.add([a_job("b")])
        assert states_of(storage) == {"a": "queued", "b": "queued"}
    else:
        assert len(storage.health.census().waiting) == 1


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


class TestPrepared:
    """Statements that the server was told of before, on a connection of which a pooler makes another one."""

    @pytest.fixture
    def connection(self, postgres_url: str) -> Iterator[Connection]:
        with Connection.connect(postgres_url, autocommit=True, prepare_threshold=None) as connection:
            yield connection

    def test_one_that_is_not_known_there_is_sent_as_a_whole(self, connection: Connection) -> None:
        assert connection.text("select $1", ["a"]) == "a"
        connection.execute("deallocate all")

        assert [connection.text("select $1", [text]) for text in "bc"] == ["b", "c"]

    def test_one_whose_name_is_taken_there_is_sent_as_a_whole(
        self, connection: Connection, postgres_url: str
    ) -> None:
        with Connection.connect(postgres_url, autocommit=True) as before:
            before.text("select $1", ["a"])
            [[name]] = before.execute("select name from pg_prepared_statements").fetchall()
        connection.execute(f"prepare {name} as select 1".encode())

        assert [connection.text("select $1", [text]) for text in "bc"] == ["b", "c"]
