"""The contract of `jobs.add`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from taskmill._core.instant import HOUR, SECOND
from taskmill._core.job import NewJob
from taskmill._core.lifecycle import Transition
from taskmill._storage.base import Storage
from taskmill.testing import FakeClock
from tests.conformance.builders import (
    Worker,
    a_job,
    a_pipeline,
    failed,
    ids,
    job_of,
    run_at_of,
    states_of,
    succeeded,
)


class Interrupted(list[NewJob]):
    """Jobs of which the last cannot be had."""

    def __iter__(self) -> Iterator[NewJob]:
        yield from super().__iter__()
        raise KeyError("no more")


class TestAdd:
    def test_an_added_job_is_queued_and_known_by_its_id(self, storage: Storage) -> None:
        added = storage.jobs.add([a_job("a")])

        assert added == ["a"]
        assert states_of(storage) == {"a": "queued"}

    def test_what_was_added_is_kept_field_by_field(self, storage: Storage) -> None:
        storage.jobs.add(
            [
                a_job(
                    "a",
                    task="shop.mail",
                    args='[["é"],{"b":null}]',
                    queue="mail",
                    executor="asyncio",
                    priority=-7,
                    max_attempts=4,
                    result_ttl=HOUR,
                    lock="smtp",
                    key="once",
                    tags='["big","blue"]',
                    headers='{"trace":"x"}',
                    pipeline="p",
                )
            ]
        )

        job = job_of(storage, "a")
        assert (job.task, job.args, job.queue, job.executor) == (
            "shop.mail",
            '[["é"],{"b":null}]',
            "mail",
            "asyncio",
        )
        assert (job.priority, job.max_attempts, job.result_ttl) == (-7, 4, HOUR)
        assert (job.lock, job.key, job.pipeline, job.step) == ("smtp", "once", "p", 0)
        assert (job.tags, job.headers) == (("big", "blue"), {"trace": "x"})

    def test_each_of_many_keeps_what_the_others_lack(self, storage: Storage) -> None:
        own: list[dict[str, Any]] = [
            {},
            {"lock": "L"},
            {},
            {"headers": '{"n":"3"}'},
            {"tags": '["t"]', "expires_in": HOUR},
        ]
        storage.jobs.add([a_job(f"{number}", **own[number % 5]) for number in range(60)])

        jobs = [job_of(storage, f"{number}") for number in range(60)]
        kept = [(job.lock, job.headers, job.tags, job.expires_at is not None) for job in jobs[:5]]
        assert kept == [
            (None, {}, (), False),
            ("L", {}, (), False),
            (None, {}, (), False),
            (None, {"n": "3"}, (), False),
            (None, {}, ("t",), True),
        ]
        assert [(job.lock, job.headers, job.tags, job.expires_at is not None) for job in jobs] == kept * 12

    def test_many_in_one_call_are_stored_as_each_by_itself(self, storage: Storage, clock: FakeClock) -> None:
        own: list[dict[str, Any]] = [
            {"queue": "mail"},
            {"executor": "asyncio"},
            {"priority": 5},
            {"run_at": clock.wall() + HOUR},
            {"delay": SECOND},
            {"max_attempts": 4},
            {"task": "send"},
            {"expires_in": HOUR},
            {"result_ttl": HOUR},
            {"lock": "L"},
            {"key": "K"},
            {"tags": '["t"]'},
            {"headers": '{"n":"3"}'},
            {"pipeline": "p"},
            {"args": '[["\\"ä\\\\, null"],{}]'},
        ]
        jobs = [a_job("first"), *(a_job(str(number), **one) for number, one in enumerate(own)), a_job("last")]
        for job in jobs:
            storage.jobs.add([job])
        each_by_itself = storage.inspection.find()
        storage.jobs.purge(queue=None, ended=False, limit=len(jobs))

        storage.jobs.add(jobs)

        assert storage.inspection.find() == each_by_itself

    def test_many_that_share_all_but_id_and_arguments_are_stored_as_each_by_itself(
        self, storage: Storage, worker: Worker
    ) -> None:
        texts = ("[[1],{}]", '[["\\"ä\\\\, null\\\\"],{}]', '[["{}", "},{"],{}]', "NULL", "")
        shared: list[dict[str, Any]] = [
            {"queue": "mail", "executor": "asyncio", "priority": 5, "max_attempts": 4},
            {"delay": SECOND, "task": "send", "result_ttl": HOUR},
            {"expires_in": HOUR, "tags": '["t"]', "headers": '{"n":"3"}'},
            {"lock": "L"},
        ]
        calls = [
            [a_job(f"{number} {text}", args=text, **options) for text in texts]
            for number, options in enumerate(shared)
        ]
        for job in (job for jobs in calls for job in jobs):
            storage.jobs.add([job])
        each_by_itself = storage.inspection.find()
        storage.jobs.purge(queue=None, ended=False, limit=20)

        added = [storage.jobs.add(jobs) for jobs in calls]

        assert added == [[job.job_id for job in jobs] for jobs in calls]
        assert storage.inspection.find() == each_by_itself
        assert ids(worker.claim(20)) == [*added[0], *added[2], added[3][0]]

    def test_a_job_that_nobody_touched_has_neither_attempt_nor_ending(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a")])

        job = job_of(storage, "a")
        assert (job.attempt, job.fence, job.rescues, job.session) == (0, 0, 0, None)
        assert (job.claimed_at, job.started_at, job.ended_at) == (None, None, None)
        assert (job.result, job.error, job.reason, job.attempts) == (None, None, None, ())
        assert (job.waits_for, job.cancel_requested) == (None, False)

    def test_ids_come_back_in_the_order_given(self, storage: Storage) -> None:
        added = storage.jobs.add([a_job("c"), a_job("a"), a_job("b")])

        assert added == ["c", "a", "b"]

    def test_adding_nothing_is_allowed(self, storage: Storage) -> None:
        assert list(storage.jobs.add([])) == []

    def test_all_are_stored_or_none(self, storage: Storage) -> None:
        with pytest.raises(KeyError):
            storage.jobs.add(Interrupted([a_job("a"), a_job("b")]))

        assert states_of(storage) == {}

    def test_a_delay_counts_from_the_stores_now(self, storage: Storage, clock: FakeClock) -> None:
        clock.travel(5)

        storage.jobs.add([a_job("a", delay=3 * SECOND)])

        assert run_at_of(storage, "a") == clock.wall() + 3 * SECOND

    def test_a_run_at_makes_the_delay_void(self, storage: Storage, clock: FakeClock) -> None:
        moment = clock.wall() + HOUR

        storage.jobs.add([a_job("a", run_at=moment, delay=3 * SECOND)])

        assert run_at_of(storage, "a") == moment

    def test_a_job_whose_id_is_stored_is_not_stored_again(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("a", args="first")])

        again = storage.jobs.add([a_job("a", args="second"), a_job("b")])

        assert again == ["a", "b"]
        assert len(storage.inspection.find()) == 2
        assert job_of(storage, "a").args == "first"
        assert ids(worker.claim(9)) == ["a", "b"]

    def test_repeating_an_add_after_the_job_was_claimed_changes_nothing(
        self, storage: Storage, worker: Worker
    ) -> None:
        storage.jobs.add([a_job("a")])
        worker.claim_one()

        storage.jobs.add([a_job("a")])

        assert states_of(storage) == {"a": "running"}

    def test_an_id_twice_in_one_call_is_stored_once(self, storage: Storage, worker: Worker) -> None:
        added = storage.jobs.add([a_job("a"), a_job("a")])

        assert added == ["a", "a"]
        assert len(storage.inspection.find()) == 1
        assert ids(worker.claim(9)) == ["a"]

    def test_a_key_that_is_taken_gives_the_id_of_the_stored_job(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a", key="monday")])

        again = storage.jobs.add([a_job("b", key="monday"), a_job("c")])

        assert again == ["a", "c"]
        assert states_of(storage) == {"a": "queued", "c": "queued"}

    def test_a_key_twice_in_one_call_is_stored_once(self, storage: Storage) -> None:
        added = storage.jobs.add([a_job("a", key="monday"), a_job("b", key="monday")])

        assert added == ["a", "a"]

    def test_a_key_belongs_to_its_task(self, storage: Storage) -> None:
        added = storage.jobs.add(
            [a_job("a", task="mail", key="monday"), a_job("b", task="call", key="monday")]
        )

        assert added == ["a", "b"]

    @pytest.mark.parametrize("ending", [succeeded(), failed()])
    def test_a_key_is_taken_in_whatever_state_its_job_is(
        self, storage: Storage, worker: Worker, ending: Transition
    ) -> None:
        storage.jobs.add([a_job("a", key="monday")])
        running = worker.claim_one()

        while_running = storage.jobs.add([a_job("b", key="monday")])
        worker.settle(running, ending)
        once_ended = storage.jobs.add([a_job("c", key="monday")])

        assert while_running == ["a"]
        assert once_ended == ["a"]

    def test_the_key_of_a_deleted_job_is_free(self, storage: Storage) -> None:
        storage.jobs.add([a_job("a", key="monday")])
        storage.jobs.purge(queue=None, ended=False, limit=10)

        added = storage.jobs.add([a_job("b", key="monday")])

        assert added == ["b"]

    def test_later_steps_of_a_pipeline_start_blocked(self, storage: Storage) -> None:
        storage.jobs.add(a_pipeline("first", "second", "third"))

        assert states_of(storage) == {"first": "queued", "second": "blocked", "third": "blocked"}

    def test_a_payload_of_a_megabyte_comes_back_whole(self, storage: Storage, worker: Worker) -> None:
        large = "é" * 500_000 + "x"

        storage.jobs.add([a_job("a", args=large), a_job("b")])

        assert {claimed.job_id: claimed.args for claimed in worker.claim()} == {
            "a": large,
            "b": "[[2,3],{}]",
        }
        assert job_of(storage, "a").args == large

    def test_an_added_job_does_not_follow_its_sender_when_that_changes_it(
        self, storage: Storage, worker: Worker
    ) -> None:
        job = a_job("a")
        storage.jobs.add([job])

        job.args = "changed"
        job.priority = 50

        assert worker.claim_one().args == "[[2,3],{}]"
        assert job_of(storage, "a").priority == 0

    def test_jobs_are_claimed_in_the_order_of_adding(self, storage: Storage, worker: Worker) -> None:
        storage.jobs.add([a_job("c"), a_job("a")])
        storage.jobs.add([a_job("b")])

        assert ids(worker.claim()) == ["c", "a", "b"]
