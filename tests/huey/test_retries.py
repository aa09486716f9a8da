"""What is told of a task that fails, and what it can ask for itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskmill import Cancel, Retry, Snooze, State
from taskmill.huey import CancelExecution, RetryTask, SqliteHuey, TaskException
from tests.huey.builders import Recorder, consuming


def wait_for(handle: Any) -> Any:
    return handle(blocking=True, timeout=45)


def failing(times: int, error: BaseException) -> Iterator[str]:
    """Something to call next() on in a task."""
    failures = [error] * times

    def outcomes() -> Iterator[Any]:
        while True:
            yield failures.pop() if failures else "OK"

    return outcomes()


def outcome_of(outcomes: Iterator[Any]) -> Any:
    outcome = next(outcomes)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


class TestRetries:
    def test_the_first_failure_is_not_the_outcome(self, huey: SqliteHuey, recorder: Recorder) -> None:
        outcomes = failing(2, RuntimeError("transient"))

        @huey.task(retries=3, retry_delay=0.05)
        def flaky() -> Any:
            return outcome_of(outcomes)

        with consuming(huey):
            handle = flaky()

            assert wait_for(handle) == "OK"
            assert handle() == "OK"

        job = huey.mill.result(handle.id).job()
        again = ["error", "retrying", "scheduled", "enqueued", "executing"]
        assert job.attempt == 3
        assert recorder.of("flaky") == ["enqueued", "executing", *again, *again, "complete"]

    def test_the_error_comes_after_the_last_attempt(self, huey: SqliteHuey, recorder: Recorder) -> None:
        @huey.task(retries=2)
        def broken() -> None:
            raise RuntimeError("for good")

        with consuming(huey):
            handle = broken()
            with pytest.raises(TaskException) as caught:
                wait_for(handle)
        with pytest.raises(TaskException):
            handle()

        again = ["error", "retrying", "enqueued", "executing"]
        assert huey.mill.result(handle.id).job().attempt == 3
        assert repr(caught.value) == """TaskException("RuntimeError('for good')")"""
        assert str(caught.value) == caught.value.metadata["error"] == "RuntimeError('for good')"
        assert caught.value.metadata["task_id"] == handle.id
        assert caught.value.metadata["retries"] == 0
        assert "in broken" in caught.value.metadata["traceback"]
        assert recorder.of("broken") == ["enqueued", "executing", *again, *again, "error"]

    def test_the_signal_of_an_error_has_the_exception_itself(
        self, huey: SqliteHuey, recorder: Recorder
    ) -> None:
        error = RuntimeError("this one")

        @huey.task()
        def broken() -> None:
            raise error

        with consuming(huey), pytest.raises(TaskException):
            wait_for(broken())

        assert [exc for signal, _, exc in recorder.heard if signal == "error"] == [error]

    def test_delays_grow_only_where_that_is_asked_for(self, huey: SqliteHuey) -> None:
        def policy(**settings: Any) -> list[int]:
            @huey.task(retries=3, **settings)
            def broken() -> None: ...

            return [broken.engine_task.retry_policy.wait(attempt, 1) for attempt in (1, 2, 3)]

        assert policy(retry_delay=2) == [2_000_000] * 3
        assert policy(retry_delay=2, retry_backoff=3) == [2_000_000, 6_000_000, 18_000_000]
        assert policy() == [0, 0, 0]

    def test_a_call_can_have_its_own_number(self, huey: SqliteHuey) -> None:
        outcomes = failing(1, RuntimeError("once"))

        @huey.task()
        def flaky() -> Any:
            return outcome_of(outcomes)

        with consuming(huey):
            assert wait_for(flaky(retries=1)) == "OK"


class TestRetryTask:
    @pytest.mark.parametrize(
        "error, requeued",
        [
            (RetryTask(), "enqueued"),
            (RetryTask(delay=0.02), "scheduled"),
            (RetryTask(delay=timedelta(seconds=0.02)), "scheduled"),
            (RetryTask(eta=datetime(2020, 1, 1, tzinfo=UTC)), "enqueued"),
            (Snooze(0.02), "scheduled"),
        ],
    )
    def test_it_costs_no_retry_and_is_no_error(
        self, huey: SqliteHuey, recorder: Recorder, error: Exception, requeued: str
    ) -> None:
        outcomes = failing(2, error)

        @huey.task()
        def later() -> Any:
            return outcome_of(outcomes)

        with consuming(huey):
            handle = later()
            assert wait_for(handle) == "OK"

        again = ["retrying", requeued, "executing"]
        assert huey.mill.result(handle.id).job().attempt == 1
        assert recorder.of("later") == ["enqueued", "executing", *again, *again, "complete"]


class TestCancelExecution:
    @pytest.mark.parametrize(
        "error, retries",
        [(CancelExecution("enough"), 0), (CancelExecution("enough", retry=False), 3), (Cancel("enough"), 3)],
    )
    def test_it_ends_the_job(
        self, huey: SqliteHuey, recorder: Recorder, error: Exception, retries: int
    ) -> None:
        @huey.task(retries=retries)
        def stop() -> None:
            raise error

        with consuming(huey):
            handle = stop()
            with pytest.raises(TaskException, match="enough"):
                wait_for(handle)
        with pytest.raises(TaskException, match="enough"):
            handle()

        assert huey.mill.result(handle.id).state is State.CANCELLED
        assert recorder.of("stop") == ["enqueued", "executing", "canceled"]

    @pytest.mark.parametrize(
        "error, retries",
        [(CancelExecution(), 1), (CancelExecution(retry=True), 1), (CancelExecution(retry=True), 0)],
    )
    def test_it_can_leave_a_retry(
        self, huey: SqliteHuey, recorder: Recorder, error: Exception, retries: int
    ) -> None:
        outcomes = failing(1, error)

        @huey.task(retries=retries)
        def stop() -> Any:
            return outcome_of(outcomes)

        with consuming(huey):
            assert wait_for(stop()) == "OK"

        again = ["canceled", "retrying", "enqueued", "executing"]
        assert recorder.of("stop") == ["enqueued", "executing", *again, "complete"]


def test_the_engines_own_retry_works_too(huey: SqliteHuey) -> None:
    outcomes = failing(1, Retry(delay=0))

    @huey.task(retries=1)
    def again() -> Any:
        return outcome_of(outcomes)

    with consuming(huey):
        assert wait_for(again()) == "OK"
