from __future__ import annotations

import asyncio
from typing import Any

import pytest

from taskmill import Mill, State, Task
from taskmill.errors import (
    ConfigurationError,
    InvalidArguments,
    InvalidOption,
    JobCancelled,
    JobFailed,
    Unserializable,
)
from tests.unit.little_worker import LittleWorker


@pytest.fixture
def fetch(mill: Mill) -> Task[[int], int]:
    @mill.task(name="fetch")
    def fetch(seed: int) -> int:
        return seed + 1

    return fetch


@pytest.fixture
def scale(mill: Mill) -> Task[..., int]:
    @mill.task(name="scale")
    def scale(number: int, by: int = 3) -> int:
        return number * by

    return scale


class TestSignature:
    def test_it_is_enqueued_later(self, fetch: Any, worker: LittleWorker) -> None:
        call = fetch.s(seed=6)

        result = call.enqueue()
        worker.run_all()

        assert result.get() == 7
        assert repr(call) == "<Signature fetch(seed=6)>"

    def test_it_carries_options(self, fetch: Any) -> None:
        result = fetch.using(priority=7).s(6).enqueue()

        assert result.job().priority == 7

    def test_it_is_checked_when_it_is_enqueued(self, fetch: Any) -> None:
        call = fetch.s()

        with pytest.raises(InvalidArguments, match="missing a required argument: 'seed'"):
            call.enqueue()

    def test_aenqueue_does_the_same(self, fetch: Any) -> None:
        assert asyncio.run(fetch.s(6).aenqueue()).state is State.QUEUED


class TestEnqueueMany:
    def test_results_come_in_order(self, mill: Mill, fetch: Any, scale: Any, worker: LittleWorker) -> None:
        results = mill.enqueue_many([fetch.s(1), scale.s(2, by=5), fetch.s(3)])
        worker.run_all()

        assert [result.get() for result in results] == [2, 10, 4]

    def test_pipelines_are_among_them(self, mill: Mill, fetch: Any, scale: Any, worker: LittleWorker) -> None:
        results = mill.enqueue_many([fetch.s(1) | scale.s(), fetch.s(3)])
        worker.run_all()

        assert [result.get() for result in results] == [6, 4]

    def test_one_that_is_wrong_stores_none(self, mill: Mill, fetch: Any) -> None:
        with pytest.raises(Unserializable):
            mill.enqueue_many([fetch.s(1), fetch.s(object())])

        assert mill.events() == []

    def test_none_is_none(self, mill: Mill) -> None:
        assert mill.enqueue_many([]) == []

    def test_aenqueue_many_does_the_same(self, mill: Mill, fetch: Any, worker: LittleWorker) -> None:
        results = asyncio.run(mill.aenqueue_many(fetch.s(n) for n in range(3)))
        worker.run_all()

        assert [result.get() for result in results] == [1, 2, 3]

    def test_what_is_no_call_is_refused(self, mill: Mill, fetch: Any) -> None:
        with pytest.raises(InvalidArguments, match="is no call"):
            mill.enqueue_many([fetch])

    def test_the_task_of_another_mill_is_refused(self, fetch: Any) -> None:
        with pytest.raises(ConfigurationError, match="belongs to another Mill"):
            Mill("memory://").enqueue_many([fetch.s(1)])


class TestPipeline:
    def test_a_step_receives_the_result_of_the_one_before(
        self, fetch: Any, scale: Any, worker: LittleWorker
    ) -> None:
        result = (fetch.s(6) | scale.s() | scale.s(by=10)).enqueue()
        worker.run_all()

        assert result.get() == 210
        assert [step.get() for step in result.steps] == [7, 21, 210]
        assert result.id == result.steps[-1].id

    def test_then_says_the_same(self, fetch: Any, scale: Any, worker: LittleWorker) -> None:
        result = fetch.s(6).then(scale, 5).then(scale.using(priority=3), by=2).then(scale.s(1)).enqueue()
        worker.run_all()

        assert result.get() == 70
        assert result.steps[2].job().priority == 3

    def test_pipelines_can_be_joined(self, fetch: Any, scale: Any, worker: LittleWorker) -> None:
        first, second = fetch.s(1) | scale.s(), scale.s() | scale.s(by=10)

        pipeline = first | second
        result = pipeline.enqueue()
        worker.run_all()

        assert repr(pipeline) == "<Pipeline fetch | scale | scale | scale>"
        assert result.get() == 180

    def test_all_steps_are_stored_at_once(self, fetch: Any, scale: Any) -> None:
        result = (fetch.s(6) | scale.s() | scale.s()).enqueue()

        assert [step.state for step in result.steps] == [State.QUEUED, State.BLOCKED, State.BLOCKED]
        assert len({step.job().pipeline for step in result.steps}) == 1

    def test_a_result_of_none_is_passed_on(self, mill: Mill, worker: LittleWorker) -> None:
        nothing = mill.task(name="nothing")(lambda: None)
        show = mill.task(name="show")(repr)

        result = (nothing.s() | show.s()).enqueue()
        worker.run_all()

        assert result.get() == "None"

    def test_the_step_after_a_failed_one_is_cancelled(
        self, mill: Mill, scale: Any, worker: LittleWorker
    ) -> None:
        @mill.task(name="fail")
        def fail() -> int:
            raise ValueError("no")

        result = (fail.s() | scale.s()).enqueue()
        worker.run_all()

        with pytest.raises(JobCancelled, match=r"scale was cancelled \(a step before it did not succeed\)"):
            result.get()
        with pytest.raises(JobFailed, match="ValueError: no"):
            result.steps[0].get()

    def test_cancelling_it_cancels_every_step_that_has_not_ended(
        self, fetch: Any, scale: Any, worker: LittleWorker
    ) -> None:
        result = (fetch.s(6) | scale.s() | scale.s()).enqueue()
        [first] = worker.claim()

        assert result.cancel()

        worker.settle(first, worker.attempt(first))
        assert [step.state for step in result.steps] == [State.SUCCEEDED, State.CANCELLED, State.CANCELLED]
        assert not result.cancel()

    def test_a_step_that_could_not_take_the_result_is_refused(
        self, mill: Mill, fetch: Any, scale: Any
    ) -> None:
        nothing = mill.task(name="nothing")(lambda: None)

        for step, problem in [
            (
                nothing.s(),
                "too many positional arguments; the result of the step before is its first argument",
            ),
            (scale.s(number=1), "multiple values for argument 'number'"),
            (scale.s(1, 2), "too many positional arguments"),
        ]:
            with pytest.raises(InvalidArguments, match=problem):
                (fetch.s(1) | step).enqueue()
        assert mill.events() == []

    def test_a_key_on_a_step_is_refused(self, fetch: Any, scale: Any) -> None:
        with pytest.raises(InvalidOption, match="step 2, scale, has a key"):
            (fetch.s(1) | scale.using(key="daily").s()).enqueue()

    def test_steps_of_two_mills_are_refused(self, fetch: Any) -> None:
        other = Mill("memory://").task(name="other")(repr)

        with pytest.raises(ConfigurationError, match="step 2, other, belongs to another Mill"):
            (fetch.s(1) | other.s()).enqueue()

    def test_arguments_beside_a_signature_are_refused(self, fetch: Any, scale: Any) -> None:
        with pytest.raises(InvalidArguments, match=r"then\(\) takes arguments only with a task"):
            fetch.s(1).then(scale.s(), 3)

    def test_aenqueue_does_the_same(self, fetch: Any, scale: Any, worker: LittleWorker) -> None:
        result = asyncio.run((fetch.s(6) | scale.s()).aenqueue())
        worker.run_all()

        assert result.get() == 21
