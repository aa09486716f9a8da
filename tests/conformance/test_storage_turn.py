"""The contract of `jobs.turn`: settling, claiming, and the instant of the next turn."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest

from taskmill._core.event import Notice
from taskmill._core.instant import DAY, HOUR, MINUTE, SECOND, from_datetime
from taskmill._core.job import FAILED_TTL, KEPT_RELEASES, ErrorInfo, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    BOOM,
    LEASE,
    Worker,
    a_job,
    cancelled,
    failed,
    handed_on,
    ids,
    job_of,
    released,
    retrying,
    run_at_of,
    snoozed,
    states_of,
    succeeded,
)


class TestTurnSettles:
    def test_a_success_keeps_the_result_and_its_times(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed_at = clock.wall()
        claimed = worker.claim_one()
        clock.travel(2)
        started_at = clock.wall()
        clock.travel(3)

        turn = worker.settle(claimed, succeeded("[1]"), started_at=started_at)

        job = job_of(storage, "a")
        assert (job.state, job.result, job.error, job.reason) == ("succeeded", "[1]", None, None)
        assert job.claimed_at is not None
        assert from_datetime(job.claimed_at) == claimed_at
        assert job.started_at is not None
        assert from_datetime(job.started_at) == started_at
        assert job.ended_at is not None
        assert from_datetime(job.ended_at) == clock.wall()
        assert list(turn.stale) == []
        assert list(turn.notices) == []

    def test_a_failure_keeps_error_and_reason(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])

        worker.settle(worker.claim_one(), failed())

        job = job_of(storage, "a")
        assert (job.state, job.result, job.error, job.reason) == ("failed", None, BOOM, Reason.ERROR)
        assert job.attempts == ()

    def test_a_task_may_cancel_its_own_job(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])

        worker.settle(worker.claim_one(), cancelled())

        job = job_of(storage, "a")
        assert (job.state, job.reason, job.error) == ("cancelled", Reason.BY_TASK, ErrorInfo("Cancel", "no"))

    def test_an_ended_job_tells_who_ran_it_and_how_often(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])

        worker.settle(worker.claim_one(), succeeded())

        job = job_of(storage, "a")
        assert (job.session, job.attempt, job.fence) == (worker.session, 1, 1)

    def test_a_result_may_be_a_megabyte(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        large = "ü" * 500_000 + "x"

        worker.settle(worker.claim_one(), succeeded(large))

        assert job_of(storage, "a").result == large

    def test_settlements_of_one_turn_are_independent(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(name) for name in "abc"])
        a, b, c = worker.claim()

        worker.turn(Settlement(c, succeeded()), Settlement(a, failed()), Settlement(b, snoozed(MINUTE)))

        assert states_of(storage) == {"a": "failed", "b": "queued", "c": "succeeded"}

    def test_a_retry_is_claimable_after_its_delay(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        clock.travel(1)

        worker.settle(worker.claim_one(), retrying(MINUTE))

        assert run_at_of(storage, "a") == clock.wall() + MINUTE
        clock.travel(59.999_999)
        assert ids(worker.claim()) == []
        clock.travel(0.000_001)
        assert ids(worker.claim()) == ["a"]

    def test_a_retry_keeps_the_attempt_and_its_error_in_the_history(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=3)])
        claimed = worker.claim_one()
        started_at = clock.wall()
        clock.travel(4)

        worker.settle(claimed, retrying(), started_at=started_at)

        job = job_of(storage, "a")
        [attempt] = job.attempts
        assert (attempt.number, attempt.outcome, attempt.error) == (1, "retrying", BOOM)
        assert attempt.started_at is not None
        assert from_datetime(attempt.started_at) == started_at
        assert from_datetime(attempt.ended_at) == clock.wall()
        assert attempt.session == worker.session
        assert (job.attempt, job.error, job.reason, job.ended_at) == (1, None, None, None)

    def test_the_history_is_in_the_order_of_the_attempts(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=3)])
        errors = [ErrorInfo("E", "one"), ErrorInfo("E", "two"), ErrorInfo("E", "three")]

        worker.settle(worker.claim_one(), retrying(error=errors[0]))
        worker.settle(worker.claim_one(), retrying(error=errors[1]))
        worker.settle(worker.claim_one(), failed(errors[2]))

        job = job_of(storage, "a")
        assert [(attempt.number, attempt.error) for attempt in job.attempts] == [
            (1, errors[0]),
            (2, errors[1]),
        ]
        assert (job.attempt, job.error) == (3, errors[2])

    @pytest.mark.parametrize("transition", [snoozed(MINUTE), handed_on(), released(), released(MINUTE)])
    def test_handing_back_takes_the_attempt_off(
        self, storage: Storage, worker: Worker, transition: Transition
    ) -> None:
        storage.jobs.add([a_job("a")])

        worker.settle(worker.claim_one(), transition, started_at=storage.now())

        job = job_of(storage, "a")
        assert (job.state, job.attempt) == ("queued", 0)
        assert (job.claimed_at, job.started_at) == (None, None)

    def test_a_run_that_was_broken_off_is_in_the_history_under_the_number_of_the_next(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        claimed, started_at = worker.claim_one(), clock.wall()
        clock.travel(4)

        worker.settle(claimed, released(), started_at=started_at)
        worker.settle(worker.claim_one(), retrying())

        broken_off, burnt = job_of(storage, "a").attempts
        assert (broken_off.number, broken_off.outcome, broken_off.error) == (1, "released", None)
        assert broken_off.started_at is not None
        assert from_datetime(broken_off.started_at) == started_at
        assert from_datetime(broken_off.ended_at) == started_at + 4 * SECOND
        assert broken_off.session == worker.session
        assert (burnt.number, burnt.outcome) == (1, "retrying")

    def test_of_the_runs_that_were_given_back_the_newest_are_in_the_history(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=9)])
        texts = ErrorInfo("E", '[1,"released",null,1,null,1],', 'in "released", [1]')
        worker.settle(worker.claim_one(), retrying(error=texts), started_at=storage.now())
        starts = []
        for _ in range(KEPT_RELEASES + 3):
            clock.travel(1)
            starts.append(storage.now())
            worker.settle(worker.claim_one(), released(), started_at=starts[-1])

        job = job_of(storage, "a")
        burnt, *given_back = job.attempts
        assert (burnt.outcome, burnt.error) == ("retrying", texts)
        assert [from_datetime(each.started_at) for each in given_back if each.started_at] == starts[3:]
        assert {each.outcome for each in given_back} == {"released"}
        assert job.unlisted == 3

    @pytest.mark.parametrize(
        "transition, is_started",
        [(snoozed(MINUTE), True), (handed_on(), True), (released(), False), (released(MINUTE), False)],
    )
    def test_of_what_did_not_run_or_was_snoozed_the_history_tells_nothing(
        self, storage: Storage, worker: Worker, transition: Transition, *, is_started: bool
    ) -> None:
        storage.jobs.add([a_job("a")])

        worker.settle(worker.claim_one(), transition, started_at=storage.now() if is_started else None)

        assert job_of(storage, "a").attempts == ()

    def test_a_snoozed_job_comes_back_after_its_delay(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        clock.travel(7)

        worker.settle(claimed, snoozed(MINUTE))

        assert run_at_of(storage, "a") == clock.wall() + MINUTE

    def test_a_job_released_without_delay_keeps_its_place(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("first")])
        first = worker.claim_one()
        clock.travel(1)
        storage.jobs.add([a_job("second")])

        worker.settle(first, released())

        assert ids(worker.claim()) == ["first", "second"]

    def test_a_job_released_with_a_delay_waits_for_it(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        clock.travel(7)

        worker.settle(claimed, released(MINUTE))

        assert run_at_of(storage, "a") == clock.wall() + MINUTE

    def test_the_fence_grows_at_each_claim_and_is_never_handed_back(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), released())
        worker.settle(worker.claim_one(), released())

        third = worker.claim_one()

        assert (third.fence, third.attempt) == (3, 1)

    @pytest.mark.parametrize("transition", [retrying(), snoozed(MINUTE), released()])
    def test_a_job_whose_cancel_was_requested_is_not_queued_again(
        self, storage: Storage, worker: Worker, transition: Transition
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        claimed = worker.claim_one()
        storage.jobs.cancel("a")

        turn = worker.settle(claimed, transition)

        job = job_of(storage, "a")
        assert (job.state, job.reason) == ("cancelled", Reason.REVOKED)
        assert list(turn.notices) == [Notice("cancelled", "a", Reason.REVOKED)]

    def test_the_error_before_a_requested_cancel_stays_in_the_history(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=5)])
        claimed = worker.claim_one()
        storage.jobs.cancel("a")

        worker.settle(claimed, retrying())

        assert [attempt.error for attempt in job_of(storage, "a").attempts] == [BOOM]

    @pytest.mark.parametrize("ending, state", [(succeeded(), "succeeded"), (failed(), "failed")])
    def test_a_requested_cancel_does_not_change_an_ending(
        self, storage: Storage, worker: Worker, ending: Transition, state: str
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        storage.jobs.cancel("a")

        turn = worker.settle(claimed, ending)

        assert states_of(storage) == {"a": state}
        assert list(turn.notices) == []

    def test_a_success_whose_result_nobody_wants_is_deleted(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", result_ttl=0)])

        worker.settle(worker.claim_one(), succeeded())

        assert storage.inspection.job("a") is None

    @pytest.mark.parametrize("ending", [failed(), cancelled()])
    def test_only_a_success_is_deleted_at_once(
        self, storage: Storage, worker: Worker, ending: Transition
    ) -> None:
        storage.jobs.add([a_job("a", result_ttl=0)])

        worker.settle(worker.claim_one(), ending)

        assert states_of(storage) == {"a": ending.state}


class TestStaleSettlements:
    def test_a_settlement_of_a_rescued_job_is_stale(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        clock.travel(31)
        storage.jobs.rescue()

        turn = worker.settle(claimed, succeeded())

        assert list(turn.stale) == [Settlement(claimed, succeeded(), None)]
        assert states_of(storage) == {"a": "queued"}

    def test_a_zombie_cannot_end_the_attempt_of_the_next_holder(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        lost = worker.claim_one()
        clock.travel(31)
        storage.jobs.rescue()
        heir = Worker(storage)
        held = heir.claim_one()

        zombie = worker.settle(lost, failed())
        true = heir.settle(held, succeeded())

        assert len(zombie.stale) == 1
        assert list(true.stale) == []
        assert states_of(storage) == {"a": "succeeded"}

    def test_a_zombie_cannot_change_what_the_next_holder_recorded(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        lost = worker.claim_one()
        clock.travel(31)
        storage.jobs.rescue()
        heir = Worker(storage)
        heir.settle(heir.claim_one(), succeeded("true"))

        zombie = worker.settle(lost, succeeded("zombie"))

        assert len(zombie.stale) == 1
        assert job_of(storage, "a").result == "true"

    def test_another_session_cannot_settle_with_a_claim_that_is_not_its_own(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()

        turn = Worker(storage).settle(claimed, succeeded())

        assert len(turn.stale) == 1
        assert states_of(storage) == {"a": "running"}

    def test_a_stale_settlement_does_not_hold_up_its_neighbours(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a"), a_job("b"), a_job("c")])
        a, b, c = worker.claim()
        forged = b._replace(fence=7)

        turn = worker.turn(*(Settlement(claimed, succeeded()) for claimed in (a, forged, c)))

        assert list(turn.stale) == [Settlement(forged, succeeded())]
        assert states_of(storage) == {"a": "succeeded", "b": "running", "c": "succeeded"}

    @pytest.mark.parametrize("transition", [failed(), retrying(), snoozed(0), released()])
    def test_no_kind_of_settlement_gets_through_under_an_old_fence(
        self, storage: Storage, worker: Worker, clock: FakeClock, transition: Transition
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=9)])
        lost = worker.claim_one()
        clock.travel(31)
        storage.jobs.rescue()
        heir = Worker(storage)
        heir.claim_one()
        before = job_of(storage, "a")

        turn = worker.settle(lost, transition)

        assert len(turn.stale) == 1
        assert job_of(storage, "a") == before

    def test_settlements_of_a_session_that_ended_are_stale(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        storage.sessions.end(worker.session)

        turn = worker.settle(claimed, succeeded())

        assert len(turn.stale) == 1
        assert states_of(storage) == {"a": "queued"}

    def test_a_settlement_of_an_unknown_job_is_stale(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()
        unknown = claimed._replace(job_id="x", ref=claimed.ref + 1)

        turn = worker.settle(unknown, succeeded())

        assert len(turn.stale) == 1
        assert states_of(storage) == {"a": "running"}

    @pytest.mark.parametrize("ending", [succeeded(), failed(), cancelled(), retrying(MINUTE), released()])
    def test_a_settlement_repeated_after_a_lost_reply_is_silently_right(
        self, storage: Storage, worker: Worker, clock: FakeClock, ending: Transition
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=9)])
        claimed = worker.claim_one()
        worker.settle(claimed, ending)
        before = job_of(storage, "a")
        clock.travel(1)

        again = worker.settle(claimed, ending)

        assert list(again.stale) == []
        assert list(again.notices) == []
        assert job_of(storage, "a") == before

    def test_a_settlement_twice_in_one_turn_counts_once(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=9)])
        claimed = worker.claim_one()

        turn = worker.turn(Settlement(claimed, retrying(MINUTE)), Settlement(claimed, retrying(MINUTE)))

        assert list(turn.stale) == []
        assert len(job_of(storage, "a").attempts) == 1

    def test_a_repeated_settlement_is_right_even_if_the_job_runs_here_again(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=9)])
        settlement = Settlement(worker.claim_one(), retrying())
        first = worker.turn(settlement, claim=7, thread=1)

        again = worker.turn(settlement, claim=7, thread=1)

        assert again == first
        assert list(again.stale) == []
        assert ids(again.claimed) == ["a"]

    def test_a_repeated_settlement_is_stale_once_another_session_took_the_job(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=9)])
        claimed = worker.claim_one()
        worker.settle(claimed, retrying())
        Worker(storage).claim_one()

        again = worker.settle(claimed, retrying())

        assert len(again.stale) == 1
        assert states_of(storage) == {"a": "running"}

    def test_a_repeated_settlement_of_a_deleted_job_never_meets_another_job(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", result_ttl=0)])
        gone = worker.claim_one()
        worker.settle(gone, succeeded("of a"))
        storage.jobs.add([a_job("b")])
        worker.claim_one()

        worker.settle(gone, succeeded("of a"))

        assert states_of(storage) == {"b": "running"}


class TestTurnClaims:
    def test_a_claim_carries_what_the_attempt_needs(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(
            [a_job("a", task="shop.mail", queue="mail", max_attempts=3, headers='{"trace":"x"}')]
        )

        claimed = worker.claim_one()

        assert (claimed.job_id, claimed.task, claimed.queue) == ("a", "shop.mail", "mail")
        assert (claimed.args, claimed.given, claimed.headers) == ("[[2,3],{}]", None, '{"trace":"x"}')
        assert (claimed.executor, claimed.attempt, claimed.max_attempts, claimed.fence) == ("thread", 1, 3, 1)

    def test_a_claim_says_since_when_it_was_due(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("now"), a_job("later", delay=2 * SECOND), a_job("again", priority=-1)])
        now = clock.wall()
        clock.travel(5)
        first, second, third = worker.claim(3)
        worker.settle(third, retrying(3 * SECOND))
        clock.travel(7)
        [again] = worker.claim()

        assert (first.due_at, second.due_at) == (now, now + 2 * SECOND)
        assert (third.due_at, again.due_at) == (now, now + 8 * SECOND)

    @pytest.mark.parametrize(
        "options, plain",
        [({}, True), ({"lock": "L"}, False), ({"pipeline": "p"}, False), ({"result_ttl": 0}, False)],
    )
    def test_a_claim_is_plain_if_its_end_touches_no_other_row(
        self, storage: Storage, worker: Worker, options: dict[str, Any], plain: bool
    ) -> None:
        storage.jobs.add([a_job("a", **options)])

        assert worker.claim_one().plain == plain

    def test_a_claimed_job_is_running_under_the_session(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        clock.travel(3)

        worker.claim_one()

        job = job_of(storage, "a")
        assert (job.state, job.session, job.attempt, job.fence) == ("running", worker.session, 1, 1)
        assert job.claimed_at is not None
        assert from_datetime(job.claimed_at) == clock.wall()
        assert job.started_at is None

    def test_a_job_is_claimed_once(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()

        assert ids(worker.claim()) == []
        assert ids(Worker(storage).claim()) == []

    def test_no_more_are_claimed_than_wanted(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(name) for name in "abc"])

        assert ids(worker.claim(2)) == ["a", "b"]
        assert ids(worker.claim(2)) == ["c"]

    def test_wanting_nothing_claims_nothing(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])

        assert list(worker.turn().claimed) == []
        assert list(worker.turn(thread=0).claimed) == []

    def test_each_executor_is_fed_for_itself(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(f"t{number}") for number in range(3)])
        storage.jobs.add([a_job(f"a{number}", executor="asyncio") for number in range(3)])

        turn = worker.turn(thread=1, asyncio=2)

        assert sorted(ids(turn.claimed)) == ["a0", "a1", "t0"]

    def test_an_executor_that_is_not_named_gets_nothing(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", executor="asyncio"), a_job("b")])

        assert ids(worker.turn(thread=10).claimed) == ["b"]

    def test_many_of_one_executor_do_not_hold_up_the_other(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(f"t{number}", priority=9) for number in range(50)])
        storage.jobs.add([a_job("a", executor="asyncio")])

        assert "a" in ids(worker.turn(thread=5, asyncio=5).claimed)

    def test_only_the_queues_asked_for_are_served(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", queue="mail"), a_job("b", queue="slow"), a_job("c")])

        assert ids(worker.claim(queues=["mail", "default"])) == ["a", "c"]
        assert ids(worker.claim(queues=["nobody"])) == []
        assert ids(worker.claim(queues=[])) == []
        assert ids(worker.claim(queues=None)) == ["b"]

    def test_queues_are_a_set_and_no_order(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add(
            [a_job("a", queue="z"), a_job("b", queue="a", priority=5), a_job("c", queue="z", priority=9)]
        )

        assert ids(worker.claim(queues=["a", "z"])) == ["c", "b", "a"]

    def test_jobs_of_several_queues_are_merged_by_run_at_and_order_of_adding(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        now = clock.wall()
        storage.jobs.add(
            [
                a_job("late", queue="x", run_at=now),
                a_job("early", queue="y", run_at=now - SECOND),
                a_job("late too", queue="y", run_at=now),
                a_job("last", queue="x", run_at=now),
            ]
        )

        assert ids(worker.claim(2)) == ["early", "late"]
        assert ids(worker.claim(2)) == ["late too", "last"]

    def test_a_job_is_not_claimed_before_its_run_at(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", delay=3 * SECOND)])

        clock.travel(2.999_999)
        assert ids(worker.claim()) == []
        clock.travel(0.000_001)
        assert ids(worker.claim()) == ["a"]

    def test_priority_goes_before_run_at(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        storage.jobs.add(
            [
                a_job("old", run_at=clock.wall() - HOUR),
                a_job("low", priority=-100, run_at=clock.wall() - DAY),
                a_job("high", priority=100),
            ]
        )

        assert ids(worker.claim(3)) == ["high", "old", "low"]

    def test_run_at_goes_before_the_order_of_adding(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        now = clock.wall()
        storage.jobs.add([a_job("second", run_at=now), a_job("first", run_at=now - 1)])

        assert ids(worker.claim(1)) == ["first"]

    def test_a_job_of_high_priority_that_is_not_due_holds_up_nobody(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("later", priority=9, delay=HOUR), a_job("now")])

        assert ids(worker.claim()) == ["now"]

    def test_any_mix_is_claimed_in_order(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        chance = random.Random(4)
        jobs = [
            a_job(
                f"{number}",
                priority=chance.randint(-2, 2),
                run_at=clock.wall() - chance.randint(0, 3),
                queue=chance.choice("xyz"),
            )
            for number in range(60)
        ]
        storage.jobs.add(jobs)
        expected = sorted(jobs, key=lambda job: (-job.priority, job.run_at, int(job.job_id)))

        claimed = [job_id for _ in range(12) for job_id in ids(worker.claim(5))]

        assert claimed == [job.job_id for job in expected]

    def test_what_a_turn_settles_it_can_claim_again(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])

        turn = worker.turn(Settlement(worker.claim_one(), retrying()), thread=1)

        [again] = turn.claimed
        assert (again.job_id, again.attempt, again.fence) == ("a", 2, 2)

    def test_repeating_a_claim_number_returns_the_same_and_claims_no_more(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job(name) for name in "abcd"])
        first = worker.turn(claim=5, thread=2)

        again = worker.turn(claim=5, thread=2)

        assert again.claimed == first.claimed
        assert ids(again.claimed) == ["a", "b"]
        assert states_of(storage) == {"a": "running", "b": "running", "c": "queued", "d": "queued"}

    def test_repeating_a_whole_turn_does_nothing_twice(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(name, max_attempts=3) for name in "abcde"])
        a, b = worker.claim(2)
        settlements = (Settlement(a, succeeded()), Settlement(b, retrying(MINUTE)))
        first = worker.turn(*settlements, claim=9, thread=2)
        before = storage.inspection.find()

        again = worker.turn(*settlements, claim=9, thread=2)

        assert again == first
        assert storage.inspection.find() == before

    def test_claim_numbers_belong_to_their_session(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        other = Worker(storage)

        mine = worker.turn(claim=1, thread=1)
        theirs = other.turn(claim=1, thread=1)

        assert ids(mine.claimed) == ["a"]
        assert ids(theirs.claimed) == ["b"]

    def test_a_repeated_claim_keeps_the_order(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(
            [a_job("c"), a_job("a", priority=5), a_job("b", run_at=clock.wall() - 5), a_job("d", queue="x")]
        )
        first = worker.turn(claim=1, thread=9)

        again = worker.turn(claim=1, thread=9)

        assert ids(first.claimed) == ids(again.claimed) == ["a", "b", "c", "d"]

    def test_a_session_that_ended_claims_nothing(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        storage.sessions.end(worker.session)

        assert ids(worker.claim()) == []
        assert states_of(storage) == {"a": "queued"}

    def test_a_session_that_was_rescued_claims_nothing(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        clock.travel(31)
        storage.jobs.rescue()

        assert ids(worker.claim()) == []

    def test_a_session_that_never_was_claims_nothing(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])

        turn = storage.jobs.turn(99, [], claim=1, wants={"thread": 5}, queues=None)

        assert list(turn.claimed) == []

    def test_threads_together_claim_each_job_once(self, storage: Storage) -> None:
        storage.jobs.add([a_job(f"{number}") for number in range(300)])
        claimed: list[str] = []

        def work() -> None:
            worker = Worker(storage)
            while jobs := worker.claim(7):
                claimed.extend(ids(jobs))
                worker.turn(*(Settlement(job, succeeded()) for job in jobs))

        threads = [Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert Counter(claimed) == Counter(f"{number}" for number in range(300))
        assert set(states_of(storage).values()) == {"succeeded"}

    def test_a_long_backlog_is_drained_by_turns(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(f"{number}") for number in range(3_000)])
        drained = 0

        claimed = worker.claim(100)
        while claimed:
            drained += len(claimed)
            turn = worker.turn(*(Settlement(job, succeeded()) for job in claimed), thread=100)
            claimed = turn.claimed

        assert drained == 3_000


class TestNextAt:
    def test_an_empty_store_needs_no_next_turn(self, storage: Storage, worker: Worker) -> None:
        assert worker.turn(thread=1).next_at is None

    def test_it_is_the_earliest_run_at_that_is_left(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("b", delay=2 * HOUR), a_job("a", delay=HOUR), a_job("now")])

        assert worker.turn(thread=9).next_at == clock.wall() + HOUR

    def test_it_lies_in_the_past_where_due_jobs_are_left(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a"), a_job("b"), a_job("c", delay=HOUR)])
        enqueued_at = clock.wall()
        clock.travel(1)

        assert worker.turn(thread=1).next_at == enqueued_at

    def test_a_low_priority_that_comes_first_counts(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("high", priority=9, delay=HOUR), a_job("low", priority=-9, delay=MINUTE)])

        assert worker.turn(thread=9).next_at == clock.wall() + MINUTE

    def test_running_and_ended_jobs_do_not_count(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        worker.settle(worker.claim_one(), succeeded())

        assert worker.turn(thread=9).next_at is None

    def test_queues_that_were_not_asked_for_do_not_count(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", queue="x", delay=HOUR), a_job("b", queue="y", delay=2 * HOUR)])

        assert worker.turn(thread=9, queues=["y"]).next_at == clock.wall() + 2 * HOUR

    def test_executors_that_want_nothing_do_not_count(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b", executor="asyncio")])

        assert worker.turn(asyncio=5, thread=0).next_at is None
        assert worker.turn().next_at is None

    def test_those_that_wait_for_a_lock_do_not_count(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L")])

        assert worker.turn(thread=9).next_at is None

    def test_an_expiry_that_is_sooner_comes_first(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", delay=HOUR, expires_in=MINUTE)])

        assert worker.turn(thread=9).next_at == clock.wall() + MINUTE

    @pytest.mark.parametrize("options", [{"queue": "other"}, {"executor": "asyncio"}])
    def test_the_expiry_of_any_waiting_job_counts(
        self, storage: Storage, worker: Worker, clock: FakeClock, options: dict[str, Any]
    ) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE, **options)])

        assert worker.turn(thread=9, queues=["default"]).next_at == clock.wall() + MINUTE

    def test_the_expiry_of_one_that_waits_for_a_lock_counts(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", lock="L"), a_job("b", lock="L", expires_in=MINUTE)])

        assert worker.turn(thread=9).next_at == clock.wall() + MINUTE

    def test_the_expiry_of_a_blocked_step_counts(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", pipeline="p"), a_job("b", pipeline="p", step=1, expires_in=MINUTE)])

        assert worker.turn(thread=9).next_at == clock.wall() + MINUTE

    def test_the_expiry_of_a_running_job_does_not_count(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])

        assert worker.turn(thread=9).next_at is None

    def test_a_settlement_of_the_same_turn_counts(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=2)])
        claimed = worker.claim_one()

        turn = worker.turn(Settlement(claimed, retrying(MINUTE)), thread=1)

        assert turn.next_at == clock.wall() + MINUTE


class TestExpiry:
    def test_a_job_that_nobody_claimed_in_time_is_cancelled(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])
        clock.travel(60)

        turn = worker.turn(thread=9)

        job = job_of(storage, "a")
        assert (job.state, job.reason) == ("cancelled", Reason.EXPIRED)
        assert job.ended_at is not None
        assert from_datetime(job.ended_at) == clock.wall()
        assert list(turn.claimed) == []
        assert list(turn.notices) == [Notice("cancelled", "a", Reason.EXPIRED)]

    def test_until_then_it_can_be_claimed(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])
        clock.travel(59.999_999)

        assert ids(worker.claim()) == ["a"]

    def test_it_expires_whoever_asks(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a", queue="nobody", expires_in=MINUTE)])
        clock.travel(60)

        worker.turn(thread=9, queues=["default"])

        assert states_of(storage) == {"a": "cancelled"}

    def test_it_expires_even_if_the_turn_wants_nothing(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])
        clock.travel(60)

        worker.turn()

        assert states_of(storage) == {"a": "cancelled"}

    def test_a_running_job_does_not_expire(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE)])
        claimed = worker.claim_one()
        clock.travel(20 * 60)

        worker.turn()
        turn = worker.settle(claimed, succeeded())

        assert list(turn.stale) == []
        assert states_of(storage) == {"a": "succeeded"}

    def test_one_that_waits_for_a_lock_expires(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("holder", lock="L"), a_job("waiter", lock="L", expires_in=MINUTE)])
        worker.claim()
        clock.travel(60)

        worker.turn()

        job = job_of(storage, "waiter")
        assert (job.state, job.reason, job.waits_for) == ("cancelled", Reason.EXPIRED, None)

    def test_a_retry_whose_time_is_over_expires(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", max_attempts=5, expires_in=MINUTE)])
        claimed = worker.claim_one()
        clock.travel(60)

        worker.settle(claimed, retrying())

        job = job_of(storage, "a")
        assert (job.state, job.reason) == ("cancelled", Reason.EXPIRED)
        assert [attempt.error for attempt in job.attempts] == [BOOM]

    def test_a_blocked_step_expires_and_takes_the_later_ones_along(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(
            [
                a_job("a", pipeline="p"),
                a_job("b", pipeline="p", step=1, expires_in=MINUTE),
                a_job("c", pipeline="p", step=2),
            ]
        )
        clock.travel(60)

        turn = worker.turn()

        assert states_of(storage) == {"a": "queued", "b": "cancelled", "c": "cancelled"}
        assert set(turn.notices) == {
            Notice("cancelled", "b", Reason.EXPIRED),
            Notice("cancelled", "c", Reason.STEP_BEFORE),
        }

    def test_steps_that_expire_together_expire_each_for_itself(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(
            [
                a_job("a", pipeline="p", expires_in=MINUTE),
                a_job("b", pipeline="p", step=1, expires_in=MINUTE),
            ]
        )
        clock.travel(60)

        turn = worker.turn()

        assert sorted(turn.notices) == [
            Notice("cancelled", "a", Reason.EXPIRED),
            Notice("cancelled", "b", Reason.EXPIRED),
        ]

    def test_settling_comes_before_expiry(self, storage: Storage, worker: Worker, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a", pipeline="p"), a_job("b", pipeline="p", step=1, expires_in=MINUTE)])
        claimed = worker.claim_one()
        clock.travel(60)

        worker.settle(claimed, failed())

        assert job_of(storage, "b").reason == Reason.STEP_BEFORE

    def test_an_expired_job_is_kept_for_its_result_ttl(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", expires_in=MINUTE, result_ttl=HOUR)])
        clock.travel(60)
        worker.turn()

        clock.travel(timedelta(hours=1) - timedelta(microseconds=1))
        assert storage.jobs.prune(limit=9) == 0
        clock.travel(timedelta(microseconds=1))
        assert storage.jobs.prune(limit=9) == 1

    def test_an_expiry_of_nothing_expires_in_the_next_turn(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", expires_in=0)])

        assert ids(worker.claim()) == []
        assert states_of(storage) == {"a": "cancelled"}


class TestPrune:
    def test_a_result_is_kept_for_its_result_ttl(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", result_ttl=HOUR)])
        worker.settle(worker.claim_one(), succeeded())

        clock.travel(timedelta(hours=1) - timedelta(microseconds=1))
        assert storage.jobs.prune(limit=9) == 0
        clock.travel(timedelta(microseconds=1))
        assert storage.jobs.prune(limit=9) == 1
        assert storage.inspection.job("a") is None

    @pytest.mark.parametrize("ttl, kept", [(HOUR, FAILED_TTL), (2 * FAILED_TTL, 2 * FAILED_TTL)])
    def test_a_failed_job_is_kept_for_thirty_days_or_longer(
        self, storage: Storage, worker: Worker, clock: FakeClock, ttl: int, kept: int
    ) -> None:
        storage.jobs.add([a_job("a", result_ttl=ttl)])
        worker.settle(worker.claim_one(), failed())

        clock.travel(timedelta(microseconds=kept - 1))
        assert storage.jobs.prune(limit=9) == 0
        clock.travel(timedelta(microseconds=1))
        assert storage.jobs.prune(limit=9) == 1

    def test_a_cancelled_job_is_kept_for_its_result_ttl(self, storage: Storage, clock: FakeClock) -> None:
        storage.jobs.add([a_job("a", result_ttl=HOUR)])
        storage.jobs.cancel("a")

        assert storage.jobs.prune(limit=9) == 0
        clock.travel(timedelta(hours=1))
        assert storage.jobs.prune(limit=9) == 1

    def test_waiting_and_running_jobs_are_never_pruned(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("running", result_ttl=0)])
        worker.claim_one()
        storage.jobs.add([a_job("queued", result_ttl=0), a_job("later", delay=HOUR, result_ttl=0)])
        clock.travel(timedelta(days=400))

        assert storage.jobs.prune(limit=9) == 0

    def test_no_more_are_pruned_than_the_limit(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job(f"{number}", result_ttl=number * SECOND) for number in range(1, 6)])
        worker.turn(*(Settlement(claimed, succeeded()) for claimed in worker.claim()))
        clock.travel(60)

        assert storage.jobs.prune(limit=2) == 2
        assert storage.jobs.prune(limit=2) == 2
        assert storage.jobs.prune(limit=2) == 1
        assert storage.jobs.prune(limit=2) == 0

    def test_a_step_is_kept_while_a_later_one_has_not_ended(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add(
            [
                a_job("a", pipeline="p", result_ttl=SECOND),
                a_job("b", pipeline="p", step=1, result_ttl=SECOND),
                a_job("c", pipeline="p", step=2, result_ttl=SECOND),
            ]
        )
        worker.settle(worker.claim_one(), succeeded("of a"))
        clock.travel(60)

        assert storage.jobs.prune(limit=9) == 0
        worker.settle(worker.claim_one(), succeeded("of b"))
        clock.travel(60)
        assert storage.jobs.prune(limit=9) == 0
        assert worker.claim_one().given == "of b"

    def test_a_whole_pipeline_is_pruned_once_its_last_step_has_ended(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a", pipeline="p"), a_job("b", pipeline="p", step=1)])
        worker.settle(worker.claim_one(), succeeded())
        worker.settle(worker.claim_one(), succeeded())
        clock.travel(timedelta(days=1))

        assert storage.jobs.prune(limit=9) == 2


class TestPurge:
    def test_waiting_jobs_are_deleted(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b", delay=HOUR)])

        assert storage.jobs.purge(queue=None, ended=False, limit=9) == 2
        assert states_of(storage) == {}
        assert ids(worker.claim()) == []

    def test_running_jobs_are_never_deleted(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        claimed = worker.claim_one()

        assert storage.jobs.purge(queue=None, ended=False, limit=9) == 0
        assert storage.jobs.purge(queue=None, ended=True, limit=9) == 0
        assert list(worker.settle(claimed, succeeded()).stale) == []

    def test_ended_jobs_stay_where_waiting_ones_are_purged_and_the_other_way_round(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("ended")])
        worker.settle(worker.claim_one(), failed())
        storage.jobs.add([a_job("waiting")])

        assert storage.jobs.purge(queue=None, ended=False, limit=9) == 1
        assert states_of(storage) == {"ended": "failed"}
        storage.jobs.add([a_job("another")])
        assert storage.jobs.purge(queue=None, ended=True, limit=9) == 1
        assert states_of(storage) == {"another": "queued"}

    def test_ended_jobs_of_every_kind_are_deleted_before_their_time(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job(name, result_ttl=DAY) for name in "abc"])
        a, b, c = worker.claim()
        worker.turn(Settlement(a, succeeded()), Settlement(b, failed()), Settlement(c, cancelled()))

        assert storage.jobs.purge(queue=None, ended=True, limit=9) == 3

    def test_only_the_queue_asked_for_is_purged(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a", queue="x"), a_job("b", queue="y"), a_job("c", queue="x")])

        assert storage.jobs.purge(queue="x", ended=False, limit=9) == 2
        assert states_of(storage) == {"b": "queued"}

    def test_no_more_are_purged_than_the_limit(self, storage: Storage) -> None:
        storage.jobs.add([a_job(name) for name in "abcde"])

        assert storage.jobs.purge(queue=None, ended=False, limit=3) == 3
        assert storage.jobs.purge(queue=None, ended=False, limit=3) == 2
        assert storage.jobs.purge(queue=None, ended=False, limit=3) == 0

    def test_the_later_steps_of_a_deleted_waiting_step_go_with_it(self, storage: Storage) -> None:
        storage.jobs.add(
            [
                a_job("a", pipeline="p", queue="x"),
                a_job("b", pipeline="p", queue="y", step=1),
                a_job("c", pipeline="p", queue="x", step=2),
            ]
        )

        assert storage.jobs.purge(queue="y", ended=False, limit=9) == 2
        assert states_of(storage) == {"a": "queued"}

    def test_a_step_whose_followers_were_purged_still_succeeds(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a", pipeline="p", queue="x"), a_job("b", pipeline="p", queue="y", step=1)])
        claimed = worker.claim_one()
        storage.jobs.purge(queue="y", ended=False, limit=9)

        turn = worker.settle(claimed, succeeded())

        assert list(turn.notices) == []
        assert states_of(storage) == {"a": "succeeded"}

    def test_an_ended_step_that_a_later_one_needs_stays(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", pipeline="p"), a_job("b", pipeline="p", step=1)])
        worker.settle(worker.claim_one(), succeeded("of a"))

        assert storage.jobs.purge(queue=None, ended=True, limit=9) == 0
        assert worker.claim_one().given == "of a"

    def test_purging_ended_jobs_lets_nobody_through(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job(name, lock="L") for name in "abc"])
        [held] = worker.claim(3)
        worker.settle(held, succeeded())

        assert storage.jobs.purge(queue=None, ended=True, limit=9) == 1

        assert (job_of(storage, "b").waits_for, job_of(storage, "c").waits_for) == (None, "L")

    def test_a_purged_waiter_lets_the_next_through(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("holder", lock="L"), a_job("b", lock="L", queue="x"), a_job("c", lock="L")])
        [held] = worker.claim(3)
        worker.settle(held, succeeded())

        storage.jobs.purge(queue="x", ended=False, limit=9)

        assert ids(worker.claim()) == ["c"]


def test_a_state_is_final_once_it_is_one_of_the_last_three() -> None:
    assert {state for state in State if state.is_final} == {"succeeded", "failed", "cancelled"}


def test_the_lease_of_the_tests_is_the_default_one() -> None:
    assert LEASE == 30 * SECOND
