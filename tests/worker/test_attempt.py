"""One run of a task's function: whatever happens in it is an outcome, and the thread lives on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, cast

import pytest

from taskmill import Cancel, Context, Mill, Retry, Snooze, current_job
from taskmill._app.context import Tenure
from taskmill._core.event import Event
from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed, NewJob
from taskmill._core.outcome import (
    CancelAsked,
    Misfit,
    Outcome,
    Raised,
    Released,
    ResultRefused,
    RetryAsked,
    SnoozeAsked,
    Succeeded,
    TimedOut,
    Undecodable,
    Unknown,
)
from taskmill._worker.attempt import LONGEST_DELAY, LONGEST_MESSAGE, LONGEST_TRACEBACK, Attempts
from taskmill._worker.hold import Hold
from tests.worker.builders import claim, run_next


def a_hold(claimed: Claimed, *, is_interrupted: bool = False) -> Hold:
    task = asyncio.current_task()
    assert task is not None
    hold = Hold(claimed, task)
    hold.done = "release" if is_interrupted else None
    return hold


async def run_next_async(mill: Mill, *, is_interrupted: bool = False) -> Outcome:
    [claimed] = claim(mill)
    return await Attempts(mill.app, Tenure(1)).run_async(
        claimed, a_hold(claimed, is_interrupted=is_interrupted)
    )


def outcome_of(mill: Mill, error: BaseException) -> Any:
    """What an attempt that raises *error* comes to."""

    @mill.task(name="raises")
    def raises() -> NoReturn:
        raise error

    raises.enqueue()
    return run_next(mill)


def outcome_of_returning(mill: Mill, value: object) -> Any:
    @mill.task(name="returns")
    def returns() -> object:
        return value

    returns.enqueue()
    return run_next(mill)


class TestReturning:
    def test_the_result_is_encoded(self, mill: Mill) -> None:
        outcome = outcome_of_returning(mill, (1, None))

        assert isinstance(outcome, Succeeded)
        assert mill.app.codec.decode(outcome.result) == (1, None)

    def test_a_result_that_has_no_text_form_fails_the_job_and_says_so(self, mill: Mill) -> None:
        outcome = outcome_of_returning(mill, {"rows": [object()]})

        assert isinstance(outcome, ResultRefused)
        assert outcome.error.type == "taskmill.errors.Unserializable"
        assert "the result of returns: " in outcome.error.message
        assert "['rows'][0]" in outcome.error.message

    def test_a_result_above_the_limit_fails_the_job_and_says_how_large_it_is(self) -> None:
        mill = Mill("memory://", payload_limit=1_000)

        outcome = outcome_of_returning(mill, "x" * 5_000)

        assert isinstance(outcome, ResultRefused)
        assert outcome.error.type == "taskmill.errors.PayloadTooLarge"
        assert "5,002 bytes encoded, the limit is 1,000" in outcome.error.message

    def test_a_class_that_fails_while_it_is_read_fails_the_job(self, mill: Mill) -> None:
        @mill.register
        @dataclass
        class Hostile:
            number: int

            def __getattribute__(self, name: str) -> Any:
                if name == "number":
                    raise SystemExit(3)
                return super().__getattribute__(name)

        outcome = outcome_of_returning(mill, Hostile.__new__(Hostile))

        assert isinstance(outcome, ResultRefused)
        assert outcome.error.type == "SystemExit"


class TestRaising:
    @pytest.mark.parametrize(
        "error",
        [
            ValueError("boom"),
            SystemExit(3),
            KeyboardInterrupt(),
            GeneratorExit(),
            StopIteration(1),
            asyncio.CancelledError(),
            MemoryError(),
            RecursionError(),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_every_error_is_the_task_s_own_and_is_retried(self, mill: Mill, error: BaseException) -> None:
        outcome = outcome_of(mill, error)

        assert isinstance(outcome, Raised)
        assert outcome.is_retriable
        assert outcome.error.type.rpartition(".")[2] == type(error).__name__

    def test_the_traceback_begins_in_the_task(self, mill: Mill) -> None:
        outcome = outcome_of(mill, ValueError("boom"))

        [header, first_frame, *_, last] = outcome.error.traceback.splitlines()
        assert header == "Traceback (most recent call last):"
        assert "in raises" in first_frame
        assert last == "ValueError: boom"
        assert "_worker" not in outcome.error.traceback

    def test_the_kind_of_an_error_is_named_with_its_module_unless_that_is_builtin(self, mill: Mill) -> None:
        kinds = [outcome_of(mill, error).error.type for error in (KeyError("x"), asyncio.InvalidStateError())]

        assert kinds == ["KeyError", "asyncio.exceptions.InvalidStateError"]

    def test_retry_on_decides_what_is_worth_another_attempt(self, mill: Mill) -> None:
        @mill.task(retry_on=OSError, no_retry_on=FileNotFoundError)
        def reads(kind: str) -> NoReturn:
            raise {"lost": ConnectionResetError, "missing": FileNotFoundError, "wrong": ValueError}[kind]

        verdicts = {}
        for kind in ("lost", "missing", "wrong"):
            reads.enqueue(kind)
            outcome = run_next(mill)
            assert isinstance(outcome, Raised)
            verdicts[kind] = outcome.is_retriable

        assert verdicts == {"lost": True, "missing": False, "wrong": False}

    def test_arguments_that_no_longer_fit_are_told_from_errors_of_the_task(self, mill: Mill) -> None:
        @mill.task(name="changed")
        def before(a: int, b: int) -> None: ...

        result = before.enqueue(1, 2)
        mill.app.tasks._tasks.clear()

        @mill.task(name="changed")
        def after(a: int) -> None: ...

        outcome = run_next(mill)

        assert isinstance(outcome, Misfit)
        assert outcome.error.type == "taskmill.errors.InvalidArguments"
        assert "changed(a: 'int') -> 'None': too many positional arguments" in outcome.error.message
        assert f"`taskmill jobs retry {result.id}`" in outcome.error.message

    def test_a_type_error_of_the_task_is_its_own(self, mill: Mill) -> None:
        outcome = outcome_of(mill, TypeError("add() missing 1 required positional argument: 'b'"))

        assert isinstance(outcome, Raised)
        assert outcome.error.type == "TypeError"


class Mute(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class WithoutText(Exception):
    def __str__(self) -> str:
        return cast(str, 5)


class TestTextOfErrors:
    @pytest.mark.parametrize("kind", [Mute, WithoutText])
    def test_an_error_that_cannot_say_what_it_is_is_named(self, mill: Mill, kind: type[Exception]) -> None:
        outcome = outcome_of(mill, kind())

        assert isinstance(outcome, Raised)
        assert outcome.error.message == f"<{kind.__name__} without a readable message>"

    def test_what_no_store_can_hold_is_spelled_out(self, mill: Mill) -> None:
        error = outcome_of(mill, ValueError("lone \ud800 surrogate, NUL \0.")).error

        assert error.message == "lone \\ud800 surrogate, NUL \\x00."
        assert "\\ud800" in error.traceback
        for text in error:
            text.encode()
            assert "\0" not in text

    def test_of_a_long_message_the_beginning_is_kept(self, mill: Mill) -> None:
        message = outcome_of(mill, ValueError("begin " + "x" * 1_000_000)).error.message

        assert message.startswith("begin xxx")
        assert message.endswith("characters left out]")
        assert len(message) < LONGEST_MESSAGE + 100

    def test_of_a_long_traceback_the_end_is_kept(self, mill: Mill) -> None:
        def chain(depth: int) -> NoReturn:
            try:
                raise ValueError("the first") if depth == 0 else chain(depth - 1)
            except ValueError as inner:
                raise ValueError(f"after {depth}") from inner

        @mill.task
        def long() -> None:
            chain(300)

        long.enqueue()
        outcome = run_next(mill)

        assert isinstance(outcome, Raised)
        text = outcome.error.traceback
        assert text.startswith("[... ")
        assert text.endswith("ValueError: after 300\n")
        assert len(text) < LONGEST_TRACEBACK + 100

    def test_a_recursion_without_end_is_an_error_like_others(self, mill: Mill) -> None:
        @mill.task
        def sink(depth: int) -> int:
            return sink(depth + 1) + 1

        sink.enqueue(0)
        outcome = run_next(mill)

        assert isinstance(outcome, Raised)
        assert outcome.error.type == "RecursionError"
        assert len(outcome.error.traceback) < LONGEST_TRACEBACK + 100

    def test_a_group_shows_all_its_errors(self, mill: Mill) -> None:
        error = outcome_of(mill, ExceptionGroup("both", [ValueError("one"), OSError("two")])).error

        assert (error.type, error.message) == ("ExceptionGroup", "both (2 sub-exceptions)")
        assert "ValueError: one" in error.traceback
        assert "OSError: two" in error.traceback

    def test_code_without_a_module_name_is_no_trouble(self, mill: Mill) -> None:
        scope: dict[str, Any] = {"__name__": None}
        exec("def inner():\n    raise ValueError('boom')", scope)  # noqa: S102  (as a template engine does)

        @mill.task
        def outer() -> None:
            scope["inner"]()

        outer.enqueue()
        outcome = run_next(mill)

        assert isinstance(outcome, Raised)
        assert outcome.error.message == "boom"


class TestSteering:
    def test_a_retry_carries_its_message_and_its_delay(self, mill: Mill) -> None:
        outcome = outcome_of(mill, Retry("too early", delay=timedelta(minutes=1)))

        assert isinstance(outcome, RetryAsked)
        assert (outcome.error.message, outcome.delay) == ("too early", 60 * SECOND)

    def test_a_retry_without_a_delay_leaves_it_to_the_task_s_back_off(self, mill: Mill) -> None:
        assert outcome_of(mill, Retry()).delay is None

    @pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "soon", []], ids=repr)
    def test_a_wrong_delay_of_a_retry_falls_back_on_the_back_off(self, mill: Mill, delay: Any) -> None:
        outcome = outcome_of(mill, Retry(delay=delay))

        assert isinstance(outcome, RetryAsked)
        assert outcome.delay is None

    def test_a_snooze_carries_its_delay(self, mill: Mill) -> None:
        assert outcome_of(mill, Snooze(1.5)) == SnoozeAsked(1_500_000)

    @pytest.mark.parametrize("delay", [-1, float("nan"), "soon", None], ids=repr)
    def test_a_wrong_delay_of_a_snooze_is_an_error_and_no_endless_loop(self, mill: Mill, delay: Any) -> None:
        outcome = outcome_of(mill, Snooze(delay))

        assert isinstance(outcome, Raised)
        assert outcome.error.message == "no delay to snooze for: snoozed"

    @pytest.mark.parametrize("kind", [Retry, Snooze])
    def test_a_delay_beyond_all_calendars_is_cut(self, mill: Mill, kind: Any) -> None:
        assert outcome_of(mill, kind(delay=1e300)).delay == LONGEST_DELAY

    @pytest.mark.parametrize("base, expected", [(Retry, RetryAsked), (Snooze, Raised)])
    def test_a_subclass_that_forgot_its_init_is_understood(
        self, mill: Mill, base: Any, expected: type
    ) -> None:
        class Own(base):  # type: ignore[misc]
            def __init__(self) -> None:
                pass

        assert isinstance(outcome_of(mill, Own()), expected)

    def test_a_cancel_carries_its_message_and_no_traceback(self, mill: Mill) -> None:
        outcome = outcome_of(mill, Cancel("no such user"))

        assert isinstance(outcome, CancelAsked)
        assert (outcome.error.message, outcome.error.traceback) == ("no such user", "")


class TestPreparing:
    def test_a_task_that_is_not_here_is_unknown(self, mill: Mill) -> None:
        mill.app.submit([NewJob(job_id="j", task="nowhere", args="[[],{}]")])

        assert run_next(mill) == Unknown()

    @pytest.mark.parametrize("text", ["", "{", "[]", '["a"]', "[[{'a'}],{}]", '[[{"!new":1}],{}]'])
    def test_arguments_that_do_not_decode_fail_the_job_without_a_call(self, mill: Mill, text: str) -> None:
        calls = []
        mill.task(name="task")(lambda *args: calls.append(args))
        mill.app.submit([NewJob(job_id="j", task="task", args=text)])

        outcome = run_next(mill)

        assert isinstance(outcome, Undecodable)
        assert outcome.error.type == "taskmill.errors.UndecodablePayload"
        assert calls == []

    def test_a_class_that_fails_while_it_is_made_fails_the_job_only(self, mill: Mill) -> None:
        is_hostile = False

        @dataclass
        class Order:
            number: int

            def __post_init__(self) -> None:
                if is_hostile:
                    raise KeyboardInterrupt

        mill.register(Order)

        @mill.task
        def ship(order: Any) -> None: ...

        ship.enqueue(Order(1))
        is_hostile = True

        assert isinstance(run_next(mill), Undecodable)

    def test_the_result_of_the_step_before_comes_first(self, mill: Mill) -> None:
        seen = []
        mill.task(name="step")(lambda *args, **kwargs: seen.append((args, kwargs)))
        mill.app.submit([NewJob(job_id="j", task="step", args='[["own"],{"table":"t"}]')])
        [claimed] = claim(mill)

        Attempts(mill.app, Tenure(1)).run(claimed._replace(given="[1,2]"))

        assert seen == [(([1, 2], "own"), {"table": "t"})]

    def test_a_result_of_the_step_before_that_does_not_decode_fails_the_step(self, mill: Mill) -> None:
        mill.task(name="step")(lambda given: given)
        mill.app.submit([NewJob(job_id="j", task="step", args="[[],{}]")])
        [claimed] = claim(mill)

        outcome = Attempts(mill.app, Tenure(1)).run(claimed._replace(given="{"))

        assert isinstance(outcome, Undecodable)

    def test_what_goes_wrong_beside_the_task_ends_the_attempt_and_not_the_thread(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Strange(type):
            def __instancecheck__(cls, instance: object) -> bool:
                raise SystemExit

        class Never(Exception, metaclass=Strange):
            pass

        @mill.task(no_retry_on=Never)
        def fails() -> NoReturn:
            raise ValueError("boom")

        fails.enqueue()
        outcome = run_next(mill)

        assert isinstance(outcome, Raised)
        assert "beside its task" in outcome.error.message
        assert "the attempt failed beside its task" in caplog.text


class TestSurroundings:
    def test_the_current_job_is_known_in_the_task_and_not_after_it(self, mill: Mill) -> None:
        contexts = []

        @mill.task
        def looks(context: Context) -> None:
            contexts.extend([context, current_job()])

        job_id = looks.enqueue().id
        run_next(mill)

        assert contexts[0] is contexts[1]
        assert (contexts[0].id, contexts[0].attempt, contexts[0].fence) == (job_id, 1, 1)
        with pytest.raises(RuntimeError, match="no job runs here"):
            current_job()

    def test_the_context_tells_when_its_session_was_lost(self, mill: Mill) -> None:
        tenure, seen = Tenure(1), []

        @mill.task
        def looks(context: Context) -> None:
            seen.append(context.lost)
            tenure.lost = True
            seen.extend([context.lost, context.cancel_requested])

        looks.enqueue()
        run_next(mill, tenure)

        assert seen == [False, True, True]

    def test_started_is_told_before_the_task_is_called(self, mill: Mill) -> None:
        order = []
        mill.on("started")(lambda event: order.append((event.kind, event.args)))

        @mill.task(name="task")
        def note(number: int) -> None:
            order.append(number)

        note.enqueue(7)
        run_next(mill)

        assert order == [("started", (7,)), 7]

    @pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1), KeyboardInterrupt()], ids=repr)
    def test_a_signal_handler_that_fails_harms_nothing(
        self, mill: Mill, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        @mill.on("started")
        def fails(event: Event) -> None:
            raise error

        assert isinstance(outcome_of_returning(mill, 5), Succeeded)
        assert "signal handler" in caplog.text


class TestWrappers:
    def test_they_go_around_the_attempt_the_first_one_outermost(self, mill: Mill) -> None:
        order = []

        def wrapper(name: str) -> None:
            @mill.wrap
            def around(context: Context) -> Iterator[None]:
                order.append((name, "in", context.attempt, current_job() is context))
                yield
                order.append((name, "out"))

        wrapper("outer")
        wrapper("inner")
        outcome_of_returning(mill, 5)

        assert order == [
            ("outer", "in", 1, True),
            ("inner", "in", 1, True),
            ("inner", "out"),
            ("outer", "out"),
        ]

    def test_an_error_of_the_task_is_raised_at_the_yield(self, mill: Mill) -> None:
        seen = []

        @mill.wrap
        def around(context: Context) -> Iterator[None]:
            try:
                yield
            except ValueError as error:
                seen.append(str(error))
                raise

        outcome = outcome_of(mill, ValueError("boom"))

        assert isinstance(outcome, Raised)
        assert seen == ["boom"]

    def test_a_wrapper_that_keeps_the_error_to_itself_makes_a_success_without_a_value(
        self, mill: Mill
    ) -> None:
        @mill.wrap
        def swallows(context: Context) -> Iterator[None]:
            with contextlib.suppress(ValueError):
                yield

        assert outcome_of(mill, ValueError("boom")) == Succeeded("null")

    @pytest.mark.parametrize("place", ["before", "after"])
    def test_an_error_of_a_wrapper_fails_the_attempt(self, mill: Mill, place: str) -> None:
        @mill.wrap
        def fails(context: Context) -> Iterator[None]:
            if place == "before":
                raise LookupError(place)
            yield
            raise LookupError(place)

        outcome = outcome_of_returning(mill, 5)

        assert isinstance(outcome, Raised)
        assert (outcome.error.type, outcome.error.message) == ("LookupError", place)

    @pytest.mark.parametrize("yields", [0, 2])
    def test_a_wrapper_that_does_not_yield_once_fails_the_attempt(self, mill: Mill, yields: int) -> None:
        @mill.wrap
        def wrong(context: Context) -> Iterator[None]:
            yield from [None] * yields

        outcome = outcome_of_returning(mill, 5)

        assert isinstance(outcome, Raised)
        assert outcome.error.type == "RuntimeError"

    def test_those_around_a_wrapper_that_fails_at_its_start_learn_of_it_and_the_task_is_not_called(
        self, mill: Mill
    ) -> None:
        seen = []

        @mill.wrap
        def outer(context: Context) -> Iterator[None]:
            try:
                yield
            except LookupError as error:
                seen.append(repr(error))  # and keeps it to itself

        @mill.wrap
        def inner(context: Context) -> AbstractContextManager[object]:
            raise LookupError("inner")

        calls = []
        task = mill.task(name="task")(lambda: calls.append(1))
        task.enqueue()
        outcome = run_next(mill)

        assert isinstance(outcome, Raised)
        assert seen == ["LookupError('inner')"]
        assert calls == []
        with pytest.raises(RuntimeError, match="no job runs here"):
            current_job()

    def test_a_plain_function_may_return_any_context_manager(self, mill: Mill) -> None:
        entered = []

        @mill.wrap
        def around(context: Context) -> AbstractContextManager[object]:
            entered.append(context.id)
            return nullcontext()

        outcome_of_returning(mill, 5)

        assert len(entered) == 1


class TestCoroutines:
    def test_the_value_of_a_coroutine_is_its_result(self, mill: Mill) -> None:
        @mill.task
        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        double.enqueue(4)

        assert asyncio.run(run_next_async(mill)) == Succeeded("8")

    def test_it_sees_its_own_context_beside_others(self, mill: Mill) -> None:
        seen = {}

        @mill.task
        async def looks(number: int) -> None:
            await asyncio.sleep(0)
            seen[number] = current_job().id

        results = [looks.enqueue(number) for number in range(3)]

        async def all_at_once() -> None:
            attempts = Attempts(mill.app, Tenure(1))
            await asyncio.gather(*(attempts.run_async(one, a_hold(one)) for one in claim(mill)))

        asyncio.run(all_at_once())

        assert seen == {number: result.id for number, result in enumerate(results)}

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
    def test_no_error_of_a_coroutine_ends_the_loop(self, mill: Mill, error: BaseException) -> None:
        @mill.task
        async def fails() -> None:
            await asyncio.sleep(0)
            raise error

        fails.enqueue()
        outcome = asyncio.run(run_next_async(mill))

        assert isinstance(outcome, Raised)
        assert outcome.error.type == type(error).__name__

    def test_a_cancellation_by_the_task_itself_is_its_own_error(self, mill: Mill) -> None:
        @mill.task
        async def gives_up() -> None:
            raise asyncio.CancelledError("own")

        gives_up.enqueue()
        outcome = asyncio.run(run_next_async(mill))

        assert isinstance(outcome, Raised)
        assert outcome.error.type == "asyncio.exceptions.CancelledError"

    def test_a_cancellation_by_a_worker_that_stops_gives_the_job_back(self, mill: Mill) -> None:
        @mill.task
        async def runs() -> None:
            raise asyncio.CancelledError

        runs.enqueue()

        assert asyncio.run(run_next_async(mill, is_interrupted=True)) == Released()

    def test_past_its_timeout_an_attempt_is_ended(self, mill: Mill) -> None:
        cleaned_up = []

        @mill.task(timeout=0.01)
        async def hangs() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned_up.append(True)

        hangs.enqueue()
        outcome = asyncio.run(run_next_async(mill))

        assert isinstance(outcome, TimedOut)
        assert outcome.error.message == "ran longer than its timeout of 0.01 s"
        assert cleaned_up == [True]

    def test_within_its_timeout_nothing_happens(self, mill: Mill) -> None:
        @mill.task(timeout=60)
        async def quick() -> int:
            await asyncio.sleep(0)
            return 1

        quick.enqueue()

        assert asyncio.run(run_next_async(mill)) == Succeeded("1")

    def test_a_timeout_error_of_its_own_is_no_time_limit(self, mill: Mill) -> None:
        @mill.task(timeout=60)
        async def waits_for_a_server() -> None:
            raise TimeoutError("the server")

        waits_for_a_server.enqueue()
        outcome = asyncio.run(run_next_async(mill))

        assert isinstance(outcome, Raised)
        assert (outcome.error.type, outcome.error.message) == ("TimeoutError", "the server")

    def test_wrappers_go_around_coroutines_too(self, mill: Mill) -> None:
        order = []

        @mill.wrap
        def around(context: Context) -> Iterator[None]:
            order.append("in")
            with contextlib.suppress(ValueError):
                yield
            order.append("out")

        @mill.task
        async def fails() -> None:
            await asyncio.sleep(0)
            order.append("task")
            raise ValueError

        fails.enqueue()

        assert asyncio.run(run_next_async(mill)) == Succeeded("null")
        assert order == ["in", "task", "out"]

    def test_arguments_that_do_not_decode_fail_it(self, mill: Mill) -> None:
        @mill.task(name="task")
        async def task() -> None: ...

        mill.app.submit([NewJob(job_id="j", task="task", args="{", executor="asyncio")])

        assert isinstance(asyncio.run(run_next_async(mill)), Undecodable)

    def test_an_unserializable_result_fails_it(self, mill: Mill, caplog: pytest.LogCaptureFixture) -> None:
        @mill.task
        async def task() -> object:
            return object()

        task.enqueue()
        caplog.set_level(logging.ERROR)

        assert isinstance(asyncio.run(run_next_async(mill)), ResultRefused)
        assert not caplog.records
