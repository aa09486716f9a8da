"""Pushes between processes, played by several stores on the same mill."""

from __future__ import annotations

import threading
from typing import Any

from taskmill._core.job import Executor
from taskmill._storage.wake import Room
from tests import servers
from tests.conformance.builders import LEASE, Worker, a_job, succeeded
from tests.redis.conftest import OpenStore
from tests.worker.builders import DEADLINE, wait_for


class Sleeper:
    """A worker of a process of its own that rests."""

    def __init__(self, open_store: OpenStore, room: Room, *url: str) -> None:
        self.store = open_store(*url)
        self.rung = threading.Event()
        self.store.wake.on_jobs(self.rung.set)
        self.rest(room)

    def rest(self, room: Room) -> None:
        self.store.wake.rest(self.rung.set, room)

    def rise(self) -> None:
        self.store.wake.rise(self.rung.set)


def test_one_that_has_room_for_any_job_is_rung_and_no_other(open_store: OpenStore) -> None:
    sleepers = [Sleeper(open_store, "some"), Sleeper(open_store, "all"), Sleeper(open_store, "all")]

    open_store().jobs.add([a_job("a")])
    wait_for(lambda: any(sleeper.rung.is_set() for sleeper in sleepers))
    open_store().jobs.add([a_job("b")])
    wait_for(lambda: sum(sleeper.rung.is_set() for sleeper in sleepers) == 2)

    assert not sleepers[0].rung.is_set()


def test_where_there_is_none_all_that_have_some_room_are(open_store: OpenStore) -> None:
    sleepers = [Sleeper(open_store, "some"), Sleeper(open_store, "some")]

    open_store().jobs.add([a_job("a")])

    assert all(sleeper.rung.wait(DEADLINE) for sleeper in sleepers)


def test_one_that_is_busy_again_hands_the_ring_on(open_store: OpenStore) -> None:
    busy = Sleeper(open_store, "all")
    busy.rise()
    resting = Sleeper(open_store, "all")

    # Whoever is taken first: in the end it is the one that rests.
    open_store().jobs.add([a_job("a")])

    assert resting.rung.wait(DEADLINE)


def test_a_turn_that_leaves_nothing_says_that_its_process_rests(open_store: OpenStore) -> None:
    sleeper = Sleeper(open_store, "all")
    open_store().jobs.add([a_job("a")])
    assert sleeper.rung.wait(DEADLINE)
    sleeper.rung.clear()
    take_turn(sleeper)

    open_store().jobs.add([a_job("b")])

    assert sleeper.rung.wait(DEADLINE)


def test_one_that_takes_all_that_it_has_room_for_does_not(
    open_store: OpenStore, client: Any, name: str
) -> None:
    sleeper = Sleeper(open_store, "all")
    open_store().jobs.add([a_job("a"), a_job("b")])
    assert sleeper.rung.wait(DEADLINE)

    take_turn(sleeper)

    assert client.exists(f"{{{name}}}:resting:all") == 0


def take_turn(sleeper: Sleeper) -> None:
    """A turn of its worker, which has room for two jobs in threads."""
    session = sleeper.store.sessions.open(kind="worker", lease=LEASE)
    wants: dict[Executor, int] = {"thread": 2, "asyncio": 1, "process": 1}
    sleeper.store.jobs.turn(session, (), claim=1, wants=wants, queues=None)


def test_one_that_is_gone_is_passed_over(open_store: OpenStore) -> None:
    gone, resting = Sleeper(open_store, "all"), Sleeper(open_store, "all")
    gone.store.close()
    wait_for(lambda: not _is_heard(gone))

    open_store().jobs.add([a_job("a")])

    assert resting.rung.wait(DEADLINE)


def _is_heard(sleeper: Sleeper) -> bool:
    channels = sleeper.store._link.ask("PUBSUB", "CHANNELS", "*bell:*")
    return len(channels) > 1


def test_who_waits_for_a_result_hears_of_its_end(open_store: OpenStore) -> None:
    worker, waiting = Worker(open_store()), open_store()
    worker.storage.jobs.add([a_job("a")])
    rung = threading.Event()
    forget = waiting.wake.on_end("a", rung.set)

    worker.settle(worker.claim_one(), succeeded())

    assert rung.wait(DEADLINE)
    forget()


def test_rubbish_on_the_channels_deafens_nobody(open_store: OpenStore, client: Any, name: str) -> None:
    sleeper, rung = Sleeper(open_store, "all"), threading.Event()
    forget = sleeper.store.wake.on_end("a", rung.set)
    for channel in (*client.pubsub_channels("*bell:*"), f"{{{name}}}:ended"):
        for rubbish in ("", "1e5", "[1", "[{}, 7]", "9" * 40, "\x00"):
            client.publish(channel, rubbish)
    sleeper.rest("all")
    worker = Worker(open_store())

    worker.storage.jobs.add([a_job("a")])
    worker.settle(worker.claim_one(), succeeded())

    assert rung.wait(DEADLINE)
    forget()


def test_after_a_restart_of_the_server_pushes_come_again(
    own_server: servers.Redis, open_store: OpenStore
) -> None:
    sleeper = Sleeper(open_store, "all", own_server.url)
    own_server.kill()
    own_server.start()
    wait_for(lambda: sleeper.store.wake.patience == 1.0)
    sleeper.rest("all")
    sleeper.rung.clear()

    open_store(own_server.url).jobs.add([a_job("a")])

    assert sleeper.rung.wait(DEADLINE)
