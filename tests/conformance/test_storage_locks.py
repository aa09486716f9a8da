"""The contract of locks: those that jobs take in `turn`, and those of `limits`."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from taskmill._core.event import Notice
from taskmill._core.instant import HOUR, MINUTE, to_datetime
from taskmill._core.job import Reason
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Storage
from taskmill._storage.open import is_shared
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    CRASH,
    LEASE,
    Worker,
    a_job,
    a_pipeline,
    failed,
    ids,
    job_of,
    released,
    retrying,
    snoozed,
    states_of,
    succeeded,
)


def waiting_for(storage: Storage, lock: str) -> list[str]:
    """Who is parked at *lock*, in the order of adding."""
    return [job.job_id for job in reversed(storage.inspection.find()) if job.waits_for == lock]


def a_dead_holder_of(lock: str, url: str, parent: int) -> int:
    """The session of a process that is gone, with a living *parent*."""
    holder = (
        "import os, sys\n"
        "from taskmill._storage.open import open_storage\n"
        "from taskmill.testing import FakeClock\n"
        "lock, url, lease, parent = sys.argv[1:]\n"
        "storage = open_storage(url, clock=FakeClock())\n"
        "session = storage.sessions.open(kind='worker', lease=int(lease), parent=int(parent))\n"
        "assert storage.limits.acquire(lock, session) is not None\n"
        "print(session, flush=True)\n"
        "os._exit(1)\n"
    )
    command = [sys.executable, "-c", holder, lock, url, str(LEASE), str(parent)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return int(done.stdout)


class TestLocks:
    def test_a_claimed_job_takes_its_lock(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a", lock="L")])
        clock.travel(1)

        worker.claim_one()

        [lock] = storage.limits.list()
        assert (lock.name, lock.session, lock.job_id) == ("L", worker.session, "a")
        assert lock.since == to_datetime(clock.wall())

    def test_a_queued_job_holds_no_lock(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a", lock="L")])

        assert list(storage.limits.list()) == []

    def test_a_job_whose_lock_is_held_waits_for_it(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L")])
        worker.claim_one()
        storage.jobs.add([a_job("b", lock="L")])

        claimed = Worker(storage).claim()

        assert ids(claimed) == []
        job = job_of(storage, "b")
        assert (job.state, job.waits_for, job.attempt, job.fence) == ("queued", "L", 0, 0)

    def test_of_two_in_one_claim_the_first_gets_the_lock(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("low", lock="L"), a_job("high", lock="L", priority=5)])

        assert ids(worker.claim()) == ["high"]
        assert waiting_for(storage, "L") == ["low"]

    @pytest.mark.parametrize("priority", [0, 5])
    def test_waiting_leaves_room_for_the_next_in_the_queue(
        self, storage: Storage, worker: Worker, priority: int
    ) -> None:
        storage.jobs.add([a_job(f"locked {number}", lock="L", priority=priority) for number in range(10)])
        storage.jobs.add([a_job("free 1"), a_job("free 2"), a_job("free 3")])

        assert ids(worker.claim(3)) == ["locked 0", "free 1", "free 2"]

    def test_other_locks_are_others(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="M")])

        assert ids(worker.claim()) == ["a", "b"]

    def test_one_that_waits_is_not_looked_at_until_the_lock_is_freed(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L", priority=5)])
        [held] = worker.claim()
        assert held.job_id == "b"

        for _ in range(3):
            clock.travel(1)
            assert ids(worker.claim()) == []
        worker.settle(held, succeeded())

        assert ids(worker.claim()) == ["a"]

    def test_a_freed_lock_goes_to_the_first_waiter_in_the_same_turn(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        [held] = worker.claim()

        turn = worker.turn(Settlement(held, succeeded()), thread=5)

        assert ids(turn.claimed) == ["b"]
        assert [lock.job_id for lock in storage.limits.list()] == ["b"]

    def test_only_one_waiter_is_let_through(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(name, lock="L") for name in "abcd"])
        [held] = worker.claim()

        worker.settle(held, succeeded())

        assert waiting_for(storage, "L") == ["c", "d"]

    def test_the_first_waiter_is_the_first_by_priority_then_run_at_then_order_of_adding(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("holder", lock="L", priority=9)])
        now = clock.wall()
        storage.jobs.add(
            [
                a_job("fourth", lock="L", run_at=now),
                a_job("fifth", lock="L", run_at=now),
                a_job("third", lock="L", run_at=now - 1),
                a_job("second", lock="L", priority=1),
                a_job("sixth", lock="L", priority=-1, run_at=now - HOUR),
            ]
        )
        claimed = worker.claim()

        order = []
        while claimed:
            [held] = claimed
            order.append(held.job_id)
            claimed = worker.turn(Settlement(held, succeeded()), thread=9).claimed

        assert order == ["holder", "second", "third", "fourth", "fifth", "sixth"]

    def test_a_failure_a_retry_and_a_snooze_free_the_lock(self, storage: Storage, worker: Worker) -> None:
        for number, transition in enumerate([failed(), retrying(HOUR), snoozed(HOUR), released(HOUR)]):
            name = f"{number}"
            storage.jobs.add([a_job(name, lock="L", max_attempts=2)])

            worker.settle(worker.claim_one(), transition)

            assert list(storage.limits.list()) == []

    def test_a_job_that_comes_back_takes_the_lock_anew(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L", max_attempts=2)])
        worker.settle(worker.claim_one(), retrying())

        again = worker.claim_one()

        assert again.attempt == 2
        assert [lock.job_id for lock in storage.limits.list()] == ["a"]

    def test_a_job_deleted_by_its_success_frees_the_lock(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L", result_ttl=0), a_job("b", lock="L")])
        [held] = worker.claim()

        turn = worker.turn(Settlement(held, succeeded()), thread=5)

        assert ids(turn.claimed) == ["b"]
        assert states_of(storage) == {"b": "running"}

    def test_a_stale_settlement_frees_no_lock(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", lock="L")])
        lost = worker.claim_one()
        clock.travel(31)
        storage.jobs.rescue()
        heir = Worker(storage)
        heir.claim_one()

        worker.settle(lost, succeeded())

        assert [lock.session for lock in storage.limits.list()] == [heir.session]

    def test_a_repeated_settlement_does_not_free_the_next_holders_lock(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        [held] = worker.claim()
        worker.turn(Settlement(held, succeeded()), thread=5)

        worker.settle(held, succeeded())

        assert [lock.job_id for lock in storage.limits.list()] == ["b"]

    def test_a_cancelled_waiter_that_was_let_through_lets_the_next_through(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job(name, lock="L") for name in "abc"])
        [held] = worker.claim()
        worker.settle(held, succeeded())

        storage.jobs.cancel("b")

        assert waiting_for(storage, "L") == []
        assert ids(worker.claim()) == ["c"]

    def test_an_expired_waiter_that_was_let_through_lets_the_next_through(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(
            [a_job("a", lock="L"), a_job("b", lock="L", expires_in=MINUTE), a_job("c", lock="L")]
        )
        [held] = worker.claim()
        worker.settle(held, succeeded())
        clock.travel(60)

        assert ids(worker.claim()) == ["c"]

    def test_cancelling_a_waiter_while_the_lock_is_held_lets_nobody_through(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job(name, lock="L") for name in "abc"])
        worker.claim()

        storage.jobs.cancel("b")

        assert waiting_for(storage, "L") == ["c"]
        assert job_of(storage, "b").waits_for is None

    def test_a_waiter_in_a_queue_that_nobody_serves_blocks_the_others_only_until_the_rescue(
        self, storage: Storage, worker: Worker
    ) -> None:
        other = Worker(storage)
        storage.jobs.add([a_job("a", lock="L")])
        [held] = worker.claim()
        storage.jobs.add([a_job("unserved", lock="L", queue="x"), a_job("b", lock="L")])
        assert ids(other.claim()) == []
        worker.settle(held, succeeded())
        assert ids(worker.claim(queues=["default"])) == []

        storage.jobs.rescue()

        assert ids(worker.claim(queues=["default"])) == ["b"]

    def test_a_waiter_whose_executor_is_elsewhere_blocks_the_others_only_until_the_rescue(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", lock="L")])
        [held] = worker.claim()
        storage.jobs.add([a_job("coroutine", lock="L", executor="asyncio"), a_job("b", lock="L")])
        assert ids(worker.claim()) == []
        worker.settle(held, succeeded())
        assert ids(worker.turn(thread=5).claimed) == []

        storage.jobs.rescue()

        assert ids(worker.turn(thread=5).claimed) == ["b"]

    def test_a_rescue_lets_nobody_through_to_a_lock_that_is_held(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        worker.claim()

        storage.jobs.rescue()

        assert waiting_for(storage, "L") == ["b"]

    def test_a_dead_holders_lock_is_freed_with_its_job(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        worker.claim()
        clock.travel(31)

        storage.jobs.rescue()

        assert list(storage.limits.list()) == []
        heir = Worker(storage)
        [held] = heir.claim()
        assert held.job_id == "a"
        assert ids(heir.turn(Settlement(held, succeeded()), thread=5).claimed) == ["b"]

    def test_ending_a_session_frees_the_locks_of_its_jobs(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        worker.claim()

        storage.sessions.end(worker.session)

        assert list(storage.limits.list()) == []
        assert ids(Worker(storage).claim()) == ["a"]

    def test_a_lock_within_a_pipeline_is_taken_and_freed_step_by_step(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("first", "second", lock="L"))
        [held] = worker.claim()

        turn = worker.turn(Settlement(held, succeeded()), thread=5)

        assert ids(turn.claimed) == ["second"]
        assert [lock.job_id for lock in storage.limits.list()] == ["second"]

    def test_a_job_waits_for_a_lock_that_a_caller_holds(self, storage: Storage, worker: Worker) -> None:
        token = storage.limits.acquire("L", worker.session)
        storage.jobs.add([a_job("a", lock="L")])
        assert ids(worker.claim()) == []
        assert token is not None

        storage.limits.release("L", worker.session, token)

        assert ids(worker.claim()) == ["a"]


class TestLimits:
    def test_a_free_lock_is_taken(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        clock.travel(1)

        token = storage.limits.acquire("L", worker.session)

        [lock] = storage.limits.list()
        assert lock == ("L", token, worker.session, None, to_datetime(clock.wall()))

    def test_a_held_lock_is_refused(self, storage: Storage, worker: Worker) -> None:
        storage.limits.acquire("L", worker.session)

        assert storage.limits.acquire("L", Worker(storage).session) is None

    def test_the_holder_is_refused_too(self, storage: Storage, worker: Worker) -> None:
        storage.limits.acquire("L", worker.session)

        assert storage.limits.acquire("L", worker.session) is None

    def test_a_lock_that_a_job_holds_is_refused(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L")])
        worker.claim_one()

        assert storage.limits.acquire("L", Worker(storage).session) is None

    def test_a_released_lock_is_free(self, storage: Storage, worker: Worker) -> None:
        token = storage.limits.acquire("L", worker.session)
        assert token is not None

        assert storage.limits.release("L", worker.session, token) is True
        assert list(storage.limits.list()) == []
        assert storage.limits.acquire("L", Worker(storage).session) is not None

    def test_only_the_owner_under_its_token_can_release(self, storage: Storage, worker: Worker) -> None:
        other = Worker(storage)
        token = storage.limits.acquire("L", worker.session)
        assert token is not None

        assert storage.limits.release("L", other.session, token) is False
        assert storage.limits.release("L", worker.session, token + 1) is False
        assert storage.limits.release("M", worker.session, token) is False
        assert len(storage.limits.list()) == 1

    def test_releasing_twice_is_refused_the_second_time(self, storage: Storage, worker: Worker) -> None:
        token = storage.limits.acquire("L", worker.session)
        assert token is not None
        storage.limits.release("L", worker.session, token)
        second = storage.limits.acquire("L", worker.session)

        assert storage.limits.release("L", worker.session, token) is False
        assert [lock.token for lock in storage.limits.list()] == [second]

    def test_the_lock_of_a_running_job_cannot_be_released_by_hand(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", lock="L")])
        worker.claim_one()
        [lock] = storage.limits.list()

        assert storage.limits.release("L", worker.session, lock.token) is False
        assert len(storage.limits.list()) == 1

    def test_tokens_only_grow(self, storage: Storage, worker: Worker) -> None:
        tokens = []
        for name in ["L", "M", "L", "L"]:
            token = storage.limits.acquire(name, worker.session)
            assert token is not None
            tokens.append(token)
            storage.limits.release(name, worker.session, token)

        assert tokens == sorted(set(tokens))

    def test_the_tokens_of_jobs_grow_with_the_others(self, storage: Storage, worker: Worker) -> None:
        first = storage.limits.acquire("M", worker.session)
        assert first is not None
        storage.jobs.add([a_job("a", lock="L")])
        worker.claim_one()

        [of_job] = [lock.token for lock in storage.limits.list() if lock.job_id == "a"]

        assert of_job > first

    def test_a_release_lets_the_first_waiting_job_through(self, storage: Storage, worker: Worker) -> None:
        token = storage.limits.acquire("L", worker.session)
        assert token is not None
        storage.jobs.add([a_job("low", lock="L"), a_job("high", lock="L", priority=5)])
        worker.claim()

        storage.limits.release("L", worker.session, token)

        assert waiting_for(storage, "L") == ["low"]
        assert ids(worker.claim()) == ["high"]

    def test_a_dead_sessions_lock_is_free_for_whoever_asks(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        token = storage.limits.acquire("L", worker.session)
        clock.travel(31)
        heir = Worker(storage)

        taken = storage.limits.acquire("L", heir.session)

        assert token is not None
        assert taken is not None
        assert taken > token
        assert storage.limits.release("L", worker.session, token) is False
        assert [lock.session for lock in storage.limits.list()] == [heir.session]

    def test_the_lock_of_a_dead_sessions_job_is_free_for_whoever_asks(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", lock="L")])
        held = worker.claim_one()
        clock.travel(31)
        heir = Worker(storage)
        token = storage.limits.acquire("L", heir.session)

        worker.settle(held, succeeded())

        assert [(lock.token, lock.session) for lock in storage.limits.list()] == [(token, heir.session)]

    def test_a_living_sessions_lock_is_not_free_however_old(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.limits.acquire("L", worker.session)
        for _ in range(10):
            clock.travel(20)
            storage.sessions.renew(worker.session)

        assert storage.limits.acquire("L", Worker(storage).session) is None

    def test_ending_a_session_frees_its_locks(self, storage: Storage, worker: Worker) -> None:
        storage.limits.acquire("L", worker.session)
        storage.limits.acquire("M", worker.session)

        storage.sessions.end(worker.session)

        assert list(storage.limits.list()) == []

    def test_ending_a_session_lets_the_jobs_through_that_wait_for_its_locks(
        self, storage: Storage, worker: Worker
    ) -> None:
        other = Worker(storage)
        storage.limits.acquire("L", other.session)
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        worker.claim()

        storage.sessions.end(other.session)

        assert waiting_for(storage, "L") == ["b"]
        assert ids(worker.claim()) == ["a"]

    def test_a_rescue_frees_the_locks_of_the_dead(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.limits.acquire("L", worker.session)
        clock.travel(31)

        storage.jobs.rescue()

        assert list(storage.limits.list()) == []

    def test_a_rescue_lets_the_jobs_through_that_wait_for_a_dead_caller(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.limits.acquire("L", worker.session)
        storage.jobs.add([a_job("a", lock="L")])
        Worker(storage).claim()
        clock.travel(31)

        storage.jobs.rescue()

        assert ids(Worker(storage).claim()) == ["a"]

    def test_a_session_that_has_ended_gets_no_lock(self, storage: Storage, worker: Worker) -> None:
        storage.sessions.end(worker.session)

        assert storage.limits.acquire("L", worker.session) is None
        assert list(storage.limits.list()) == []

    def test_a_session_that_is_dead_gets_no_lock(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        clock.travel(31)

        assert storage.limits.acquire("L", worker.session) is None

    def test_that_of_a_child_that_crashed_is_free_once_its_parent_has_buried_it(
        self, storage: Storage, worker: Worker
    ) -> None:
        if not is_shared(storage.url):
            pytest.skip("a store in memory has one process")
        parent = storage.sessions.open(kind="supervisor", lease=LEASE)
        child = a_dead_holder_of("L", storage.url, parent)

        before = storage.limits.acquire("L", worker.session)
        storage.jobs.bury(child, CRASH, alone=False)

        assert before is None
        assert storage.limits.acquire("L", worker.session) is not None

    def test_locks_are_listed_by_name(self, storage: Storage, worker: Worker) -> None:
        for name in ["b", "c", "a"]:
            storage.limits.acquire(name, worker.session)

        assert [lock.name for lock in storage.limits.list()] == ["a", "b", "c"]

    def test_a_cancelled_holder_frees_the_lock_once_it_ends(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", lock="L", max_attempts=3), a_job("b", lock="L")])
        [held] = worker.claim()
        storage.jobs.cancel("a")
        assert len(storage.limits.list()) == 1
        clock.travel(timedelta(seconds=1))

        turn = worker.turn(Settlement(held, retrying()), thread=5)

        assert ids(turn.claimed) == ["b"]
        assert list(turn.notices) == [Notice("cancelled", "a", Reason.REVOKED)]
