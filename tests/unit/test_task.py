from __future__ import annotations

import asyncio
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from taskmill import Context, CoroutineTask, Mill, Result, State, Task, current_job
from taskmill._core.instant import DAY, HOUR, SECOND
from taskmill._core.limit import Limits
from taskmill._core.retry import RetryPolicy
from taskmill.errors import (
    ConfigurationError,
    InvalidArguments,
    InvalidOption,
    NoCurrentJob,
    PayloadTooLarge,
    UnknownTask,
    Unserializable,
)
from taskmill.testing import FakeClock
from tests.unit.little_worker import LittleWorker

if TYPE_CHECKING:
    import taskmill as hidden

here = Mill("memory://")


@here.task
def at_module_level(number: int) -> int:
    """Say what it is."""
    return number


@dataclass
class Order:
    number: int
    follows: Later | None = None


@dataclass
class Later:
    text: str


def double(number: int) -> int:
    return 2 * number


def typed_at_a_prompt() -> Any:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def cell(): ...", scope)  # noqa: S102  (as a notebook does)
    return scope["cell"]


def job_of(mill: Mill, result: Result[Any]) -> Any:
    return mill.app.storage.inspection.job(result.id)


class TestDefinition:
    def test_a_task_is_named_after_its_module_and_function(self) -> None:
        assert at_module_level.name == f"{__name__}.at_module_level"

    def test_a_nested_function_is_named_without_locals(self, mill: Mill) -> None:
        @mill.task
        def nested() -> None: ...

        assert (
            nested.name == f"{__name__}.TestDefinition.test_a_nested_function_is_named_without_locals.nested"
        )

    def test_a_task_looks_like_its_function(self) -> None:
        assert at_module_level.__name__ == "at_module_level"
        assert at_module_level.__doc__ == "Say what it is."
        assert str(inspect.signature(at_module_level)) == "(number: 'int') -> 'int'"
        assert repr(at_module_level) == f"<Task {__name__}.at_module_level>"

    def test_calling_a_task_runs_it_here(self) -> None:
        assert at_module_level(3) == 3

    def test_an_async_function_becomes_a_coroutine_task(self, mill: Mill) -> None:
        @mill.task(timeout=timedelta(seconds=5))
        async def fetch(url: str) -> str:
            return url

        assert isinstance(fetch, CoroutineTask)
        assert (fetch.is_coroutine, fetch.executor, fetch.limits) == (True, "asyncio", Limits(None, 5.0))
        assert asyncio.run(fetch("a")) == "a"

    def test_options_reach_the_task(self, mill: Mill) -> None:
        @mill.task(name="mail", retries=3, retry_delay=0.5, backoff=3, jitter=0)
        def send() -> None: ...

        assert isinstance(send, Task)
        assert send.name == "mail"
        assert send.retry_policy == RetryPolicy(delay=SECOND // 2, backoff=3, jitter=0)
        assert (send.executor, send.limits) == ("thread", None)

    def test_an_alias_finds_the_task_too(self, mill: Mill) -> None:
        @mill.task(name="new", aliases=["old"])
        def send() -> None: ...

        assert mill.app.tasks.find("old") is mill.app.tasks.find("new") is send
        assert list(mill.app.tasks) == [send]

    def test_an_unknown_name_gets_a_suggestion(self, mill: Mill) -> None:
        mill.task(name="send_mail")(lambda: None)

        with pytest.raises(UnknownTask, match=r"no task named 'send_mial'.*did you mean 'send_mail'\?"):
            mill.app.tasks["send_mial"]

    def test_the_same_function_defined_again_takes_the_place_of_the_first(self, mill: Mill) -> None:
        def make(answer: int) -> Any:
            @mill.task
            def cell() -> int:
                return answer

            return cell

        first, second = make(1), make(2)

        assert mill.app.tasks.find(first.name) is second
        assert len(mill.app.tasks) == 1

    def test_two_functions_under_one_name_are_refused(self, mill: Mill) -> None:
        @mill.task(name="send")
        def one() -> None: ...

        with pytest.raises(ConfigurationError, match=r"two tasks are called 'send'.*one.*two.*name="):

            @mill.task(name="send")
            def two() -> None: ...

    def test_a_task_can_be_pickled_by_reference(self) -> None:
        assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level  # noqa: S301

    def test_a_static_method_can_be_a_task(self, mill: Mill) -> None:
        class Shop:
            @staticmethod
            @mill.task
            def close(hour: int) -> int:
                return hour

        assert Shop.close(3) == Shop().close(3) == 3

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"retrys": 3}, "no option 'retrys' (did you mean 'retries'?)"),
            ({"priority": 101}, "priority=101 is not a whole number from -100 to 100"),
            ({"priority": True}, "priority=True"),
            ({"retries": -1}, "retries=-1"),
            ({"retry_delay": -1}, "retry_delay=-1 is no duration"),
            ({"retry_delay": "1"}, "retry_delay='1' is no duration"),
            ({"retry_delay": float("nan")}, "retry_delay=nan is no duration"),
            ({"result_ttl": float("inf")}, "result_ttl=inf is no duration"),
            ({"backoff": 0.5}, "backoff=0.5 is not a number from 1"),
            ({"jitter": 2}, "jitter=2 is not a number from 0 to 1"),
            ({"queue": ""}, "queue='' is not one line of printable text"),
            ({"queue": "a,b"}, "the name of a queue has no comma"),
            ({"name": "a\nb"}, "name='a\\nb' is not one line"),
            ({"lock": 3}, "lock=3 is not one line"),
            ({"retry_on": "OSError"}, "retry_on='OSError' is no class of exceptions"),
            ({"no_retry_on": (OSError, 3)}, "no_retry_on="),
            ({"aliases": "old"}, "aliases='old' is not a list of texts"),
            ({"executor": "thraed"}, "executor='thraed' is not one of 'thread', 'asyncio'"),
            ({"executor": "process"}, 'cannot have executor="process", whose processes import it'),
            ({"executor": "asyncio"}, "is a def: its executor is 'thread' or 'process', not 'asyncio'"),
            ({"timeout": 0}, "timeout=0 leaves no time to run"),
            ({"soft_timeout": 0}, "soft_timeout=0 leaves no time to run"),
            ({"soft_timeout": -1}, "soft_timeout=-1 is no duration"),
            ({"soft_timeout": 5, "timeout": 5}, "soft_timeout=5 is not below timeout=5"),
            ({"expires": datetime(2026, 1, 1, tzinfo=UTC)}, "expires=datetime"),
        ],
    )
    def test_a_wrong_option_is_refused_by_name(self, mill: Mill, options: Any, message: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            mill.task(**options)(lambda: None)

        assert message in str(caught.value)

    @pytest.mark.parametrize("executor", ["thread", "process"])
    def test_an_async_function_runs_on_the_loop(self, mill: Mill, executor: Any) -> None:
        async def fetch() -> None: ...

        with pytest.raises(ConfigurationError, match=f"its executor is 'asyncio', not '{executor}'"):
            mill.task(executor=executor)(fetch)

    def test_a_function_of_a_module_may_run_in_a_process(self, mill: Mill) -> None:
        task = mill.task(name="double", executor="process")(double)

        assert (task.executor, task.enqueue(1).job().executor) == ("process", "process")

    def test_what_a_process_could_not_import_is_refused_and_told_what_to_do(self, mill: Mill) -> None:
        def inner() -> None: ...

        for wrong, problem in [
            (inner, "it is defined inside of another function"),
            (lambda: None, "it has no name in a module"),
            (partial(double, 1), "it has no name in a module"),
            (typed_at_a_prompt(), "it is defined in the script, the notebook or at the prompt that runs"),
        ]:
            with pytest.raises(ConfigurationError, match=f"{problem}; put it at the top level of a module"):
                mill.task(name="task", executor="process")(wrong)

    def test_what_cannot_be_called_by_a_worker_is_refused(self, mill: Mill) -> None:
        class Shop:
            def close(self) -> None: ...

            @classmethod
            def open(cls) -> None: ...

        def generator() -> Iterator[int]:
            yield 1

        for wrong, message in [
            (Shop.close, "is a method"),
            (vars(Shop)["open"], "put @mill.task right above a function"),
            (3, "put @mill.task right above a function"),
            (generator, "is a generator function"),
            (lambda: None, "has no name of its own"),
            (partial(print), "has no name of its own"),
            (at_module_level, "is a task already"),
        ]:
            with pytest.raises(ConfigurationError, match=message):
                mill.task(wrong)

    def test_options_are_given_once(self, mill: Mill) -> None:
        with pytest.raises(ConfigurationError, match="give all options at once"):
            mill.task(retries=3)(retries=4)


class TestCallables:
    def test_a_partial_of_an_async_function_is_one(self, mill: Mill, worker: LittleWorker) -> None:
        async def multiply(a: int, b: int) -> int:
            return a * b

        task = mill.task(name="double")(partial(multiply, 2))
        result = task.enqueue(3)
        worker.run_all()

        assert result.get() == 6

    def test_an_object_that_can_be_called_is_one(self, mill: Mill, worker: LittleWorker) -> None:
        class Adder:
            def __call__(self, number: int) -> int:
                return number + 1

        result = mill.task(name="add")(Adder()).enqueue(3)
        worker.run_all()

        assert result.get() == 4

    def test_empty_parentheses_are_none(self, mill: Mill) -> None:
        assert mill.task()(at_module_level.func).name == at_module_level.name


class TestNameOfAScript:
    SCRIPT = """
        from taskmill import Mill
        mill = Mill("memory://")
        @mill.task
        def run(): ...
        print(run.name)
    """

    def name(self, *command: str, folder: Path) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def test_the_script_and_its_importers_agree(self, tmp_path: Path) -> None:
        (tmp_path / "shop.py").write_text(inspect.cleandoc(self.SCRIPT))

        assert self.name("shop.py", folder=tmp_path) == "shop.run"
        assert self.name("-m", "shop", folder=tmp_path) == "shop.run"
        assert self.name("-c", "import shop", folder=tmp_path) == "shop.run"

    def test_a_package_is_named_without_main(self, tmp_path: Path) -> None:
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "__main__.py").write_text(inspect.cleandoc(self.SCRIPT))

        assert self.name("-m", "shop", folder=tmp_path) == "shop.run"

    def test_at_a_prompt_the_function_is_all_there_is(self, tmp_path: Path) -> None:
        assert self.name("-c", inspect.cleandoc(self.SCRIPT), folder=tmp_path) == "run"


class TestArguments:
    @pytest.mark.parametrize(
        "args, kwargs",
        [
            ((1, 2), {}),
            ((1,), {"b": 2}),
            ((), {"a": 1, "b": 2}),
            ((1, 2), {"c": 3}),
            ((1,), {"c": 3, "b": 2}),
        ],
    )
    def test_a_call_that_python_takes_is_taken(self, mill: Mill, args: Any, kwargs: Any) -> None:
        @mill.task
        def add(a: int, b: int, *, c: int = 0) -> int:
            return a + b + c

        assert add.enqueue(*args, **kwargs).state is State.QUEUED

    @pytest.mark.parametrize(
        "args, kwargs, problem",
        [
            ((1,), {}, "missing a required argument: 'b'"),
            ((1, 2, 3), {}, "too many positional arguments"),
            ((1, 2), {"d": 4}, "got an unexpected keyword argument 'd'"),
            ((1, 2), {"a": 4}, "multiple values for argument 'a'"),
            ((), {"b": 2}, "missing a required argument: 'a'"),
        ],
    )
    def test_a_call_that_python_refuses_is_refused(
        self, mill: Mill, args: Any, kwargs: Any, problem: str
    ) -> None:
        @mill.task(name="add")
        def add(a: int, b: int, *, c: int = 0) -> int:
            return a + b + c

        with pytest.raises(InvalidArguments) as caught:
            add.enqueue(*args, **kwargs)

        assert str(caught.value).startswith("add(a: 'int', b: 'int', *, c: 'int' = 0)")
        assert problem in str(caught.value)
        assert mill.events() == []

    def test_every_kind_of_parameter_is_understood(self, mill: Mill) -> None:
        @mill.task
        def odd(first: int, /, *rest: int, must: int, **named: int) -> None: ...

        odd.enqueue(1, must=2)
        odd.enqueue(1, 2, 3, must=4, first=5)
        for args, kwargs in [((1,), {}), ((), {"must": 1}), ((), {"first": 1, "must": 2})]:
            with pytest.raises(InvalidArguments):
                odd.enqueue(*args, **kwargs)

    def test_the_cheap_check_agrees_with_python(self, mill: Mill) -> None:
        def functions() -> Iterator[Any]:
            yield lambda: None
            yield lambda a: None
            yield lambda a, b=1: None
            yield lambda a, /, b: None
            yield lambda a, *, b: None
            yield lambda a, *, b=1: None
            yield lambda *args: None
            yield lambda a, *args, b=1: None
            yield lambda **kwargs: None
            yield lambda a=1, **kwargs: None

        for number, func in enumerate(functions()):
            task = mill.task(name=f"task {number}")(func)
            for count in range(4):
                for kwargs in [{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"c": 1}]:
                    args = tuple(range(count))
                    assert self.is_taken(task, args, kwargs) == self.is_right(func, args, kwargs)

    def is_taken(self, task: Any, args: Any, kwargs: Any) -> bool:
        try:
            task.parameters.check("task", args, kwargs)
        except InvalidArguments:
            return False
        return True

    def is_right(self, func: Any, args: Any, kwargs: Any) -> bool:
        try:
            func(*args, **kwargs)
        except TypeError:
            return False
        return True

    def test_a_value_without_text_is_refused_with_its_path(self, mill: Mill) -> None:
        @mill.task
        def send(to: list[Any]) -> None: ...

        with pytest.raises(Unserializable, match=r"args\[0\]\[1\]"):
            send.enqueue([1, object()])

    def test_too_much_is_refused(self) -> None:
        mill = Mill("memory://", payload_limit=100)

        @mill.task
        def send(text: str) -> None: ...

        with pytest.raises(PayloadTooLarge, match="the limit is 100"):
            send.enqueue("x" * 100)

    def test_classes_in_annotations_come_back(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        def double(order: Order) -> Order:
            return Order(order.number * 2, Later("after"))

        result = double.enqueue(Order(2))
        worker.run_all()

        assert result.get() == Order(4, Later("after"))


class TestContext:
    def test_a_parameter_annotated_with_it_is_filled_in(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task(retries=2, queue="mail")
        def report(context: Context, number: int) -> tuple[Any, ...]:
            return context.id, context.task, context.queue, context.attempt, context.max_attempts, number

        result = report.using(headers={"trace": "1"}).enqueue(7)
        worker.run_all()

        assert report.context_parameter == "context"
        assert result.get() == (result.id, report.name, "mail", 1, 3, 7)

    def test_it_is_found_wherever_it_stands(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        def last(a: int, b: int = 2, *, context: Context | None = None) -> tuple[int, int, str]:
            return a, b, context.task if context else ""

        @mill.task
        def middle(a: int, context: Context, b: int = 2) -> tuple[int, int, str]:
            return a, b, context.task

        @mill.task
        def string(a: int, context: hidden.Context, *rest: int) -> tuple[int, tuple[int, ...], str]:
            return a, rest, context.task

        results = [
            last.enqueue(1, 3),
            middle.enqueue(1, 3),  # type: ignore[arg-type]
            middle.enqueue(a=1, b=3),  # type: ignore[call-arg]
            string.enqueue(1, 3, 4),  # type: ignore[arg-type]
        ]
        worker.run_all()

        assert [result.get() for result in results] == [
            (1, 3, last.name),
            (1, 3, middle.name),
            (1, 3, middle.name),
            (1, (3, 4), string.name),
        ]

    def test_a_class_of_the_same_name_is_not_it(self, mill: Mill) -> None:
        class Context:
            pass

        def click(context: Context) -> None: ...

        click.__annotations__["context"] = Context

        assert mill.task(click).context_parameter is None

    def test_several_contexts_cannot_be_passed(self, mill: Mill) -> None:
        def star(*contexts: Context) -> None: ...

        with pytest.raises(ConfigurationError, match="the Context is one object"):
            mill.task(star)

    def test_a_plain_call_is_local(self, mill: Mill) -> None:
        @mill.task(retries=1)
        def where(context: Context) -> tuple[Any, ...]:
            return (
                context.id,
                current_job() is context,
                context.attempt,
                context.max_attempts,
                context.headers,
            )

        assert where() == ("local", True, 1, 2, {})

    def test_a_plain_call_inside_of_a_job_is_part_of_the_job(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        def inner(context: Context) -> str:
            return context.id

        @mill.task
        def outer() -> str:
            return inner()

        result = outer.enqueue()
        worker.run_all()

        assert result.get() == result.id

    def test_outside_of_a_job_there_is_none(self) -> None:
        with pytest.raises(NoCurrentJob, match="no job runs here"):
            current_job()

    def test_an_async_task_has_one_too(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        async def where(context: Context) -> tuple[str, bool]:
            await asyncio.sleep(0)
            return context.id, current_job() is context

        result = where.enqueue()
        worker.run_all()

        assert result.get() == (result.id, True)
        assert asyncio.run(where()) == ("local", True)

    def test_headers_travel_along(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        def trace() -> dict[str, str]:
            return current_job().headers

        result = trace.using(headers={"traceparent": "00-1"}).enqueue()
        worker.run_all()

        assert result.get() == {"traceparent": "00-1"}

    def test_a_request_to_stop_is_seen(self, mill: Mill, worker: LittleWorker) -> None:
        seen = []

        @mill.task
        def long() -> None:
            seen.append(current_job().cancel_requested)
            mill.cancel(current_job().id)
            seen.append(current_job().cancel_requested)

        long.enqueue()
        worker.run_all()
        long()

        assert seen == [False, True, False, False]


class TestEnqueue:
    def test_it_stores_what_the_options_say(self, mill: Mill) -> None:
        @mill.task(
            name="send",
            queue="mail",
            priority=5,
            retries=2,
            expires=60,
            lock="smtp",
            result_ttl=HOUR / SECOND,
        )
        def send(to: str) -> None: ...

        job = job_of(mill, send.enqueue("a"))

        assert (job.task, job.queue, job.priority, job.max_attempts) == ("send", "mail", 5, 3)
        assert (job.lock, job.result_ttl, job.executor) == ("smtp", HOUR, "thread")
        assert job.expires_at - job.enqueued_at == timedelta(seconds=60)

    def test_defaults(self, mill: Mill) -> None:
        @mill.task
        async def send() -> None: ...

        job = job_of(mill, send.enqueue())

        assert (job.queue, job.priority, job.max_attempts, job.result_ttl) == ("default", 0, 1, DAY)
        assert (job.lock, job.expires_at, job.executor, job.key, job.tags) == (
            None,
            None,
            "asyncio",
            None,
            (),
        )

    def test_the_result_names_task_and_id(self, mill: Mill) -> None:
        @mill.task(name="send")
        def send() -> None: ...

        result = send.enqueue()

        assert repr(result) == f"<Result send {result.id}>"

    def test_aenqueue_does_the_same(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        def add(a: int, b: int) -> int:
            return a + b

        result = asyncio.run(add.aenqueue(2, b=3))
        worker.run_all()

        assert result.get() == 5

    def test_a_parameter_may_be_called_anything(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        def odd(self: int, args: int, options: int, task: int) -> int:
            return self + args + options + task

        result = odd.enqueue(self=1, args=2, options=3, task=4)
        worker.run_all()

        assert result.get() == 10
        assert odd(self=1, args=2, options=3, task=4) == 10

    def test_map_enqueues_one_call_for_each_item(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task
        def show(item: Any) -> str:
            return repr(item)

        results = show.using(priority=3).map([1, (2, 3)])
        worker.run_all()

        assert [result.get() for result in results] == ["1", "(2, 3)"]
        assert job_of(mill, results[0]).priority == 3
        assert show.map([]) == []

    def test_a_wrong_item_stores_none(self, mill: Mill) -> None:
        @mill.task
        def show(item: Any) -> None: ...

        with pytest.raises(Unserializable):
            show.map([1, object()])

        assert mill.events() == []


class TestUsing:
    @pytest.fixture
    def send(self, mill: Mill) -> Task[..., None]:
        @mill.task(expires=60, lock="smtp", retries=3)
        def send(to: str = "") -> None: ...

        return send

    def test_it_overrides_the_task(self, mill: Mill, send: Task[..., None]) -> None:
        bound = send.using(
            queue="slow", priority=7, retries=0, lock=None, expires=None, result_ttl=5, tags=["a", "b"]
        )

        job = job_of(mill, bound.enqueue("x"))

        assert (job.queue, job.priority, job.max_attempts, job.lock) == ("slow", 7, 1, None)
        assert (job.expires_at, job.result_ttl, job.tags) == (None, 5 * SECOND, ("a", "b"))
        assert job_of(mill, send.enqueue("x")).lock == "smtp"

    def test_the_later_word_counts(self, mill: Mill, send: Task[..., None], clock: FakeClock) -> None:
        moment = datetime.now(UTC) + timedelta(days=1)

        job = job_of(mill, send.using(run_at=moment, priority=1).using(delay=5, priority=2).enqueue())

        assert (job.run_at - job.enqueued_at, job.priority) == (timedelta(seconds=5), 2)
        assert job_of(mill, send.using(delay=5).using(run_at=moment).enqueue()).run_at == moment

    @pytest.mark.parametrize("delay, seconds", [(30, 30), (0.5, 0.5), (timedelta(minutes=1), 60), (None, 0)])
    def test_a_delay_counts_from_the_moment_of_storing(
        self, mill: Mill, send: Task[..., None], clock: FakeClock, delay: Any, seconds: float
    ) -> None:
        bound = send.using(delay=delay)
        clock.travel(10)

        job = job_of(mill, bound.enqueue())

        assert job.run_at - job.enqueued_at == timedelta(seconds=seconds)

    def test_an_expiry_is_a_duration_or_an_instant(
        self, mill: Mill, send: Task[..., None], clock: FakeClock
    ) -> None:
        now = datetime.fromtimestamp(clock.wall() / SECOND, UTC)
        at_noon, in_the_past = send.using(expires=now + timedelta(hours=1)), send.using(expires=now)
        clock.travel(60)

        assert job_of(mill, at_noon.enqueue()).expires_at == now + timedelta(hours=1)
        assert job_of(mill, in_the_past.enqueue()).expires_at == now + timedelta(seconds=60)
        assert job_of(mill, at_noon.using(expires=None).enqueue()).expires_at is None
        ten_more = job_of(mill, at_noon.using(expires=10).enqueue())
        assert ten_more.expires_at - ten_more.enqueued_at == timedelta(seconds=10)

    def test_a_key_stands_for_the_job_that_is_there(self, mill: Mill, send: Task[..., None]) -> None:
        first = send.using(key="daily").enqueue("a")
        second = send.using(key="daily").enqueue("b")
        other = send.using(key="weekly").enqueue("c")

        assert first == second
        assert first != other
        assert len({first, second, other}) == 2

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"delays": 3}, "no option 'delays' (did you mean 'delay'?)"),
            ({"delay": -1}, "delay=-1 is no duration"),
            ({"delay": datetime.now(UTC)}, "is an instant, no duration: use run_at"),
            ({"run_at": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001
            ({"run_at": 3}, "run_at=3 is no instant: give an aware datetime"),
            ({"expires": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001
            ({"delay": 3, "run_at": datetime.now(UTC)}, "give one of them"),
            ({"key": ""}, "key='' is not one line"),
            ({"key": "x" * 1001}, "key has 1,001 characters, the limit is 1,000"),
            ({"tags": "abc"}, "tags='abc' is not a list of texts"),
            ({"headers": ["a"]}, "headers=['a'] is not a dict of texts"),
            ({"headers": {"a": 1}}, "headers['a']=1 is not a text"),
            ({"priority": -101}, "priority=-101"),
        ],
    )
    def test_a_wrong_option_is_refused_by_name(self, send: Any, options: Any, message: str) -> None:
        with pytest.raises(InvalidOption) as caught:
            send.using(**options)

        assert message in str(caught.value)
        assert isinstance(caught.value, ValueError)


class TestRetriable:
    def test_any_error_is_by_default(self, mill: Mill) -> None:
        task = mill.task(name="any")(lambda: None)

        assert task.is_retriable(ValueError())
        assert task.is_retriable(SystemExit())

    def test_the_options_decide(self, mill: Mill) -> None:
        task = mill.task(name="some", retry_on=(OSError, ValueError), no_retry_on=FileNotFoundError)(
            lambda: None
        )

        assert task.is_retriable(PermissionError())
        assert not task.is_retriable(FileNotFoundError())
        assert not task.is_retriable(KeyError())


def test_a_decorator_between_is_kept(mill: Mill, worker: LittleWorker) -> None:
    def twice(func: Any) -> Any:
        @wraps(func)
        def wrapper(*args: Any) -> Any:
            return func(*args) * 2

        return wrapper

    @mill.task
    @twice
    def number(n: int) -> int:
        return n

    result = number.enqueue(3)
    worker.run_all()

    assert result.get() == 6
