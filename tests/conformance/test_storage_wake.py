"""The contract of `wake`: who waits in this process hears of each change that concerns it, once stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Event, Lock, Thread

import pytest

from taskmill._core.instant import HOUR, MINUTE
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.base import Storage
from taskmill._storage.wake import PATIENCE
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    Worker,
    a_job,
    a_pipeline,
    failed,
    fire,
    released,
    retrying,
    states_of,
    succeeded,
)
from tests.worker.builders import wait_for


class Bell:
    """How often it rang since it was last asked."""

    def __init__(self) -> None:
        self._rings = 0

    def __call__(self) -> None:
        self._rings += 1

    def has_rung(self) -> bool:
        rings, self._rings = self._rings, 0
        return rings > 0


@pytest.fixture
def bell(storage: Storage) -> Bell:
    """Rings when jobs may have become claimable."""
    bell = Bell()
    storage.wake.on_jobs(bell)
    return bell


@pytest.fixture
def ended(storage: Storage) -> Callable[[str], Bell]:
    def listen(job_id: str) -> Bell:
        bell = Bell()
        storage.wake.on_end(job_id, bell)
        return bell

    return listen


class TestWake:
    def test_added_jobs_ring(self, storage: Storage, bell: Bell) -> None:
        storage.jobs.add([a_job("a")])

        assert bell.has_rung()

    def test_delayed_jobs_ring_for_the_sake_of_timers(self, storage: Storage, bell: Bell) -> None:
        storage.jobs.add([a_job("a", delay=HOUR)])

        assert bell.has_rung()

    def test_whoever_stopped_listening_hears_nothing(self, storage: Storage) -> None:
        bell = Bell()
        stop = storage.wake.on_jobs(bell)
        stop()

        storage.jobs.add([a_job("a")])

        assert not bell.has_rung()

    @pytest.mark.parametrize("transition", [retrying(), released()])
    def test_a_turn_that_queues_a_job_again_rings(
        self, storage: Storage, worker: Worker, bell: Bell, transition: Transition
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        claimed = worker.claim_one()
        assert bell.has_rung()

        worker.settle(claimed, transition)

        assert bell.has_rung()

    def test_a_turn_that_unblocks_a_step_rings(self, storage: Storage, worker: Worker, bell: Bell) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        claimed = worker.claim_one()
        assert bell.has_rung()

        worker.settle(claimed, succeeded())

        assert bell.has_rung()

    def test_a_turn_that_frees_a_lock_rings(self, storage: Storage, worker: Worker, bell: Bell) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        [claimed] = worker.claim()
        assert bell.has_rung()

        worker.settle(claimed, succeeded())

        assert bell.has_rung()

    def test_a_turn_that_makes_nothing_claimable_is_silent(
        self, storage: Storage, worker: Worker, bell: Bell
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        assert bell.has_rung()

        worker.settle(claimed, succeeded())

        assert not bell.has_rung()

    def test_a_cancelled_waiter_that_lets_the_next_through_rings(
        self, storage: Storage, worker: Worker, bell: Bell
    ) -> None:
        storage.jobs.add([a_job(name, lock="L") for name in "abc"])
        [claimed] = worker.claim()
        worker.settle(claimed, succeeded())
        assert bell.has_rung()

        storage.jobs.cancel("b")

        assert bell.has_rung()

    def test_a_retry_rings(self, storage: Storage, bell: Bell) -> None:
        storage.jobs.add([a_job("a")])
        storage.jobs.cancel("a")
        assert bell.has_rung()

        storage.jobs.retry("a")

        assert bell.has_rung()

    def test_a_rescue_rings(self, storage: Storage, worker: Worker, clock: FakeClock, bell: Bell) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        clock.travel(31)
        assert bell.has_rung()

        storage.jobs.rescue()

        assert bell.has_rung()

    def test_a_rescue_that_finds_nothing_is_silent(
        self, storage: Storage, worker: Worker, bell: Bell
    ) -> None:
        storage.jobs.rescue()

        assert not bell.has_rung()

    def test_a_released_lock_rings(self, storage: Storage, worker: Worker, bell: Bell) -> None:
        token = storage.limits.acquire("L", worker.session)
        storage.jobs.add([a_job("a", lock="L")])
        worker.claim()
        assert token is not None
        assert bell.has_rung()

        storage.limits.release("L", worker.session, token)

        assert bell.has_rung()

    def test_an_ended_session_rings(self, storage: Storage, worker: Worker, bell: Bell) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        assert bell.has_rung()

        storage.sessions.end(worker.session)

        assert bell.has_rung()

    def test_a_purged_waiter_that_lets_the_next_through_rings(
        self, storage: Storage, worker: Worker, bell: Bell
    ) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L", queue="x"), a_job("c", lock="L")])
        [claimed] = worker.claim()
        worker.settle(claimed, succeeded())
        assert bell.has_rung()

        storage.jobs.purge(queue="x", ended=False, limit=9)

        assert bell.has_rung()

    def test_a_schedule_that_fires_rings(self, storage: Storage, clock: FakeClock, bell: Bell) -> None:
        storage.schedules.register(name="s", task="add", spec="x")

        fire(storage, "s", slot=clock.wall() + 1, fire=a_job("a"))

        assert bell.has_rung()

    @pytest.mark.parametrize("ending", [succeeded(), failed()])
    def test_an_ended_job_rings_for_those_who_wait_for_it(
        self, storage: Storage, worker: Worker, ended: Callable[[str], Bell], ending: Transition
    ) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        a, b = ended("a"), ended("b")

        worker.settle(worker.claim_one(), ending)

        assert a.has_rung()
        assert not b.has_rung()

    def test_a_job_that_goes_on_rings_for_nobody(
        self, storage: Storage, worker: Worker, ended: Callable[[str], Bell]
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        bell = ended("a")

        worker.settle(worker.claim_one(), retrying())

        assert not bell.has_rung()

    def test_a_job_deleted_by_its_success_rings(
        self, storage: Storage, worker: Worker, ended: Callable[[str], Bell]
    ) -> None:
        storage.jobs.add([a_job("a", result_ttl=0)])
        bell = ended("a")

        worker.settle(worker.claim_one(), succeeded())

        assert bell.has_rung()

    def test_a_job_whose_cancel_was_requested_rings_when_it_is_cancelled(
        self, storage: Storage, worker: Worker, ended: Callable[[str], Bell]
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        claimed = worker.claim_one()
        bell = ended("a")
        storage.jobs.cancel("a")
        assert not bell.has_rung()

        worker.settle(claimed, retrying())

        assert bell.has_rung()

    def test_steps_cancelled_for_a_failure_ring(
        self, storage: Storage, worker: Worker, ended: Callable[[str], Bell]
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))
        last = ended("c")

        worker.settle(worker.claim_one(), failed())

        assert last.has_rung()

    def test_an_expired_job_rings(
        self, storage: Storage, worker: Worker, clock: FakeClock, ended: Callable[[str], Bell]
    ) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])
        bell = ended("a")
        clock.travel(60)

        worker.turn()

        assert bell.has_rung()

    def test_a_cancelled_job_rings_with_its_later_steps(
        self, storage: Storage, ended: Callable[[str], Bell]
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        first, last = ended("a"), ended("b")

        storage.jobs.cancel("a")

        assert first.has_rung()
        assert last.has_rung()

    @pytest.mark.parametrize("how", ["end", "rescue"])
    def test_a_job_that_is_cancelled_instead_of_taken_back_rings(
        self, storage: Storage, worker: Worker, clock: FakeClock, ended: Callable[[str], Bell], how: str
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        storage.jobs.cancel("a")
        bell = ended("a")
        clock.travel(31)

        if how == "end":
            storage.sessions.end(worker.session)
        else:
            storage.jobs.rescue()

        assert bell.has_rung()

    def test_a_purged_job_rings(self, storage: Storage, ended: Callable[[str], Bell]) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        bells = [ended("a"), ended("b")]

        storage.jobs.purge(queue=None, ended=False, limit=9)

        assert all(bell.has_rung() for bell in bells)

    def test_a_pruned_job_rings(
        self, storage: Storage, worker: Worker, clock: FakeClock, ended: Callable[[str], Bell]
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), succeeded())
        bell = ended("a")
        clock.travel(timedelta(days=2))

        storage.jobs.prune(limit=9)

        assert bell.has_rung()

    def test_whoever_looked_and_found_nothing_has_no_news_when_it_rests_again(
        self, storage: Storage, worker: Worker, bell: Bell
    ) -> None:
        def rests_after_a_turn() -> bool:
            seen = worker.turn(thread=1).version
            storage.wake.rest(bell, "all")
            has_news = storage.version() != seen
            storage.wake.rise(bell)
            return not has_news

        rests_after_a_turn()
        wait_for(lambda: storage.wake.patience == PATIENCE, "others can ring it")

        wait_for(rests_after_a_turn, "it can rest")

    def test_whoever_is_woken_finds_the_change_stored_and_the_store_free(
        self, storage: Storage, worker: Worker
    ) -> None:
        seen: list[dict[str, str]] = []
        was_free: list[bool] = []

        def look() -> None:
            storage.jobs.add([a_job("from elsewhere")])
            seen.append(states_of(storage))

        thread = Thread(target=look)
        first, is_over = Lock(), Event()

        def ring() -> None:
            # A store with a server may ring twice: at once, and when the server says so as well.
            if first.acquire(blocking=False):
                thread.start()
                thread.join(20)
                was_free.append(not thread.is_alive())
                is_over.set()

        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        storage.wake.on_end("a", ring)

        worker.turn(Settlement(claimed, succeeded()))

        assert is_over.wait(45)
        assert seen == [{"a": "succeeded", "from elsewhere": "queued"}]
        assert was_free == [True]
