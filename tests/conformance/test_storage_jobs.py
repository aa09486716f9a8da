"""The contract of rescue, cancel and retry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from taskmill._core.event import Notice
from taskmill._core.instant import HOUR, MINUTE, SECOND, from_datetime
from taskmill._core.job import Reason
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    BOOM,
    Worker,
    a_job,
    cancelled,
    failed,
    ids,
    job_of,
    released,
    retrying,
    run_at_of,
    states_of,
    succeeded,
)


class TestRescue:
    def test_the_jobs_of_a_dead_session_are_queued_again(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        worker.claim()
        clock.travel(31)

        notices = storage.jobs.rescue()

        assert set(notices) == {Notice("rescued", "a"), Notice("rescued", "b")}
        assert states_of(storage) == {"a": "queued", "b": "queued"}

    def test_no_attempt_is_burnt_and_the_session_is_forgotten(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        clock.travel(31)

        storage.jobs.rescue()

        job = job_of(storage, "a")
        assert (job.attempt, job.fence, job.rescues, job.session) == (0, 1, 1, None)
        assert (job.claimed_at, job.started_at, job.attempts) == (None, None, ())

    def test_a_rescued_job_is_claimable_at_once_and_keeps_its_place(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        run_at = run_at_of(storage, "a")
        worker.claim_one()
        clock.travel(31)
        storage.jobs.add([a_job("b")])

        storage.jobs.rescue()

        assert run_at_of(storage, "a") == run_at
        assert ids(Worker(storage).claim()) == ["a", "b"]

    def test_rescues_are_counted(self, storage: Storage, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a")])
        for _ in range(3):
            Worker(storage).claim_one()
            clock.travel(31)
            storage.jobs.rescue()

        job = job_of(storage, "a")

        assert (job.rescues, job.fence, job.attempt) == (3, 3, 0)

    def test_a_session_that_renews_is_never_dead_however_old_its_job(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        for _ in range(100):
            clock.travel(20)
            assert storage.sessions.renew(worker.session) is True

        assert list(storage.jobs.rescue()) == []
        assert list(worker.settle(claimed, succeeded()).stale) == []

    def test_a_lease_that_has_not_run_out_protects(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        clock.travel(29.9)

        assert list(storage.jobs.rescue()) == []
        assert states_of(storage) == {"a": "running"}

    @pytest.mark.parametrize("step", [timedelta(days=1), timedelta(days=-1)])
    def test_a_step_of_the_wall_clock_kills_no_session(
        self, storage: Storage, worker: Worker, clock: FakeClock, step: timedelta
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        clock.step_wall(step)

        assert list(storage.jobs.rescue()) == []

    def test_a_lease_runs_out_although_the_wall_clock_was_set_back(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        clock.step_wall(timedelta(days=-1))
        clock.travel(31)

        assert list(storage.jobs.rescue()) == [Notice("rescued", "a")]

    def test_a_session_late_with_its_renewal_lives_until_somebody_rescues(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        clock.travel(31)

        assert storage.sessions.renew(worker.session) is True
        assert list(storage.jobs.rescue()) == []
        assert list(worker.settle(claimed, succeeded()).stale) == []

    def test_only_the_dead_lose_their_jobs(self, storage: Storage, clock: FakeClock) -> None:
        dead, alive = Worker(storage), Worker(storage)
        storage.jobs.add([a_job("a"), a_job("b")])
        dead.claim(1)
        alive.claim(1)
        clock.travel(20)
        storage.sessions.renew(alive.session)
        clock.travel(20)

        notices = storage.jobs.rescue()

        assert list(notices) == [Notice("rescued", "a")]
        assert states_of(storage) == {"a": "queued", "b": "running"}

    def test_jobs_of_every_queue_and_task_are_rescued(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", queue="x", task="one"), a_job("b", queue="y", executor="asyncio")])
        worker.claim()
        clock.travel(31)

        assert len(storage.jobs.rescue()) == 2

    def test_the_dead_session_is_removed(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        clock.travel(31)

        storage.jobs.rescue()

        assert list(storage.inspection.sessions()) == []
        assert storage.sessions.renew(worker.session) is False

    def test_a_second_rescue_finds_nothing(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        clock.travel(31)
        storage.jobs.rescue()

        assert list(storage.jobs.rescue()) == []
        assert job_of(storage, "a").rescues == 1

    def test_a_job_whose_cancel_was_requested_is_cancelled_instead(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        storage.jobs.cancel("a")
        clock.travel(31)

        notices = storage.jobs.rescue()

        job = job_of(storage, "a")
        assert list(notices) == [Notice("cancelled", "a", Reason.REVOKED)]
        assert (job.state, job.reason, job.session) == ("cancelled", Reason.REVOKED, None)
        assert len(worker.settle(claimed, succeeded()).stale) == 1

    def test_the_history_of_earlier_attempts_stays(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=3)])
        worker.settle(worker.claim_one(), retrying())
        worker.claim_one()
        clock.travel(31)

        storage.jobs.rescue()

        job = job_of(storage, "a")
        assert (job.attempt, job.fence) == (1, 2)
        assert [attempt.number for attempt in job.attempts] == [1]


class TestCancel:
    @pytest.mark.parametrize("options", [{}, {"delay": HOUR}, {"queue": "nobody"}])
    def test_a_waiting_job_will_never_run(
        self, storage: Storage, worker: Worker, clock: FakeClock, options: dict[str, Any]
    ) -> None:
        storage.jobs.add([a_job("a", **options)])

        answer, notices = storage.jobs.cancel("a")

        job = job_of(storage, "a")
        assert answer == "cancelled"
        assert list(notices) == [Notice("cancelled", "a", Reason.REVOKED)]
        assert (job.state, job.reason) == ("cancelled", Reason.REVOKED)
        assert job.ended_at is not None
        assert from_datetime(job.ended_at) == clock.wall()
        clock.travel(7_200)
        assert ids(worker.claim()) == []

    def test_a_running_job_is_asked_to_stop(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()

        answer, notices = storage.jobs.cancel("a")

        job = job_of(storage, "a")
        assert (answer, list(notices)) == ("requested", [])
        assert (job.state, job.cancel_requested) == ("running", True)

    def test_asking_twice_changes_nothing(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        worker.claim(1)
        storage.jobs.cancel("a")
        storage.jobs.cancel("b")

        assert storage.jobs.cancel("a") == ("requested", [])
        assert storage.jobs.cancel("b") == ("ended", [])

    @pytest.mark.parametrize("ending", [succeeded(), failed(), cancelled()])
    def test_an_ended_job_stays_as_it_is(self, storage: Storage, worker: Worker, ending: Transition) -> None:
        storage.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), ending)
        before = job_of(storage, "a")

        answer, notices = storage.jobs.cancel("a")

        assert (answer, list(notices)) == ("ended", [])
        assert job_of(storage, "a") == before

    def test_a_job_that_is_not_there_is_missing(self, storage: Storage) -> None:
        answer, notices = storage.jobs.cancel("nobody")

        assert (answer, list(notices)) == ("missing", [])

    def test_one_that_waits_for_a_retry_keeps_its_history(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        worker.settle(worker.claim_one(), retrying(HOUR))

        answer, _ = storage.jobs.cancel("a")

        job = job_of(storage, "a")
        assert (answer, job.state, job.error) == ("cancelled", "cancelled", None)
        assert [attempt.error for attempt in job.attempts] == [BOOM]

    def test_a_cancelled_job_keeps_its_key(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a", key="monday")])
        storage.jobs.cancel("a")

        assert storage.jobs.add([a_job("b", key="monday")]) == ["a"]


class TestRetry:
    @pytest.mark.parametrize("ending", [failed(), cancelled()])
    def test_an_ended_job_is_queued_again(
        self, storage: Storage, worker: Worker, clock: FakeClock, ending: Transition
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), ending)
        clock.travel(100)

        assert storage.jobs.retry("a") is True

        job = job_of(storage, "a")
        assert (job.state, job.reason, job.error, job.ended_at) == ("queued", None, None, None)
        assert run_at_of(storage, "a") == clock.wall()
        assert ids(worker.claim()) == ["a"]

    def test_it_gets_one_more_attempt(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=1)])
        worker.settle(worker.claim_one(), failed())

        storage.jobs.retry("a")

        claimed = worker.claim_one()
        assert (claimed.attempt, claimed.max_attempts, claimed.fence) == (2, 2, 2)

    def test_attempts_that_are_left_stay(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        worker.settle(worker.claim_one(), failed())

        storage.jobs.retry("a")

        assert job_of(storage, "a").max_attempts == 5

    @pytest.mark.parametrize("ending, outcome", [(failed(), "failed"), (cancelled(), "cancelled")])
    def test_its_error_moves_to_its_history(
        self, storage: Storage, worker: Worker, clock: FakeClock, ending: Transition, outcome: str
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        started_at = clock.wall()
        clock.travel(1)
        ended_at = clock.wall()
        worker.settle(claimed, ending, started_at=started_at)
        clock.travel(100)

        storage.jobs.retry("a")

        [attempt] = job_of(storage, "a").attempts
        assert (attempt.number, attempt.outcome, attempt.error) == (1, outcome, ending.error)
        assert attempt.started_at is not None
        assert from_datetime(attempt.started_at) == started_at
        assert from_datetime(attempt.ended_at) == ended_at
        assert attempt.session == worker.session

    def test_a_job_that_never_ran_gets_no_history(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])
        storage.jobs.cancel("a")

        assert storage.jobs.retry("a") is True

        assert job_of(storage, "a").attempts == ()

    def test_an_attempt_that_is_in_the_history_is_not_told_twice(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        worker.settle(worker.claim_one(), retrying(HOUR))
        storage.jobs.cancel("a")

        storage.jobs.retry("a")

        assert [(attempt.number, attempt.error) for attempt in job_of(storage, "a").attempts] == [(1, BOOM)]

    @pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
    def test_only_failed_and_cancelled_jobs_are_retried(
        self, storage: Storage, worker: Worker, state: str
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = [] if state == "queued" else worker.claim(1)
        if state == "succeeded":
            worker.settle(claimed[0], succeeded())
        before = job_of(storage, "a")
        assert before.state == state

        assert storage.jobs.retry("a") is False
        assert job_of(storage, "a") == before

    def test_a_job_that_is_not_there_is_not_retried(self, storage: Storage) -> None:
        assert storage.jobs.retry("nobody") is False

    def test_retrying_twice_queues_it_once(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), failed())

        assert storage.jobs.retry("a") is True
        assert storage.jobs.retry("a") is False
        assert len(job_of(storage, "a").attempts) == 1

    def test_an_old_request_to_cancel_is_forgotten(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        claimed = worker.claim_one()
        storage.jobs.cancel("a")
        worker.settle(claimed, retrying())

        storage.jobs.retry("a")

        assert job_of(storage, "a").cancel_requested is False
        worker.settle(worker.claim_one(), retrying())
        assert states_of(storage) == {"a": "queued"}

    def test_a_job_that_expired_has_all_the_time_after_a_retry(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])
        clock.travel(60)
        worker.turn()

        assert storage.jobs.retry("a") is True

        assert job_of(storage, "a").expires_at is None
        assert ids(worker.claim()) == ["a"]

    def test_a_retried_job_is_not_pruned_before_it_ends(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", result_ttl=SECOND)])
        worker.settle(worker.claim_one(), cancelled())
        storage.jobs.retry("a")
        clock.travel(timedelta(days=365))

        assert storage.jobs.prune(limit=9) == 0

    def test_a_late_repetition_of_the_settlement_changes_nothing_after_a_retry(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        worker.settle(claimed, failed())
        storage.jobs.retry("a")

        turn = worker.settle(claimed, failed())

        assert list(turn.stale) == []
        assert states_of(storage) == {"a": "queued"}

    def test_a_retried_job_takes_its_lock_like_any_other(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        [held] = worker.claim()
        worker.turn(Settlement(held, failed()), thread=5)
        storage.jobs.retry("a")

        assert ids(worker.claim()) == []
        assert job_of(storage, "a").waits_for == "L"

    def test_a_job_that_failed_after_the_lost_reply_of_a_release_is_queued(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        worker.settle(claimed, released())

        turn = worker.settle(claimed, failed())

        assert list(turn.stale) == []
        assert states_of(storage) == {"a": "queued"}


class TestUnwanted:
    def test_it_names_the_running_jobs_of_the_session_that_somebody_cancelled(
        self, storage: Storage, worker: Worker
    ) -> None:
        other = Worker(storage)
        storage.jobs.add([a_job("a"), a_job("b")])
        worker.claim()
        storage.jobs.add([a_job("c")])
        other.claim()
        before = storage.jobs.unwanted(worker.session)
        for job_id in ("a", "c"):
            storage.jobs.cancel(job_id)

        assert before == []
        assert storage.jobs.unwanted(worker.session) == [("a", 1)]
        assert storage.jobs.unwanted(other.session) == [("c", 1)]

    def test_one_that_has_ended_is_none(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        storage.jobs.cancel("a")
        worker.settle(claimed, succeeded())

        assert storage.jobs.unwanted(worker.session) == []
