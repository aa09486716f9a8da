"""The contract of `inspection` and of the store itself."""

from __future__ import annotations

import pytest

from taskmill._core.filter import Filter
from taskmill._core.instant import HOUR, MINUTE
from taskmill._core.job import Reason, State
from taskmill._core.lifecycle import Settlement
from taskmill._storage.base import Outcome, Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    BOOM,
    Worker,
    a_job,
    a_pipeline,
    failed,
    fire,
    ids,
    job_of,
    retrying,
    succeeded,
)


class TestInspection:
    def test_the_outcome_of_a_job_that_has_not_ended_is_its_state(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])

        assert storage.inspection.outcome("a") == Outcome("add", State.QUEUED, None, None, None)
        worker.claim_one()
        assert storage.inspection.outcome("a") == Outcome("add", State.RUNNING, None, None, None)

    def test_the_outcome_of_a_success_is_its_result(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), succeeded("[5]"))

        assert storage.inspection.outcome("a") == Outcome("add", State.SUCCEEDED, None, "[5]", None)

    def test_a_large_result_is_whole(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        large = "é" * 500_000 + "x"
        worker.settle(worker.claim_one(), succeeded(large))

        outcome = storage.inspection.outcome("a")

        assert outcome is not None
        assert outcome.result == large

    def test_the_outcome_of_a_failure_is_its_error(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), failed())

        assert storage.inspection.outcome("a") == Outcome("add", State.FAILED, Reason.ERROR, None, BOOM)

    def test_what_is_not_stored_is_none(self, storage: Storage) -> None:
        assert storage.inspection.outcome("nobody") is None
        assert storage.inspection.job("nobody") is None

    def test_jobs_are_found_newest_first(self, storage: Storage) -> None:
        storage.jobs.add([a_job("b"), a_job("a")])
        storage.jobs.add([a_job("c")])

        assert ids(storage.inspection.find()) == ["c", "a", "b"]

    def test_no_more_are_found_than_the_limit(self, storage: Storage) -> None:
        storage.jobs.add([a_job(f"{number}") for number in range(120)])

        assert ids(storage.inspection.find(limit=2)) == ["119", "118"]
        assert len(storage.inspection.find()) == 100

    def test_jobs_are_found_by_state_task_and_queue(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", task="one"), a_job("b", task="two"), a_job("c", task="two", queue="x")])
        worker.claim(1)

        assert ids(storage.inspection.find(Filter(states=[State.RUNNING]))) == ["a"]
        assert ids(storage.inspection.find(Filter(states={State.RUNNING, State.QUEUED}))) == ["c", "b", "a"]
        assert ids(storage.inspection.find(Filter(states=[State.FAILED]))) == []
        assert ids(storage.inspection.find(Filter(task="two"))) == ["c", "b"]
        assert ids(storage.inspection.find(Filter(task="two", queue="x"))) == ["c"]
        assert ids(storage.inspection.find(Filter(queue="nobody"))) == []

    def test_a_pipeline_is_found_by_step(self, storage: Storage) -> None:
        storage.jobs.add(a_pipeline("z", "y", "x") + a_pipeline("other", pipeline="q"))

        assert ids(storage.inspection.steps("p")) == ["z", "y", "x"]
        assert ids(storage.inspection.steps("p", limit=1)) == ["z"]
        assert ids(storage.inspection.steps("nobody")) == []

    def test_what_is_found_is_the_job_without_its_attempts(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        worker.settle(worker.claim_one(), retrying())

        [found] = storage.inspection.find()

        assert found.attempts == ()
        assert len(job_of(storage, "a").attempts) == 1

    def test_recent_jobs_come_with_their_attempts(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        clock.travel(1)
        worker.settle(worker.claim_one(), retrying(HOUR))

        [recent] = storage.inspection.recent(10)

        assert recent == job_of(storage, "a")
        assert len(recent.attempts) == 1

    def test_whatever_happened_last_is_recent(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("ended"), a_job("running"), a_job("retried", max_attempts=2)])
        clock.travel(1)
        ended, _, retried = worker.claim()
        clock.travel(1)
        worker.turn(Settlement(ended, succeeded()), Settlement(retried, retrying(HOUR)))
        clock.travel(1)
        storage.jobs.add([a_job("added")])

        assert {"ended", "retried", "added"} <= set(ids(storage.inspection.recent(3)))

    def test_an_old_job_is_recent_once_something_happens_to_it(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("old")])
        for number in range(50):
            clock.travel(1)
            storage.jobs.add([a_job(f"{number}", queue="x")])
        clock.travel(1)
        worker.settle(worker.claim_one(), failed())

        assert "old" in ids(storage.inspection.recent(1))

    def test_an_empty_store_has_nothing_to_show(self, storage: Storage) -> None:
        assert list(storage.inspection.find()) == []
        assert list(storage.inspection.recent(9)) == []
        assert list(storage.inspection.queues()) == []
        assert list(storage.inspection.sessions()) == []
        assert list(storage.schedules.list()) == []
        assert list(storage.limits.list()) == []

    def test_queues_are_counted_by_state(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([*a_pipeline("a", "b", queue="y"), a_job("c", queue="x"), a_job("d", queue="x")])
        worker.settle(worker.claim(1)[0], failed())
        worker.claim(1)

        x, y = storage.inspection.queues()

        assert (x.queue, y.queue) == ("x", "y")
        assert {state: number for state, number in x.states.items() if number} == {
            "running": 1,
            "queued": 1,
        }
        assert {state: number for state, number in y.states.items() if number} == {
            "failed": 1,
            "cancelled": 1,
        }

    def test_due_is_what_could_be_claimed_now(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("holder", lock="L"), a_job("waiter", lock="L")])
        worker.claim()
        storage.jobs.add([a_job("now"), a_job("later", delay=MINUTE), *a_pipeline("first", "second")])

        [before] = storage.inspection.queues()
        clock.travel(60)
        [after] = storage.inspection.queues()

        assert before.due == 2
        assert after.due == 3

    def test_an_expired_job_is_not_due(self, storage: Storage, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])
        clock.travel(60)

        [count] = storage.inspection.queues()

        assert (count.states[State.QUEUED], count.due) == (1, 0)


class TestStorage:
    def test_now_is_the_clocks_wall_time(self, storage: Storage, clock: FakeClock) -> None:
        clock.travel(5)

        assert storage.now() == clock.wall()

    def test_a_closed_store_opens_again_with_the_next_operation(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])

        storage.close()
        storage.close()

        assert ids(worker.claim()) == ["a"]

    def test_the_version_is_another_one_after_each_change(self, storage: Storage, worker: Worker) -> None:
        versions = [storage.version()]
        storage.jobs.add([a_job("a")])
        versions.append(storage.version())
        claimed = worker.claim_one()
        versions.append(storage.version())
        worker.settle(claimed, failed())
        versions.append(storage.version())
        storage.jobs.retry("a")
        versions.append(storage.version())

        assert len(set(versions)) == len(versions)

    def test_a_turn_tells_the_version_that_it_has_made(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.turn(thread=1)
        after_claim = storage.version()
        settled = worker.settle(claimed.claimed[0], succeeded())
        after_settlement = storage.version()
        empty = worker.turn(thread=1)

        assert claimed.version == after_claim
        assert settled.version == after_settlement
        assert empty.version == storage.version() == after_settlement

    def test_reading_does_not_change_the_version(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])
        version = storage.version()

        storage.inspection.find()
        storage.inspection.queues()

        assert storage.version() == version

    def test_operations_that_find_nothing_to_do_do_not_change_the_version(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", delay=HOUR), a_job("b", key="k", delay=HOUR)])
        storage.schedules.register(name="s", task="add", spec="x")
        storage.limits.acquire("L", worker.session)
        version = storage.version()

        storage.jobs.add([a_job("a"), a_job("c", key="k")])
        worker.turn(thread=5)
        storage.jobs.rescue()
        storage.jobs.cancel("nobody")
        storage.jobs.retry("a")
        storage.jobs.prune(limit=9)
        storage.jobs.purge(queue="x", ended=False, limit=9)
        storage.sessions.renew(worker.session)
        storage.sessions.end(99)
        storage.limits.acquire("L", worker.session)
        storage.limits.release("L", worker.session, 99)
        storage.schedules.register(name="s", task="add", spec="x")
        fire(storage, "s", slot=clock.wall(), fire=a_job("d"), skipped=1)

        assert storage.version() == version

    def test_whatever_others_can_see_changes_the_version(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        versions = [storage.version()]
        [held] = worker.claim()
        versions.append(storage.version())
        storage.jobs.cancel("a")
        versions.append(storage.version())
        token = storage.limits.acquire("M", worker.session)
        versions.append(storage.version())
        storage.limits.release("M", worker.session, token or 0)
        versions.append(storage.version())
        storage.schedules.register(name="s", task="add", spec="x")
        versions.append(storage.version())
        worker.settle(held, succeeded())
        versions.append(storage.version())
        storage.sessions.end(worker.session)
        versions.append(storage.version())

        assert len(set(versions)) == len(versions)

    def test_a_store_that_holds_something_exists(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])

        assert storage.exists()

    def test_a_store_names_its_url(self, storage: Storage) -> None:
        assert storage.url.startswith(("memory://", "sqlite:///", "postgresql://", "redis://"))

    @pytest.mark.parametrize("text", ["", "'; drop table taskmill_job; --", "ü\n\t☃ 🎉", "%_\\"])
    def test_texts_come_back_as_they_were(self, storage: Storage, worker: Worker, text: str) -> None:
        storage.jobs.add([a_job("a", args=text, task=text, queue=text, lock=text, key=text)])

        claimed = worker.claim_one()

        assert (claimed.args, claimed.task, claimed.queue) == (text, text, text)
        assert (job_of(storage, "a").lock, job_of(storage, "a").key) == (text, text)
        assert ids(storage.inspection.find(Filter(task=text, queue=text))) == ["a"]
