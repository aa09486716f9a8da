"""Connections that lead nowhere any more, of which nobody was told: what was asked is asked again by another way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from taskmill import Mill
from taskmill._core.lifecycle import Settlement
from taskmill._storage.open import open_storage
from taskmill._storage.wake import PATIENCE
from tests.conformance.builders import Worker, a_job, ids, states_of, succeeded
from tests.crash.site import figures
from tests.postgres.proxy import Proxy
from tests.worker.builders import DEADLINE, wait_for

# What lies between is the same for all servers.
pytestmark = pytest.mark.parametrize("postgres_url", ["system"], indirect=True)


@pytest.fixture
def proxy(empty_postgres: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(empty_postgres).port or 5432) as proxy:
        yield proxy


@pytest.fixture
def through(empty_postgres: str, proxy: Proxy) -> str:
    """The URL by way of the proxy, with a short patience."""
    parts = urlsplit(empty_postgres)
    netloc = f"{parts.username}@127.0.0.1:{proxy.port}"
    return parts._replace(netloc=netloc, query="timeout=0.5").geturl()


def test_a_worker_goes_on_and_loses_no_job_that_it_runs(
    empty_postgres: str, through: str, proxy: Proxy
) -> None:
    begun, go_on, runs = threading.Event(), threading.Event(), list[str]()
    mill, direct = Mill(through), Mill(empty_postgres)

    def work(what: str) -> str:
        runs.append(what)
        if what == "long":
            begun.set()
            assert go_on.wait(DEADLINE)
        return what

    mill.task(name="work")(work)
    enqueue = direct.task(name="work")(work).enqueue
    with mill.worker(threads=2):
        enqueued = enqueue("long")
        assert begun.wait(DEADLINE)

        proxy.fall_silent()
        cut_at = time.monotonic()
        assert enqueue("next").get(timeout=DEADLINE) == "next"
        figures.info("half-open connections: the next job ended %.1f s later", time.monotonic() - cut_at)
        go_on.set()
        assert enqueued.get(timeout=DEADLINE) == "long"

    assert runs == ["long", "next"]
    mill.close()
    direct.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sooner than in earnest."""
    monkeypatch.setattr("taskmill._storage.postgres.database._SILENT", 0.2)
    monkeypatch.setattr("taskmill._storage.postgres.doorbell._SLICE", 0.2)


@pytest.mark.usefixtures("impatient")
def test_what_was_asked_by_a_connection_that_fell_silent_is_done_once(through: str, proxy: Proxy) -> None:
    store = open_storage(through)
    worker = Worker(store)
    store.jobs.add([a_job("a"), a_job("b")])
    claimed = worker.claim_one()

    proxy.fall_silent()
    turn = worker.turn(Settlement(claimed, succeeded()), thread=1)
    proxy.fall_silent()
    store.jobs.add([a_job("c")])

    assert ids(turn.claimed) == ["b"]
    assert states_of(store) == {"a": "succeeded", "b": "running", "c": "queued"}
    store.close()


@pytest.mark.usefixtures("impatient")
def test_who_listens_on_a_connection_that_fell_silent_listens_on_another(through: str, proxy: Proxy) -> None:
    store = open_storage(through)
    rung = threading.Event()
    store.wake.rest(rung.set, "all")
    wait_for(lambda: store.wake.patience == PATIENCE, "it hears itself")

    proxy.fall_silent()

    wait_for(lambda: store.wake.patience < PATIENCE, "it notices")
    wait_for(lambda: store.wake.patience == PATIENCE, "it hears itself again")
    store.close()


def test_who_stands_still_in_the_middle_of_a_turn_keeps_nobody_waiting(empty_postgres: str) -> None:
    store = open_storage(empty_postgres)
    worker = Worker(store)
    store.jobs.add([a_job("a")])
    with psycopg.connect(empty_postgres) as stuck:
        stuck.execute("select taskmill.v1_alone_with(%s), taskmill.v1_alone()", (worker.session,))

        claimed = worker.claim_one()
        with pytest.raises(psycopg.OperationalError):
            stuck.execute("select 1")

    assert claimed.job_id == "a"
    store.close()
