from __future__ import annotations

from typing import Any

import pytest

from taskmill import Event, Mill, State, Task, current_job
from taskmill._app import steering
from taskmill._core import lifecycle
from taskmill._core.filter import Filter
from taskmill._core.instant import MINUTE, SECOND
from taskmill._core.lifecycle import Settlement
from taskmill._core.outcome import Succeeded
from taskmill.testing import FakeClock
from tests.unit.little_worker import LittleWorker


@pytest.fixture
def add(mill: Mill) -> Task[..., int]:
    @mill.task(name="add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


def told(events: list[Event]) -> list[tuple[str, str, int]]:
    return [(event.kind, event.task, event.attempt) for event in events]


class TestEvents:
    def test_they_are_read_back_in_the_order_of_time(
        self, mill: Mill, add: Any, worker: LittleWorker, clock: FakeClock
    ) -> None:
        first = add.enqueue(1, b=2)
        clock.travel(1)
        add.enqueue(3)
        clock.travel(1)
        worker.run_all()

        events = mill.events()

        assert told(events) == [
            ("enqueued", "add", 0),
            ("enqueued", "add", 0),
            ("started", "add", 1),
            ("succeeded", "add", 1),
            ("started", "add", 1),
            ("succeeded", "add", 1),
        ]
        assert (events[0].job_id, events[0].args, events[0].kwargs) == (first.id, (1,), {"b": 2})
        assert events[0].at < events[1].at < events[2].at

    def test_a_start_stands_before_its_end_whatever_the_clock_of_the_worker_says(
        self, mill: Mill, add: Any
    ) -> None:
        add.enqueue(1)
        storage = mill.app.storage
        session = storage.sessions.open(kind="worker", lease=MINUTE)
        [claimed] = storage.jobs.turn(session, [], claim=1, wants={"thread": 1}, queues=None).claimed
        settlement = Settlement(claimed, lifecycle.succeed(Succeeded("1")), storage.now() + SECOND)
        storage.jobs.turn(session, [settlement], claim=2, wants={}, queues=None)

        assert [event.kind for event in mill.events()] == ["enqueued", "started", "succeeded"]

    def test_every_attempt_is_among_them(self, mill: Mill, worker: LittleWorker, clock: FakeClock) -> None:
        @mill.task(name="flaky", retries=1, retry_delay=0)
        def flaky() -> None:
            clock.travel(1)
            raise ValueError(f"attempt {current_job().attempt}")

        flaky.enqueue()
        worker.run_all()

        events = mill.events()

        assert told(events) == [
            ("enqueued", "flaky", 0),
            ("started", "flaky", 1),
            ("retrying", "flaky", 1),
            ("started", "flaky", 2),
            ("failed", "flaky", 2),
        ]
        assert [event.error.message for event in events if event.error] == ["attempt 1", "attempt 2"]
        assert events[-1].reason == "error"

    def test_a_job_that_runs_has_started(self, mill: Mill, add: Any, worker: LittleWorker) -> None:
        add.enqueue(1)
        worker.claim()

        assert told(mill.events()) == [("enqueued", "add", 0), ("started", "add", 1)]

    def test_one_that_was_retried_by_hand_keeps_its_history(
        self, mill: Mill, worker: LittleWorker, clock: FakeClock
    ) -> None:
        @mill.task(name="fail")
        def fail() -> None:
            clock.travel(1)
            if current_job().attempt == 1:
                raise ValueError("no")

        result = fail.enqueue()
        worker.run_all()
        clock.travel(1)

        assert mill.retry(result.id)
        assert told(mill.events())[1:] == [("started", "fail", 1), ("failed", "fail", 1)]

        worker.run_all()
        assert told(mill.events())[1:] == [
            ("started", "fail", 1),
            ("failed", "fail", 1),
            ("started", "fail", 2),
            ("succeeded", "fail", 2),
        ]

    def test_only_the_latest_are_given(self, mill: Mill, add: Any, clock: FakeClock) -> None:
        results = []
        for number in range(5):
            clock.travel(1)
            results.append(add.enqueue(number))

        assert [event.job_id for event in mill.events(2)] == [results[3].id, results[4].id]
        assert mill.events(0) == []

    def test_a_cancelled_job_says_why(self, mill: Mill, add: Any) -> None:
        add.enqueue(1).cancel()

        assert [(event.kind, event.reason) for event in mill.events()][-1] == ("cancelled", "revoked")


class TestSteering:
    def test_cancel_and_retry_say_whether_they_did_it(
        self, mill: Mill, add: Any, worker: LittleWorker
    ) -> None:
        result = add.enqueue(1)

        assert mill.cancel(result.id)
        assert not mill.cancel(result.id)
        assert mill.retry(result.id)
        assert not mill.retry(result.id)
        worker.run_all()
        assert result.get() == 1
        assert not mill.cancel("unknown")
        assert not mill.retry("unknown")
        assert steering.cancel_with_answer(mill.app, "unknown") == "missing"

    def test_a_running_job_is_asked_to_stop(self, mill: Mill, add: Any, worker: LittleWorker) -> None:
        result = add.enqueue(1)
        worker.claim()

        assert result.cancel()
        assert result.job().cancel_requested

    def test_find_and_queues(self, mill: Mill, add: Any, worker: LittleWorker) -> None:
        done, waiting = add.enqueue(1), add.using(queue="slow", delay=60).enqueue(2)
        worker.run_all()

        assert [job.job_id for job in steering.find(mill.app)] == [waiting.id, done.id]
        assert [job.job_id for job in steering.find(mill.app, Filter(states=[State.QUEUED]))] == [waiting.id]
        assert [job.job_id for job in steering.find(mill.app, Filter(task="add", queue="default"))] == [
            done.id
        ]
        assert [(count.queue, dict(count.states)) for count in steering.queues(mill.app)] == [
            ("default", {State.SUCCEEDED: 1}),
            ("slow", {State.QUEUED: 1}),
        ]

    def test_a_whole_worker_is_stopped_and_nobody_else(self, mill: Mill) -> None:
        sessions = mill.app.storage.sessions
        parent = sessions.open(kind="supervisor", lease=MINUTE)
        children = [sessions.open(kind="worker", lease=MINUTE, parent=parent) for _ in range(2)]
        client = sessions.open(kind="client", lease=MINUTE)
        orphan = sessions.open(kind="worker", lease=MINUTE, parent=99)

        assert steering.stop_worker(mill.app, children[1])
        assert not steering.stop_worker(mill.app, parent)
        assert not steering.stop_worker(mill.app, client)
        assert steering.stop_worker(mill.app, orphan)
        asked = [state.session for state in mill.app.storage.inspection.sessions() if state.is_asked_to_stop]
        assert asked == [parent, orphan]

    def test_purge_deletes_in_batches(self, mill: Mill, add: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(steering, "_BATCH", 2)
        add.map(range(5))
        add.using(queue="slow").map(range(2))
        add.enqueue(1).cancel()

        assert mill.purge(queue="slow") == 2
        assert mill.purge() == 5
        assert mill.purge(ended=True) == 1
        assert steering.queues(mill.app) == []

    def test_purge_ends_while_others_enqueue(
        self, mill: Mill, add: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(steering, "_BATCH", 2)
        add.map(range(3))
        jobs, calls = mill.app.storage.jobs, iter(range(9))
        purge = jobs.purge

        def beside(**wanted: Any) -> int:
            next(calls)
            deleted = purge(**wanted)
            add.enqueue(1)
            return deleted

        monkeypatch.setattr(jobs, "purge", beside)

        assert mill.purge() == 5
