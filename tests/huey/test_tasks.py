"""Calls, schedules and pipelines of taskmill.huey."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskmill import State
from taskmill._core.filter import Filter
from taskmill.errors import Unserializable
from taskmill.huey import ConfigurationError, MemoryHuey, SqliteHuey, TaskException
from tests.huey.builders import consuming

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Order:
    number: int


def wait_for(handle: Any) -> Any:
    return handle(blocking=True, timeout=45)


class TestCall:
    def test_a_call_enqueues_and_returns_a_handle(self, huey: SqliteHuey) -> None:
        @huey.task()
        def add(a: int, b: int) -> int:
            return a + b

        handle = add(2, b=3)

        assert repr(handle) == f"<Result: task {handle.id}>"
        assert handle() is None
        with consuming(huey):
            assert handle(blocking=True, timeout=45) == 5

    def test_call_local_calls_the_function_itself(self, huey: SqliteHuey) -> None:
        @huey.task(retries=3)
        def add(a: int, b: int) -> int:
            """Adds."""
            return a + b

        assert add.call_local(2, 3) == 5
        assert (add.__name__, add.__doc__) == ("add", "Adds.")

    def test_a_task_can_have_a_name_of_its_own(self, huey: SqliteHuey) -> None:
        @huey.task(name="plus")
        def add(a: int, b: int) -> int:
            return a + b

        [job] = huey.mill.app.storage.inspection.find(Filter(task=f"{__name__}.plus")) or [add(1, 2)]

        assert add.s(1, 2).name == "plus"
        assert huey.mill.result(job.id).job().task == f"{__name__}.plus"

    def test_a_function_defined_again_takes_the_place_of_the_first(self, huey: SqliteHuey) -> None:
        for factor in (2, 3):

            @huey.task()
            def times(number: int, factor: int = factor) -> int:
                return number * factor

        with consuming(huey):
            assert wait_for(times(5)) == 15

    def test_the_context_is_a_keyword_with_the_id_and_the_retries_that_are_left(
        self, huey: SqliteHuey
    ) -> None:
        @huey.task(context=True, retries=2)
        def look(number: int, task: Any = None) -> tuple[Any, ...]:
            return task.id, task.name, task.args, task.kwargs, task.retries

        with consuming(huey):
            handle = look(7)

            assert wait_for(handle) == (handle.id, "look", (7,), {}, 2)

    def test_priority_decides_among_waiting_calls(self, huey: SqliteHuey) -> None:
        order: list[str] = []

        @huey.task(priority=10)
        def low() -> None:
            order.append("low")

        @huey.task(priority=50)
        def high() -> None:
            order.append("high")

        handles = [low(), high(), low(priority=60)]
        with consuming(huey, workers=1):
            assert [wait_for(handle) for handle in handles] == [None, None, None]

        assert order == ["low", "high", "low"]

    def test_what_is_not_text_travels_with_its_type(self, huey: SqliteHuey) -> None:
        @huey.task()
        def same(order: Order, on: datetime) -> tuple[Order, datetime]:
            return order, on

        with consuming(huey):
            result = wait_for(same(Order(7), datetime(2026, 1, 31, tzinfo=UTC)))

        assert result == (Order(7), datetime(2026, 1, 31, tzinfo=UTC))

    def test_an_argument_that_cannot_be_stored_is_refused_at_the_call(self, huey: SqliteHuey) -> None:
        @huey.task()
        def use(thing: object) -> None: ...

        with pytest.raises(Unserializable, match=r"args\[0\]"):
            use(threading.Lock())

    def test_a_wrong_call_fails_in_the_worker_as_in_huey(self, huey: SqliteHuey) -> None:
        @huey.task()
        def add(a: int, b: int) -> int:
            return a + b

        with consuming(huey), pytest.raises(TaskException, match="missing 1 required positional argument"):
            wait_for(add(1))

    def test_a_task_can_enqueue_another(self, huey: SqliteHuey) -> None:
        ticks = threading.Semaphore(0)

        @huey.task()
        def tick() -> None:
            ticks.release()

        @huey.task()
        def twice() -> None:
            tick()
            huey.enqueue(tick.s())

        with consuming(huey):
            wait_for(twice())

            assert all(ticks.acquire(timeout=45) for _ in range(2))

    def test_a_timer_thread_can_enqueue(self, huey: SqliteHuey) -> None:
        has_ticked = threading.Event()

        @huey.task()
        def tick() -> None:
            has_ticked.set()

        with consuming(huey):
            threading.Timer(0, lambda: huey.enqueue(tick.s())).start()

            assert has_ticked.wait(45)

    def test_the_same_call_enqueued_again_is_another_job(self, huey: SqliteHuey) -> None:
        @huey.task()
        def one() -> int:
            return 1

        call = one.s()
        first, second = huey.enqueue(call), huey.enqueue(call)
        with consuming(huey):
            assert [wait_for(first), wait_for(second)] == [1, 1]

        assert first.id != second.id

    def test_map_enqueues_a_call_for_each_item(self, huey: SqliteHuey) -> None:
        @huey.task()
        def add(a: int, b: int = 10) -> int:
            return a + b

        with consuming(huey):
            assert wait_for(add.map([1, (2, 3)])) == [11, 5]

    def test_only_calls_can_be_enqueued(self, huey: SqliteHuey) -> None:
        @huey.task()
        def one() -> int:
            return 1

        with pytest.raises(TypeError, match=r"huey\.enqueue\(task\.s"):
            huey.enqueue(one)

    def test_a_call_belongs_to_its_huey(self, huey: SqliteHuey) -> None:
        other = MemoryHuey("other")

        @other.task()
        def one() -> int:
            return 1

        with pytest.raises(ConfigurationError, match="not a call of a task of"):
            huey.enqueue(one.s())


class TestSchedule:
    def test_a_delayed_call_is_not_started_early(self, huey: SqliteHuey) -> None:
        @huey.task()
        def add(a: int, b: int) -> int:
            return a + b

        with consuming(huey):
            handle = add.schedule(args=(1,), kwargs={"b": 2}, delay=0.2)

            assert handle() is None
            assert wait_for(handle) == 3

        job = huey.mill.result(handle.id).job()
        assert timedelta(seconds=0.15) < job.run_at - job.enqueued_at < timedelta(seconds=0.25)
        assert job.started_at is not None
        assert job.started_at >= job.run_at

    @pytest.mark.parametrize("utc", [True, False])
    def test_an_eta_without_a_time_zone_is_local_time(self, utc: bool) -> None:
        huey = MemoryHuey("app", utc=utc)

        @huey.task()
        def one() -> int:
            return 1

        aware = datetime.now(UTC) + timedelta(hours=1)
        naive = aware.astimezone().replace(tzinfo=None)
        handles = [one.schedule(eta=aware), one.schedule(eta=naive), one.schedule(naive), one(eta=aware)]

        assert {huey.mill.result(handle.id).job().run_at for handle in handles} == {aware}
        assert one.s(eta=aware).eta == (aware.replace(tzinfo=None) if utc else naive)

    @pytest.mark.parametrize("first", [60, timedelta(seconds=60)])
    def test_the_first_argument_can_be_the_delay(self, huey: SqliteHuey, first: Any) -> None:
        @huey.task()
        def one() -> int:
            return 1

        job = huey.mill.result(one.schedule(first, priority=7).id).job()

        assert timedelta(seconds=59) < job.run_at - job.enqueued_at <= timedelta(seconds=60)
        assert job.priority == 7

    def test_the_past_is_now(self, huey: SqliteHuey) -> None:
        @huey.task()
        def one() -> int:
            return 1

        with consuming(huey):
            assert wait_for(one.schedule(eta=_LONG_AGO)) == 1
            assert wait_for(one.schedule(delay=-5)) == 1

    def test_it_needs_a_time(self, huey: SqliteHuey) -> None:
        @huey.task()
        def one() -> int:
            return 1

        with pytest.raises(ValueError, match="schedule"):
            one.schedule()
        with pytest.raises(ValueError, match="one of them"):
            one.schedule(eta=datetime.now(UTC), delay=3)
        with pytest.raises(ValueError, match="give a dict"):
            one.schedule(kwargs=[1], delay=3)
        with pytest.raises(ValueError, match="no datetime"):
            one.s(eta="tomorrow")

    @pytest.mark.parametrize("expires", [0, timedelta(0), _LONG_AGO, _LONG_AGO.replace(tzinfo=None)])
    def test_what_has_expired_is_not_run(self, huey: SqliteHuey, expires: Any) -> None:
        @huey.task(expires=expires)
        def one() -> int:
            return 1

        handle = one()
        with consuming(huey), pytest.raises(TaskException, match="expired"):
            wait_for(handle)

        assert handle() is None
        assert huey.mill.result(handle.id).state is State.CANCELLED


class TestPipeline:
    def test_it_hands_results_on_and_gives_all_of_them(self, huey: SqliteHuey) -> None:
        @huey.task()
        def number() -> int:
            return 7

        @huey.task()
        def scale(by: int, value: int) -> str:
            return f"{value} by {by}"

        @huey.task()
        def store(value: str) -> dict[str, str]:
            return {"stored": value}

        handles = huey.enqueue(number.s().then(scale, 5).then(store))
        with consuming(huey):
            assert wait_for(handles) == [7, "7 by 5", {"stored": "7 by 5"}]

        assert len(handles) == 3
        assert handles[1] == "7 by 5"
        assert [handle.is_ready() for handle in handles] == [True] * 3

    @pytest.mark.parametrize(
        "result, expected",
        [
            (7, ((1, 7), {"key": "own"})),
            ((7, 8), ((1, 7, 8), {"key": "own"})),
            ([7, 8], ((1, [7, 8]), {"key": "own"})),
            ({"key": "given", "more": 2}, ((1,), {"key": "own", "more": 2})),
            (None, ((1,), {"key": "own"})),
            ((), ((1,), {"key": "own"})),
            (False, ((1, False), {"key": "own"})),
        ],
    )
    def test_a_result_joins_the_arguments_of_the_next_step(
        self, huey: SqliteHuey, result: Any, expected: Any
    ) -> None:
        @huey.task()
        def first() -> Any:
            return result

        @huey.task()
        def second(*args: Any, **kwargs: Any) -> Any:
            return args, kwargs

        with consuming(huey):
            assert wait_for(huey.enqueue(first.s().then(second, 1, key="own"))) == [result, expected]
            assert wait_for(huey.enqueue(first.s().then(second.s(1), key="own"))) == [result, expected]

    def test_a_step_that_is_repeated_gets_the_same_arguments(self, huey: SqliteHuey) -> None:
        seen: list[Any] = []

        @huey.task()
        def first() -> int:
            return 7

        @huey.task(retries=1)
        def second(*args: int) -> int:
            seen.append(args)
            if len(seen) == 1:
                raise ValueError
            return sum(args)

        with consuming(huey):
            assert wait_for(huey.enqueue(first.s().then(second, 1))) == [7, 8]

        assert seen == [(1, 7), (1, 7)]

    def test_a_step_that_fails_ends_it(self, huey: SqliteHuey) -> None:
        @huey.task()
        def first() -> int:
            raise ValueError("no number")

        @huey.task()
        def second(number: int) -> int:
            return number

        _, last = handles = huey.enqueue(first.s().then(second))
        with consuming(huey):
            with pytest.raises(TaskException, match="no number"):
                wait_for(handles)
            with pytest.raises(TaskException, match="a step before it did not succeed"):
                wait_for(last)
        with pytest.raises(TaskException, match="a step before it did not succeed"):
            last()

    def test_the_ids_of_its_steps_are_known_before(self, huey: SqliteHuey) -> None:
        @huey.task()
        def same(number: int) -> int:
            return number

        call = same.s(1, id="mine").then(same)

        assert [handle.id for handle in huey.enqueue(call)] == [step.id for step in call.steps]
        assert call.id == "mine"
