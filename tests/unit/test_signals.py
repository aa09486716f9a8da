from __future__ import annotations

import logging
from typing import Any

import pytest

from taskmill import Event, Mill, Task
from taskmill._core.event import EVENT_KINDS
from taskmill._core.job import ErrorInfo
from taskmill.errors import ConfigurationError
from tests.unit.little_worker import LittleWorker


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
def add(mill: Mill) -> Task[..., int]:
    @mill.task(name="add", queue="sums")
    def add(a: int, b: int = 0) -> int:
        return a + b

    return add


class TestOn:
    def test_a_handler_sees_what_it_asked_for(self, mill: Mill, add: Any, seen: list[Event]) -> None:
        mill.on("enqueued")(seen.append)
        mill.on("cancelled", "succeeded")(lambda event: None)

        result = add.enqueue(2, b=3)
        result.cancel()

        [event] = seen
        assert (event.kind, event.job_id, event.task, event.queue) == ("enqueued", result.id, "add", "sums")
        assert (event.args, event.kwargs, event.attempt, event.error) == ((2,), {"b": 3}, 0, None)

    def test_with_or_without_parentheses_it_sees_all(self, mill: Mill, add: Any, seen: list[Event]) -> None:
        mill.on()(seen.append)

        @mill.on
        def also(event: Event) -> None:
            seen.append(event)

        add.enqueue(2).cancel()

        assert [event.kind for event in seen] == ["enqueued", "enqueued", "cancelled", "cancelled"]

    def test_handlers_run_in_the_order_of_registration(self, mill: Mill, add: Any) -> None:
        order: list[int] = []
        for number in range(3):
            mill.on("enqueued")(lambda event, number=number: order.append(number))

        add.enqueue(2)

        assert order == [0, 1, 2]

    def test_an_error_in_a_handler_is_logged_and_harms_nothing(
        self, mill: Mill, add: Any, seen: list[Event], caplog: pytest.LogCaptureFixture
    ) -> None:
        @mill.on("enqueued")
        def broken(event: Event) -> None:
            raise ValueError("broken")

        @mill.on("enqueued")
        def leaving(event: Event) -> None:
            raise SystemExit

        mill.on("enqueued")(seen.append)

        with caplog.at_level(logging.ERROR, "taskmill.signals"):
            result = add.enqueue(2)

        assert [event.job_id for event in seen] == [result.id]
        assert f"failed on 'enqueued' of add {result.id}" in caplog.text
        assert "ValueError: broken" in caplog.text

    def test_an_unknown_kind_gets_a_suggestion(self, mill: Mill) -> None:
        with pytest.raises(ConfigurationError, match=r"no event 'succeded' \(did you mean 'succeeded'\?\)"):
            mill.on("succeded")  # type: ignore[call-overload]

    def test_what_cannot_be_a_handler_is_refused(self, mill: Mill) -> None:
        async def handler(event: Event) -> None: ...

        with pytest.raises(ConfigurationError, match="is an async def, but signals come from threads"):
            mill.on("enqueued")(handler)
        with pytest.raises(ConfigurationError, match="it cannot be called"):
            mill.on("enqueued")(3)  # type: ignore[type-var]

    def test_jobs_pay_nothing_without_handlers(self, mill: Mill) -> None:
        assert not any(mill.app.signals.wants(kind) for kind in EVENT_KINDS)  # type: ignore[arg-type]

        mill.on("failed")(print)

        assert [kind for kind in EVENT_KINDS if mill.app.signals.wants(kind)] == ["failed"]  # type: ignore[arg-type]


class TestWhatIsTold:
    def test_all_steps_of_a_pipeline_are_enqueued(self, mill: Mill, add: Any, seen: list[Event]) -> None:
        mill.on("enqueued")(seen.append)

        result = (add.s(1) | add.s(2)).enqueue()

        assert [event.job_id for event in seen] == [step.id for step in result.steps]

    def test_a_call_that_was_not_stored_is_not(self, mill: Mill, add: Any, seen: list[Event]) -> None:
        mill.on("enqueued")(seen.append)

        first = add.using(key="once").enqueue(1)
        add.using(key="once").enqueue(1)

        assert [event.job_id for event in seen] == [first.id]

    def test_cancelling_tells_of_all_that_it_cancelled(self, mill: Mill, add: Any, seen: list[Event]) -> None:
        result = (add.s(1) | add.s(2)).enqueue()
        mill.on("cancelled")(seen.append)

        result.cancel()

        assert [(event.job_id, event.reason) for event in seen] == [
            (result.steps[0].id, "revoked"),
            (result.steps[1].id, "a step before it did not succeed"),
        ]

    def test_retrying_by_hand_is_enqueueing_again(self, mill: Mill, add: Any, seen: list[Event]) -> None:
        result = add.enqueue(1)
        result.cancel()
        mill.on("enqueued")(seen.append)

        assert mill.retry(result.id)

        assert [event.job_id for event in seen] == [result.id]

    def test_a_worker_tells_through_the_application(
        self, mill: Mill, add: Any, worker: LittleWorker, seen: list[Event]
    ) -> None:
        mill.on("started", "failed", "rescued")(seen.append)
        result = add.enqueue(1, b=2)
        [claimed] = worker.claim()
        error = ErrorInfo("ValueError", "no")

        mill.app.tell_claimed("started", claimed)
        mill.app.tell_claimed("failed", claimed, error=error, reason="error")
        mill.app.tell_claimed("succeeded", claimed)
        mill.app.tell_notices([("rescued", result.id, None), ("cancelled", result.id, None)])  # type: ignore[list-item]
        mill.app.tell_notices([("rescued", "unknown", None)])  # type: ignore[list-item]

        assert [(event.kind, event.attempt, event.error, event.reason) for event in seen] == [
            ("started", 1, None, None),
            ("failed", 1, error, "error"),
            ("rescued", 1, None, None),
        ]
        assert {(event.job_id, event.args) for event in seen} == {(result.id, (1,))}
        assert all(event.kwargs == {"b": 2} for event in seen)

    def test_arguments_that_do_not_decode_are_left_out(
        self, mill: Mill, add: Any, worker: LittleWorker, seen: list[Event]
    ) -> None:
        mill.on("started")(seen.append)
        add.enqueue(1)
        [claimed] = worker.claim()

        mill.app.tell_claimed("started", claimed._replace(args="{}"))

        assert [(event.args, event.kwargs) for event in seen] == [((), None)]
