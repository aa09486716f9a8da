"""The contract of pipelines, wherever an operation meets them."""

from __future__ import annotations

import pytest

from taskmill._core.event import Notice
from taskmill._core.instant import DAY, HOUR, MINUTE, SECOND
from taskmill._core.job import Reason
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    Worker,
    a_job,
    a_pipeline,
    cancelled,
    failed,
    ids,
    job_of,
    retrying,
    run_at_of,
    snoozed,
    states_of,
    succeeded,
)


class TestPipelines:
    def test_only_the_first_step_can_be_claimed(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))

        assert ids(worker.claim()) == ["a"]

    def test_a_success_hands_its_result_to_the_next_step(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))

        turn = worker.turn(Settlement(worker.claim_one(), succeeded("[7]")), thread=9)

        [second] = turn.claimed
        assert (second.job_id, second.given) == ("b", "[7]")
        assert list(turn.notices) == [Notice("unblocked", "b")]
        assert states_of(storage) == {"a": "succeeded", "b": "running", "c": "blocked"}

    def test_a_result_of_a_megabyte_is_handed_on(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        large = "é" * 500_000 + "x"
        worker.settle(worker.claim_one(), succeeded(large))

        assert worker.claim_one().given == large

    def test_a_pipeline_ends_with_its_last_step(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        worker.settle(worker.claim_one(), succeeded())

        turn = worker.settle(worker.claim_one(), succeeded())

        assert list(turn.notices) == []
        assert states_of(storage) == {"a": "succeeded", "b": "succeeded"}

    def test_the_delay_of_a_step_counts_from_its_unblocking(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", pipeline="p"), a_job("b", pipeline="p", step=1, delay=MINUTE)])
        clock.travel(600)

        turn = worker.turn(Settlement(worker.claim_one(), succeeded()), thread=9)

        assert ids(turn.claimed) == []
        assert turn.next_at == run_at_of(storage, "b") == clock.wall() + MINUTE

    def test_a_step_without_delay_is_due_when_it_is_unblocked(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        clock.travel(600)

        worker.settle(worker.claim_one(), succeeded())

        assert run_at_of(storage, "b") == clock.wall()

    def test_a_step_with_a_run_at_of_its_own_waits_for_that(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        moment = clock.wall() + HOUR
        storage.jobs.add(
            [a_job("a", pipeline="p"), a_job("b", pipeline="p", step=1, run_at=moment, delay=SECOND)]
        )
        clock.travel(600)

        worker.settle(worker.claim_one(), succeeded())

        assert run_at_of(storage, "b") == moment

    def test_a_step_whose_run_at_has_passed_is_due_when_it_is_unblocked(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(
            [a_job("a", pipeline="p"), a_job("b", pipeline="p", step=1, run_at=clock.wall(), delay=DAY)]
        )
        clock.travel(600)

        worker.settle(worker.claim_one(), succeeded())

        assert ids(worker.claim()) == ["b"]

    @pytest.mark.parametrize("ending", [failed(), cancelled()])
    def test_a_step_that_does_not_succeed_cancels_all_later_ones(
        self, storage: Storage, worker: Worker, ending: Transition
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))

        turn = worker.settle(worker.claim_one(), ending)

        assert set(turn.notices) == {
            Notice("cancelled", "b", Reason.STEP_BEFORE),
            Notice("cancelled", "c", Reason.STEP_BEFORE),
        }
        assert states_of(storage) == {"a": ending.state, "b": "cancelled", "c": "cancelled"}
        assert job_of(storage, "c").reason == Reason.STEP_BEFORE

    def test_a_later_failure_leaves_the_earlier_steps(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))
        worker.settle(worker.claim_one(), succeeded())

        worker.settle(worker.claim_one(), failed())

        assert states_of(storage) == {"a": "succeeded", "b": "failed", "c": "cancelled"}

    @pytest.mark.parametrize("transition", [retrying(MINUTE), snoozed(MINUTE)])
    def test_a_step_that_will_run_again_leaves_the_later_ones_blocked(
        self, storage: Storage, worker: Worker, transition: Transition
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", max_attempts=2))

        turn = worker.settle(worker.claim_one(), transition)

        assert list(turn.notices) == []
        assert states_of(storage) == {"a": "queued", "b": "blocked"}

    def test_a_repeated_success_unblocks_nothing_twice(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))
        first = worker.claim_one()
        worker.settle(first, succeeded())
        worker.settle(worker.claim_one(), succeeded())

        turn = worker.settle(first, succeeded())

        assert list(turn.notices) == []
        assert states_of(storage) == {"a": "succeeded", "b": "succeeded", "c": "queued"}

    def test_a_stale_success_unblocks_nothing(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        lost = worker.claim_one()
        clock.travel(31)
        storage.jobs.rescue()

        worker.settle(lost, succeeded())

        assert states_of(storage) == {"a": "queued", "b": "blocked"}

    def test_pipelines_do_not_touch_each_other(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a1", "a2", pipeline="a") + a_pipeline("b1", "b2", pipeline="b"))
        a1, b1 = worker.claim()

        worker.turn(Settlement(a1, failed()), Settlement(b1, succeeded()))

        assert states_of(storage) == {"a1": "failed", "a2": "cancelled", "b1": "succeeded", "b2": "queued"}

    def test_a_result_with_no_ttl_stays_while_a_later_step_needs_it(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", result_ttl=0))
        worker.settle(worker.claim_one(), succeeded("of a"))

        assert states_of(storage) == {"a": "succeeded", "b": "queued"}
        second = worker.claim_one()
        assert second.given == "of a"
        worker.settle(second, succeeded())
        assert states_of(storage) == {"a": "succeeded"}
        assert storage.jobs.prune(limit=9) == 1

    def test_a_long_pipeline_is_cancelled_to_its_end(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline(*(f"{number}" for number in range(1_500))))

        turn = worker.settle(worker.claim_one(), failed())

        assert len(turn.notices) == 1_499

    def test_cancelling_a_waiting_step_cancels_the_later_ones(self, storage: Storage) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))

        answer, notices = storage.jobs.cancel("a")

        assert answer == "cancelled"
        assert set(notices) == {
            Notice("cancelled", "a", Reason.REVOKED),
            Notice("cancelled", "b", Reason.STEP_BEFORE),
            Notice("cancelled", "c", Reason.STEP_BEFORE),
        }

    def test_cancelling_a_blocked_step_leaves_the_earlier_ones(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))

        answer, notices = storage.jobs.cancel("b")
        turn = worker.settle(worker.claim_one(), succeeded())

        assert answer == "cancelled"
        assert len(notices) == 2
        assert list(turn.notices) == []
        assert states_of(storage) == {"a": "succeeded", "b": "cancelled", "c": "cancelled"}

    @pytest.mark.parametrize("how", ["settle", "end", "rescue"])
    def test_a_running_step_that_is_cancelled_takes_the_later_ones_along(
        self, storage: Storage, worker: Worker, clock: FakeClock, how: str
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", max_attempts=5))
        claimed = worker.claim_one()
        storage.jobs.cancel("a")
        assert states_of(storage) == {"a": "running", "b": "blocked"}

        match how:
            case "settle":
                notices = worker.settle(claimed, retrying()).notices
            case "end":
                notices = storage.sessions.end(worker.session)
            case _:
                clock.travel(31)
                notices = storage.jobs.rescue()

        assert set(notices) == {
            Notice("cancelled", "a", Reason.REVOKED),
            Notice("cancelled", "b", Reason.STEP_BEFORE),
        }

    def test_a_rescued_step_leaves_the_later_ones_blocked(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        worker.claim_one()
        clock.travel(31)

        storage.jobs.rescue()

        assert states_of(storage) == {"a": "queued", "b": "blocked"}


class TestRetryOfSteps:
    def test_retrying_a_failed_step_blocks_the_later_ones_again(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))
        worker.settle(worker.claim_one(), failed())

        assert storage.jobs.retry("a") is True

        assert states_of(storage) == {"a": "queued", "b": "blocked", "c": "blocked"}
        job = job_of(storage, "c")
        assert (job.reason, job.ended_at) == (None, None)

    def test_a_retried_pipeline_runs_to_its_end(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))
        worker.settle(worker.claim_one(), succeeded("of a"))
        worker.settle(worker.claim_one(), failed())
        storage.jobs.retry("b")

        second = worker.claim_one()
        worker.settle(second, succeeded("of b"))
        third = worker.claim_one()
        worker.settle(third, succeeded())

        assert (second.given, third.given) == ("of a", "of b")
        assert set(states_of(storage).values()) == {"succeeded"}

    def test_a_step_whose_step_before_has_not_succeeded_cannot_be_retried(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))
        worker.settle(worker.claim_one(), failed())

        assert storage.jobs.retry("b") is False
        assert storage.jobs.retry("c") is False
        assert states_of(storage) == {"a": "failed", "b": "cancelled", "c": "cancelled"}

    def test_a_cancelled_step_can_be_retried_once_the_step_before_has_succeeded(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c"))
        storage.jobs.cancel("b")
        assert storage.jobs.retry("b") is False
        worker.settle(worker.claim_one(), succeeded("of a"))

        assert storage.jobs.retry("b") is True

        assert states_of(storage) == {"a": "succeeded", "b": "queued", "c": "blocked"}
        assert worker.claim_one().given == "of a"

    def test_a_step_whose_step_before_is_no_longer_stored_cannot_be_retried(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        worker.settle(worker.claim_one(), succeeded())
        worker.settle(worker.claim_one(), failed())
        storage.jobs.purge(queue=None, ended=True, limit=1)

        assert storage.jobs.retry("b") is False
        assert states_of(storage) == {"b": "failed"}

    def test_steps_that_were_cancelled_for_another_steps_sake_stay_so(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", "c", "d"))
        storage.jobs.cancel("c")
        worker.settle(worker.claim_one(), failed())

        storage.jobs.retry("a")

        assert states_of(storage) == {"a": "queued", "b": "blocked", "c": "cancelled", "d": "cancelled"}

    def test_no_step_is_blocked_behind_one_that_is_no_longer_stored(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add(
            [
                a_job("a", pipeline="p"),
                a_job("b", pipeline="p", step=1, result_ttl=0),
                a_job("c", pipeline="p", step=2),
            ]
        )
        worker.settle(worker.claim_one(), failed())
        storage.jobs.prune(limit=9)
        assert states_of(storage) == {"a": "failed", "c": "cancelled"}

        storage.jobs.retry("a")

        assert states_of(storage) == {"a": "queued", "c": "cancelled"}

    def test_a_retried_step_and_those_behind_it_no_longer_expire(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(a_pipeline("a", "b", expires_in=MINUTE))
        worker.settle(worker.claim_one(), failed())
        clock.travel(3_600)

        storage.jobs.retry("a")
        worker.turn()

        assert states_of(storage) == {"a": "queued", "b": "blocked"}
