"""The contract of `sessions`."""

from __future__ import annotations

import os
import socket

from taskmill._core.event import Notice
from taskmill._core.instant import SECOND, to_datetime
from taskmill._core.job import Reason
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    LEASE,
    Worker,
    a_job,
    failed,
    ids,
    job_of,
    retrying,
    run_at_of,
    states_of,
    succeeded,
)


class TestSessions:
    def test_ids_start_at_one_and_only_grow(self, storage: Storage) -> None:
        first = storage.sessions.open(kind="worker", lease=LEASE)
        second = storage.sessions.open(kind="client", lease=LEASE)
        storage.sessions.end(second)
        third = storage.sessions.open(kind="worker", lease=LEASE)

        assert [first, second, third] == [1, 2, 3]

    def test_an_id_is_not_reused_after_a_rescue(self, storage: Storage, clock: FakeClock) -> None:
        first = storage.sessions.open(kind="worker", lease=LEASE)
        clock.travel(31)
        storage.jobs.rescue()

        assert storage.sessions.open(kind="worker", lease=LEASE) > first

    def test_an_open_session_tells_what_it_is(self, storage: Storage, clock: FakeClock) -> None:
        session = storage.sessions.open(kind="client", lease=LEASE)

        [state] = storage.inspection.sessions()
        assert (state.session, state.kind, state.running) == (session, "client", 0)
        assert (state.host, state.pid) == (socket.gethostname(), os.getpid())
        assert state.started_at == to_datetime(clock.wall())

    def test_a_session_tells_how_many_jobs_it_holds(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b"), a_job("c")])
        claimed = worker.claim(2)
        worker.settle(claimed[0], succeeded())

        assert [state.running for state in storage.inspection.sessions()] == [1]

    def test_renewing_pushes_the_lease_out_by_its_whole_length(
        self, storage: Storage, clock: FakeClock
    ) -> None:
        session = storage.sessions.open(kind="worker", lease=10 * SECOND)
        clock.travel(9)

        assert storage.sessions.renew(session) is True
        clock.travel(9)
        storage.jobs.rescue()
        assert len(storage.inspection.sessions()) == 1
        clock.travel(2)
        storage.jobs.rescue()
        assert list(storage.inspection.sessions()) == []

    def test_a_session_that_is_gone_cannot_be_renewed(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        rescued = storage.sessions.open(kind="worker", lease=SECOND)
        storage.sessions.end(worker.session)
        clock.travel(2)
        storage.jobs.rescue()

        assert storage.sessions.renew(worker.session) is False
        assert storage.sessions.renew(rescued) is False
        assert storage.sessions.renew(99) is False

    def test_ending_gives_back_what_it_holds_with_no_attempt_burnt(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        worker.claim()

        notices = storage.sessions.end(worker.session)

        job = job_of(storage, "a")
        assert set(notices) == {Notice("released", "a"), Notice("released", "b")}
        assert (job.state, job.attempt, job.fence, job.session) == ("queued", 0, 1, None)
        assert (job.rescues, job.claimed_at, job.attempts) == (0, None, ())

    def test_what_is_given_back_is_claimable_at_once_in_its_old_place(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        storage.jobs.add([a_job("a")])
        run_at = run_at_of(storage, "a")
        worker.claim_one()
        clock.travel(1)
        storage.jobs.add([a_job("b")])

        storage.sessions.end(worker.session)

        assert run_at_of(storage, "a") == run_at
        assert ids(Worker(storage).claim()) == ["a", "b"]

    def test_of_what_was_claimed_at_once_it_gives_back_what_has_not_ended(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job(name) for name in "abcde"])
        a, b = worker.claim(2)
        c, d, _ = worker.claim(3)
        violations = []
        for claimed, transition in ((a, succeeded()), (b, failed()), (c, retrying(SECOND)), (d, succeeded())):
            worker.settle(claimed, transition)
            violations += storage.health.verify()

        notices = storage.sessions.end(worker.session)

        assert list(notices) == [Notice("released", "e")]
        assert states_of(storage) == dict(
            zip("abcde", ("succeeded", "failed", "queued", "succeeded", "queued"), strict=True)
        )
        assert violations == []

    def test_a_job_whose_cancel_was_requested_is_cancelled_instead(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        storage.jobs.cancel("a")

        notices = storage.sessions.end(worker.session)

        assert list(notices) == [Notice("cancelled", "a", Reason.REVOKED)]
        assert (job_of(storage, "a").state, job_of(storage, "a").session) == ("cancelled", None)

    def test_ending_twice_does_nothing(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()
        storage.sessions.end(worker.session)
        heir = Worker(storage)
        heir.claim_one()

        assert list(storage.sessions.end(worker.session)) == []
        assert job_of(storage, "a").session == heir.session

    def test_ending_a_session_that_never_was_does_nothing(self, storage: Storage) -> None:
        assert list(storage.sessions.end(99)) == []

    def test_what_it_ended_itself_stays(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a"), a_job("b")])
        a, b = worker.claim()
        worker.settle(a, succeeded())
        worker.settle(b, failed())

        assert list(storage.sessions.end(worker.session)) == []
        assert states_of(storage) == {"a": "succeeded", "b": "failed"}

    def test_others_keep_what_they_hold(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()

        assert list(storage.sessions.end(Worker(storage).session)) == []
        assert states_of(storage) == {"a": "running"}

    def test_sessions_are_listed_by_id(self, storage: Storage) -> None:
        for _ in range(12):
            storage.sessions.open(kind="worker", lease=LEASE)

        assert [state.session for state in storage.inspection.sessions()] == list(range(1, 13))

    def test_an_ended_session_is_no_longer_listed(self, storage: Storage, worker: Worker) -> None:
        storage.sessions.end(worker.session)

        assert list(storage.inspection.sessions()) == []


class TestAskedToStop:
    def test_who_is_asked_is_told_and_goes_on(self, storage: Storage, worker: Worker) -> None:
        other = storage.sessions.open(kind="worker", lease=LEASE)

        assert storage.sessions.is_asked_to_stop(worker.session) is False
        assert storage.sessions.ask_to_stop(worker.session) is True
        assert storage.sessions.ask_to_stop(worker.session) is False

        assert storage.sessions.is_asked_to_stop(worker.session) is True
        assert storage.sessions.is_asked_to_stop(other) is False
        assert [state.is_asked_to_stop for state in storage.inspection.sessions()] == [True, False]
        assert [presence.is_stopping for presence in storage.health.census().sessions] == [True, False]
        assert storage.sessions.renew(worker.session) is True
        storage.jobs.add([a_job("a")])
        assert ids(worker.claim()) == ["a"]

    def test_who_is_rescued_is_told_if_he_only_stood_still(
        self, storage: Storage, worker: Worker, clock: FakeClock
    ) -> None:
        unasked = storage.sessions.open(kind="worker", lease=LEASE)
        storage.sessions.ask_to_stop(worker.session)
        clock.travel(2 * LEASE / SECOND)
        storage.jobs.rescue()
        later = storage.sessions.open(kind="worker", lease=LEASE)

        assert storage.sessions.is_asked_to_stop(worker.session) is True
        assert storage.sessions.ask_to_stop(worker.session) is False
        assert storage.sessions.is_asked_to_stop(unasked) is False
        assert storage.sessions.is_asked_to_stop(later) is False
        storage.sessions.end(worker.session)
        assert storage.health.verify() == []

    def test_who_is_gone_cannot_be_asked(self, storage: Storage, worker: Worker) -> None:
        storage.sessions.ask_to_stop(worker.session)
        storage.sessions.end(worker.session)

        assert storage.sessions.ask_to_stop(worker.session) is False
        assert storage.sessions.is_asked_to_stop(worker.session) is False
        assert storage.sessions.ask_to_stop(99) is False
