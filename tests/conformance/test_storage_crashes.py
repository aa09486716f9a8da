"""The contract of `jobs.bury`, of slots, and of the executor "alone"."""

from __future__ import annotations

from taskmill._core.event import Notice
from taskmill._core.instant import MINUTE
from taskmill._core.job import Reason
from taskmill._core.lifecycle import MOST_CRASHES, after_crash
from taskmill._storage.base import Storage
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
    run_at_of,
    snoozed,
    states_of,
    succeeded,
)


def a_suspect(storage: Storage, job_id: str = "a") -> None:
    """Let the only due job be one."""
    worker = Worker(storage)
    claimed = worker.claim_one()
    assert claimed.job_id == job_id
    worker.start(claimed)
    worker.crash(alone=False)


def crash_alone(storage: Storage) -> None:
    worker = Worker(storage)
    worker.start(worker.claim_suspect())
    worker.crash(alone=True)


class TestBury:
    def test_all_goes_back_with_no_attempt_burnt(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        a, _ = worker.claim()
        worker.start(a)

        notices = worker.crash(alone=False)

        job = job_of(storage, "a")
        assert set(notices) == {Notice("rescued", "a"), Notice("rescued", "b")}
        assert (job.state, job.attempt, job.fence, job.session) == ("queued", 0, 1, None)
        assert (job.rescues, job.crashes, job.claimed_at, job.attempts) == (1, 0, None, ())
        assert list(storage.inspection.sessions()) == []

    def test_what_was_running_is_suspect_and_what_was_not_is_claimable_as_before(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("ran"), a_job("claimed"), a_job("ended")])
        ran, _, ended = worker.claim()
        worker.start(ran, 0)
        worker.start(ended, 1)
        worker.finish(1)

        worker.crash(alone=False)

        assert [job_of(storage, name).is_suspect for name in ("ran", "claimed", "ended")] == [
            True,
            False,
            False,
        ]
        heir = Worker(storage)
        assert ids(heir.claim()) == ["claimed", "ended"]
        suspect = heir.claim_suspect()
        assert (suspect.job_id, suspect.executor, suspect.attempt) == ("ran", "alone", 1)

    def test_a_suspect_keeps_its_place_and_what_it_was_enqueued_for(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", executor="asyncio")])
        run_at = run_at_of(storage, "a")
        worker.start(worker.claim_one())
        clock.travel(1)

        worker.crash(alone=False)

        assert run_at_of(storage, "a") == run_at
        assert job_of(storage, "a").executor == "asyncio"

    def test_a_slot_that_names_an_earlier_claim_makes_no_suspect(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        earlier = worker.claim_one()
        worker.start(earlier)
        worker.settle(earlier, released())
        worker.claim_one()

        worker.crash(alone=False)

        assert not job_of(storage, "a").is_suspect

    def test_one_that_had_ended_stays_as_it_is(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        worker.start(claimed)
        worker.settle(claimed, succeeded())

        assert list(worker.crash(alone=True)) == []
        assert states_of(storage) == {"a": "succeeded"}

    def test_what_it_still_sends_is_stale(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        worker.start(claimed)
        worker.crash(alone=False)

        assert len(worker.settle(claimed, succeeded()).stale) == 1

    def test_its_locks_are_free_and_a_waiter_may_go(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        worker.start(worker.claim(1)[0])
        worker.claim()

        worker.crash(alone=False)

        assert list(storage.limits.list()) == []
        assert ids(Worker(storage).claim()) == ["b"]

    def test_a_suspect_whose_cancel_was_requested_is_cancelled(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.start(worker.claim_one())
        storage.jobs.cancel("a")

        assert list(worker.crash(alone=False)) == [Notice("cancelled", "a", Reason.REVOKED)]
        assert states_of(storage) == {"a": "cancelled"}

    def test_repeating_it_does_nothing(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.start(worker.claim_one())
        worker.crash(alone=False)
        heir = Worker(storage)
        heir.claim_suspect()

        assert list(worker.crash(alone=True)) == []
        assert job_of(storage, "a").session == heir.session


class TestCrashAlone:
    def test_it_counts_and_is_kept_in_the_history(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)
        worker.start(worker.claim_suspect())
        clock.travel(2)

        notices = worker.crash(alone=True)

        job = job_of(storage, "a")
        assert list(notices) == [Notice("crashed", "a")]
        assert (job.state, job.attempt, job.crashes, job.is_suspect) == ("queued", 0, 1, True)
        [attempt] = job.attempts
        assert (attempt.number, attempt.outcome, attempt.error) == (1, "crashed", CRASH)
        assert attempt.started_at is not None
        assert (attempt.ended_at - attempt.started_at).total_seconds() == 2
        assert attempt.session == worker.session

    def test_it_is_tried_again_at_once_and_alone(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)
        crash_alone(storage)

        suspect = Worker(storage).claim_suspect()

        assert (suspect.job_id, suspect.attempt, suspect.crashes) == ("a", 1, 1)

    def test_the_third_fails_it_with_the_cause(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=9)])
        a_suspect(storage)
        for _ in range(MOST_CRASHES - 1):
            crash_alone(storage)
        worker.start(worker.claim_suspect())

        notices = worker.crash(alone=True)

        job = job_of(storage, "a")
        assert list(notices) == [Notice("failed", "a", Reason.CRASHED)]
        assert (job.state, job.reason, job.error, job.crashes) == ("failed", Reason.CRASHED, CRASH, 3)
        assert [attempt.outcome for attempt in job.attempts] == ["crashed", "crashed"]

    def test_the_steps_behind_it_are_cancelled(self, storage: Storage) -> None:
        storage.jobs.add(a_pipeline("a", "b"))
        a_suspect(storage)
        for _ in range(MOST_CRASHES):
            crash_alone(storage)

        assert states_of(storage) == {"a": "failed", "b": "cancelled"}
        assert job_of(storage, "b").reason == Reason.STEP_BEFORE

    def test_one_whose_cancel_was_requested_is_cancelled(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.start(worker.claim_one())
        storage.jobs.cancel("a")

        assert list(worker.crash(alone=True)) == [Notice("cancelled", "a", Reason.REVOKED)]

    def test_a_worker_may_settle_a_crash_itself(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        for crashes in range(MOST_CRASHES):
            claimed = worker.claim_one()
            assert claimed.crashes == crashes
            worker.settle(claimed, after_crash(CRASH, crashes=claimed.crashes))

        job = job_of(storage, "a")
        assert (job.state, job.reason, job.crashes, job.is_suspect) == ("failed", Reason.CRASHED, 3, False)
        assert [(attempt.number, attempt.outcome) for attempt in job.attempts] == [(1, "crashed")] * 2

    def test_retrying_it_by_hand_forgets_the_crashes_but_not_the_suspicion(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)
        for _ in range(MOST_CRASHES):
            crash_alone(storage)

        storage.jobs.retry("a")

        job = job_of(storage, "a")
        assert (job.state, job.crashes, job.is_suspect) == ("queued", 0, True)
        assert Worker(storage).claim_suspect().crashes == 0


class TestSuspects:
    def test_who_wants_others_neither_claims_them_nor_is_told_of_them(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)

        turn = worker.turn(thread=5, asyncio=5)

        assert (list(turn.claimed), turn.next_at) == ([], None)

    def test_they_come_in_their_order(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("low", priority=-1), a_job("first"), a_job("second")])
        for slot, claimed in enumerate(worker.claim()):
            worker.start(claimed, slot)
        worker.crash(alone=False)

        assert ids(Worker(storage).turn(alone=2).claimed) == ["first", "second"]

    def test_one_that_succeeds_is_like_any_other(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)

        worker.settle(worker.claim_suspect(), succeeded())

        assert states_of(storage) == {"a": "succeeded"}

    def test_one_that_fails_in_its_own_way_is_acquitted(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        a_suspect(storage)

        worker.settle(worker.claim_suspect(), retrying())

        assert not job_of(storage, "a").is_suspect
        assert worker.claim_one().executor == "thread"

    def test_one_that_snoozes_is_acquitted(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)

        worker.settle(worker.claim_suspect(), snoozed(MINUTE))

        assert not job_of(storage, "a").is_suspect

    def test_one_that_is_given_back_unfinished_is_not(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)

        worker.settle(worker.claim_suspect(), released())

        assert job_of(storage, "a").is_suspect

    def test_a_failed_one_can_be_retried(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)
        worker.settle(worker.claim_suspect(), failed())

        storage.jobs.retry("a")

        assert job_of(storage, "a").is_suspect

    def test_one_may_become_suspect_again(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])
        a_suspect(storage)
        worker = Worker(storage)
        worker.start(worker.claim_suspect())

        worker.crash(alone=False)

        assert (job_of(storage, "a").is_suspect, job_of(storage, "a").executor) == (True, "thread")


class TestParents:
    def test_a_session_tells_who_its_parent_is(self, storage: Storage, worker: Worker) -> None:
        Worker(storage, parent=worker.session)

        assert [state.parent for state in storage.inspection.sessions()] == [None, worker.session]

    def test_a_parent_renews_for_its_child(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        child = Worker(storage, parent=worker.session)
        clock.travel(20)
        assert storage.sessions.renew(child.session)
        assert storage.sessions.renew(worker.session)
        clock.travel(20)

        storage.jobs.rescue()

        assert [state.session for state in storage.inspection.sessions()] == [worker.session, child.session]

    def test_a_child_whose_lease_is_over_is_rescued_though_its_parent_lives(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        Worker(storage, parent=worker.session, lease=LEASE // 2).claim_one()
        clock.travel(20)

        assert list(storage.jobs.rescue()) == [Notice("rescued", "a")]


class TestHasSuspects:
    def test_one_that_can_be_claimed_counts(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])
        before = storage.inspection.has_suspects(None)
        a_suspect(storage)

        assert not before
        assert storage.inspection.has_suspects(None)
        assert storage.inspection.has_suspects(["other", "default"])
        assert not storage.inspection.has_suspects(["other"])

    def test_one_that_runs_or_waits_for_a_lock_does_not(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])
        a_suspect(storage, "a")
        holder = worker.claim_one()
        assert holder.job_id == "b"
        worker.turn(alone=1)
        waits = storage.inspection.has_suspects(None)
        worker.settle(holder, succeeded())
        is_let_through = storage.inspection.has_suspects(None)
        worker.claim_suspect()

        assert (waits, is_let_through) == (False, True)
        assert not storage.inspection.has_suspects(None)
