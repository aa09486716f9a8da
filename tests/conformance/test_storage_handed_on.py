"""Jobs whose task a worker did not know: they wait for one that knows it, and keep nobody else busy."""

from __future__ import annotations

import pytest

from taskmill._core.instant import HOUR, SECOND
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    Worker,
    a_job,
    handed_on,
    ids,
    job_of,
    released,
    retrying,
    snoozed,
    states_of,
    succeeded,
)

EVERYTHING = {"thread": 9, "asyncio": 9, "alone": 9, "elsewhere": 9}


@pytest.fixture
def other(storage: Storage) -> Worker:
    return Worker(storage)


def hand_on(worker: Worker) -> None:
    """Claim all there is and hand it on."""
    worker.turn(*(Settlement(claimed, handed_on()) for claimed in worker.claim()))


def test_who_does_not_know_the_task_neither_claims_it_again_nor_is_told_of_it(
    storage: Storage, worker: Worker
) -> None:
    storage.jobs.add([a_job("a")])
    hand_on(worker)

    turn = worker.turn(**EVERYTHING, knows=["other", "ad", "add "])

    assert (list(turn.claimed), turn.next_at) == ([], None)


def test_who_knows_it_claims_it_at_once_for_elsewhere(
    storage: Storage, worker: Worker, other: Worker
) -> None:
    storage.jobs.add([a_job("a")])
    hand_on(worker)

    [claimed] = other.turn(**EVERYTHING, knows=["add"]).claimed

    assert (claimed.job_id, claimed.executor, claimed.attempt, claimed.fence) == ("a", "elsewhere", 1, 2)


def test_who_knows_it_but_wants_none_from_elsewhere_leaves_it(storage: Storage, worker: Worker) -> None:
    storage.jobs.add([a_job("a")])
    hand_on(worker)

    turn = worker.turn(thread=9, asyncio=9, alone=9, knows=["add"])

    assert (list(turn.claimed), turn.next_at) == ([], None)


def test_it_can_be_seen(storage: Storage, worker: Worker) -> None:
    storage.jobs.add([a_job("a", executor="asyncio")])
    before = job_of(storage, "a").is_handed_on
    hand_on(worker)

    job = job_of(storage, "a")

    assert (before, job.is_handed_on, job.is_suspect, job.executor, job.attempt) == (
        False,
        True,
        False,
        "asyncio",
        0,
    )


def test_they_come_in_their_order_whatever_their_task(
    storage: Storage, worker: Worker, other: Worker
) -> None:
    storage.jobs.add(
        [
            a_job("low", priority=-1),
            a_job("first", task="z", queue="q"),
            a_job("second", task="b"),
            a_job("third", task="z"),
            a_job("high", task="b", priority=1, executor="asyncio"),
        ]
    )
    hand_on(worker)

    claimed = other.turn(elsewhere=4, knows=["z", "b", "add"]).claimed

    assert ids(claimed) == ["high", "first", "second", "third"]


def test_one_that_nobody_knows_does_not_stand_in_the_way(
    storage: Storage, worker: Worker, other: Worker
) -> None:
    storage.jobs.add([a_job("nobody's", task="gone"), a_job("a")])
    hand_on(worker)

    assert ids(other.turn(elsewhere=1, knows=["add"]).claimed) == ["a"]


def test_the_next_one_that_is_known_is_told_of(
    storage: Storage, worker: Worker, other: Worker, clock: FakeClock
) -> None:
    storage.jobs.add([a_job("a", max_attempts=2, task="b"), a_job("later")])
    hand_on(worker)
    [claimed] = other.turn(elsewhere=1, knows=["b"]).claimed
    other.settle(claimed, released(HOUR))

    assert other.turn(**EVERYTHING, knows=["b"]).next_at == clock.wall() + HOUR


def test_queues_are_heeded(storage: Storage, worker: Worker, other: Worker) -> None:
    storage.jobs.add([a_job("a", queue="q")])
    hand_on(worker)

    assert not other.turn(**EVERYTHING, knows=["add"], queues=["other"]).claimed
    assert ids(other.turn(**EVERYTHING, knows=["add"], queues=["q"]).claimed) == ["a"]


def test_its_lock_is_heeded(storage: Storage, worker: Worker, other: Worker) -> None:
    storage.jobs.add([a_job("a", task="b", lock="L"), a_job("c", lock="L")])
    worker.settle(worker.claim_one(), handed_on())
    [holder] = worker.claim()

    assert not other.turn(**EVERYTHING, knows=["b"]).claimed
    worker.settle(holder, succeeded())
    assert ids(other.turn(**EVERYTHING, knows=["b"]).claimed) == ["a"]


@pytest.mark.parametrize("ending", [retrying(), snoozed(SECOND)], ids=["retrying", "snoozed"])
def test_once_it_has_run_it_is_like_any_other(
    storage: Storage, worker: Worker, other: Worker, clock: FakeClock, ending: object
) -> None:
    storage.jobs.add([a_job("a", max_attempts=2)])
    hand_on(worker)
    [claimed] = other.turn(elsewhere=1, knows=["add"]).claimed
    other.settle(claimed, ending)  # type: ignore[arg-type]
    clock.travel(2.0)

    assert not job_of(storage, "a").is_handed_on
    assert worker.claim_one().executor == "thread"


def test_one_that_is_rescued_still_waits_for_who_knows_it(
    storage: Storage, worker: Worker, other: Worker
) -> None:
    storage.jobs.add([a_job("a")])
    hand_on(worker)
    other.turn(elsewhere=1, knows=["add"])
    storage.sessions.end(other.session)

    assert not worker.turn(**EVERYTHING, knows=["other"]).claimed
    assert ids(worker.turn(**EVERYTHING, knows=["add"]).claimed) == ["a"]


def test_a_suspect_stays_one(storage: Storage, worker: Worker, other: Worker) -> None:
    storage.jobs.add([a_job("a")])
    worker.start(worker.claim_one())
    worker.crash(alone=False)
    other.settle(other.claim_suspect(), handed_on())

    job = job_of(storage, "a")
    assert (job.is_suspect, job.is_handed_on) == (True, False)
    assert not other.turn(thread=9, elsewhere=9, knows=["add"]).claimed
    assert other.claim_suspect().job_id == "a"


def test_one_that_was_running_elsewhere_in_a_crash_becomes_a_suspect(
    storage: Storage, worker: Worker, other: Worker
) -> None:
    storage.jobs.add([a_job("a", executor="asyncio")])
    hand_on(worker)
    [claimed] = other.turn(elsewhere=1, knows=["add"]).claimed
    other.start(claimed)
    other.crash(alone=False)

    job = job_of(storage, "a")
    assert (job.is_suspect, job.is_handed_on, job.executor) == (True, False, "asyncio")
    assert worker.claim_suspect().job_id == "a"


def test_it_can_be_cancelled_and_ends_like_any_other(storage: Storage, worker: Worker, other: Worker) -> None:
    storage.jobs.add([a_job("a"), a_job("b")])
    hand_on(worker)
    storage.jobs.cancel("a")
    [claimed] = other.turn(**EVERYTHING, knows=["add"]).claimed
    other.settle(claimed, succeeded())

    assert states_of(storage) == {"a": "cancelled", "b": "succeeded"}
