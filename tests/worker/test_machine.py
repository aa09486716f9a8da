"""The worker as a step machine, stepped by hand: what it claims, runs, settles and gives back."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NoReturn

import pytest

from taskmill import Context, Mill, Retry, Snooze, Task
from taskmill._core.event import Event
from taskmill._core.instant import SECOND
from taskmill._core.job import ErrorInfo, NewJob, Reason, State
from taskmill._worker.machine import GATHER, POLL
from taskmill._worker.pace import MOST
from taskmill.errors import StoreRefused, StoreUnavailable
from taskmill.testing import FakeClock
from tests.worker.builders import (
    Gate,
    Lost,
    Stepper,
    a_gated_task,
    busy,
    claim,
    job_of,
    wait_for,
    with_faults,
)

MakeStepper = Callable[..., Stepper]


def stranger(job_id: str = "stranger", **options: Any) -> NewJob:
    """A job of a task that nobody here knows."""
    return NewJob(**{"job_id": job_id, "task": "nowhere", "args": "[[],{}]", **options})


def _nothing() -> None: ...


def get_used_to(stepper: Stepper, task: Task[[], Any]) -> None:
    """Let the worker learn that the task is quick, so that it claims ahead."""
    for _ in range(20):
        task.enqueue()
    stepper.until_idle()


def finish_all(stepper: Stepper, count: int) -> None:
    """Wait until so many attempts have ended, without stepping."""
    wait_for(lambda: len(stepper.machine._finished) == count, f"{count} attempts ended")


class TestRunning:
    def test_a_job_is_claimed_run_and_settled(self, mill: Mill, stepper: MakeStepper) -> None:
        @mill.task
        def add(a: int, b: int) -> int:
            return a + b

        result = add.enqueue(2, 3)

        stepper().until_idle()

        assert result.get(timeout=0) == 5
        job = result.job()
        assert (job.state, job.attempt, job.fence) == (State.SUCCEEDED, 1, 1)
        assert job.started_at is not None

    def test_threads_and_coroutines_run_side_by_side(self, mill: Mill, stepper: MakeStepper) -> None:
        gate = Gate()

        @mill.task
        def plain() -> str:
            gate.pass_through("plain")
            return threading.current_thread().name

        @mill.task
        async def coroutine() -> str:
            gate.inside.append("coroutine")
            await asyncio.to_thread(gate.wait_for, 2)
            gate.open()
            return threading.current_thread().name

        plain_result, coroutine_result = plain.enqueue(), coroutine.enqueue()
        stepper(threads=1).until_idle()

        assert plain_result.get(timeout=0) == "taskmill-job-0"
        assert coroutine_result.get(timeout=0) == "taskmill-loop"

    def test_a_delayed_job_is_not_started_early(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        @mill.task
        def task() -> None: ...

        result = task.using(delay=10).enqueue()
        worker = stepper()
        worker.step(5)
        clock.travel(9.999_999)
        worker.step(5)
        before = result.state
        clock.travel(0.000_001)
        worker.until_idle()

        assert (before, result.state) == (State.QUEUED, State.SUCCEEDED)

    def test_it_rests_exactly_until_the_next_job_is_due(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        @mill.task
        def task() -> None: ...

        worker = stepper()
        worker.step(2)
        task.using(delay=0.020).enqueue()

        assert worker.step() == pytest.approx(0.020)

    def test_a_failure_is_retried_after_its_delay_with_every_error_kept(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        @mill.task(retries=2, retry_delay=10, jitter=0)
        def flaky(context: Context) -> int:
            if context.attempt < 3:
                raise ValueError(f"attempt {context.attempt}")
            return context.attempt

        result, worker = flaky.enqueue(), stepper()
        delays = []
        for delay in (10, 20):
            worker.until_idle()
            delays.append(result.job().run_at.timestamp() - clock.wall() / SECOND)
            clock.travel(delay)
        worker.until_idle()

        assert result.get(timeout=0) == 3
        assert delays == pytest.approx([10, 20])
        assert [attempt.error and attempt.error.message for attempt in result.job().attempts] == [
            "attempt 1",
            "attempt 2",
        ]

    def test_a_snooze_burns_no_attempt(self, mill: Mill, stepper: MakeStepper, clock: FakeClock) -> None:
        calls = []

        @mill.task
        def not_yet(context: Context) -> None:
            calls.append((context.attempt, context.fence))
            if len(calls) < 3:
                raise Snooze(60)

        result, worker = not_yet.enqueue(), stepper()
        for _ in range(3):
            worker.until_idle()
            clock.travel(60)

        assert result.state is State.SUCCEEDED
        assert calls == [(1, 1), (1, 2), (1, 3)]

    def test_a_retry_uses_its_own_delay_and_burns_an_attempt(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        @mill.task(retries=1)
        def wants_more() -> NoReturn:
            raise Retry(delay=300)

        result, worker = wants_more.enqueue(), stepper()
        worker.until_idle()
        waiting = result.job()
        clock.travel(300)
        worker.until_idle()

        assert (waiting.state, waiting.run_at.timestamp()) == (State.QUEUED, clock.wall() / SECOND)
        assert (result.state, result.job().attempt) == (State.FAILED, 2)

    @pytest.mark.parametrize("value", [object(), "x" * 2_000_000], ids=["unserializable", "too large"])
    def test_a_result_that_cannot_be_stored_fails_the_job_without_a_retry(
        self, mill: Mill, stepper: MakeStepper, value: object
    ) -> None:
        @mill.task(retries=5)
        def returns() -> object:
            return value

        result = returns.enqueue()
        stepper().until_idle()

        job = result.job()
        assert (job.state, job.reason, job.attempt) == (State.FAILED, Reason.RESULT_REFUSED, 1)
        assert job.error is not None
        assert "the result of" in job.error.message

    def test_undecodable_arguments_fail_the_job_and_are_kept(self, mill: Mill, stepper: MakeStepper) -> None:
        mill.task(name="task", retries=5)(lambda: None)
        mill.app.submit([NewJob(job_id="j", task="task", args="{not json", max_attempts=6)])
        stepper().until_idle()

        job = job_of(mill, "j")
        assert (job.state, job.reason, job.attempt) == (State.FAILED, Reason.UNDECODABLE, 1)
        assert job.args == "{not json"

    def test_a_running_job_that_was_cancelled_is_not_retried(self, mill: Mill, stepper: MakeStepper) -> None:
        gate, seen = Gate(), []

        @mill.task(retries=5)
        def fails(context: Context) -> NoReturn:
            gate.pass_through()
            seen.append(context.cancel_requested)
            raise ValueError

        result, worker = fails.enqueue(), stepper()
        worker.until(lambda: gate.inside)
        assert result.cancel()
        gate.open()
        worker.until_idle()

        job = result.job()
        assert (job.state, job.reason, job.attempt) == (State.CANCELLED, Reason.REVOKED, 1)
        # Or it was stopped before it could look.
        assert seen in ([True], [])

    def test_the_steps_of_a_pipeline_follow_each_other(self, mill: Mill, stepper: MakeStepper) -> None:
        @mill.task
        def first() -> int:
            return 1

        @mill.task
        def add(given: int, more: int) -> int:
            return given + more

        result = (first.s() | add.s(10) | add.s(100)).enqueue()
        stepper().until_idle()

        assert result.get(timeout=0) == 111

    def test_only_the_asked_for_queues_are_served(self, mill: Mill, stepper: MakeStepper) -> None:
        @mill.task
        def task() -> None: ...

        mine, others = task.using(queue="mine").enqueue(), task.enqueue()
        stepper(queues=["mine"]).until_idle()

        assert (mine.state, others.state) == (State.SUCCEEDED, State.QUEUED)


class TestLooking:
    def test_a_machine_without_work_does_not_ask_the_store_all_the_time(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        faults, worker = with_faults(mill), stepper()
        worker.step(3)

        rests = [worker.step() for _ in range(5)]

        assert min(rests) > POLL / 2
        assert faults.count("turn") <= 8  # once a step at most

    def test_an_enqueue_is_seen_with_the_next_step(self, mill: Mill, stepper: MakeStepper) -> None:
        gate = Gate()
        task = a_gated_task(mill, gate)
        worker = stepper()
        worker.step(5)

        task.enqueue()
        worker.step()

        gate.wait_for(1)
        gate.open()

    def test_due_jobs_that_it_cannot_have_are_not_asked_for_all_the_time(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        task = mill.task(name="task")(lambda: None)
        faults, worker = with_faults(mill), stepper()
        worker.step(2)
        mill.app.storage.sessions.end(
            worker.machine.tenure.session
        )  # a session that has ended claims nothing
        task.enqueue()
        worker.step()

        asked = faults.count("turn")
        rests = [worker.step() for _ in range(5)]

        assert min(rests) > 0
        assert faults.count("turn") - asked <= 5

    def test_what_it_has_changed_itself_is_no_reason_to_look_again(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        mill.task(name="task")(lambda: None).enqueue()
        faults, worker = with_faults(mill), stepper()
        worker.until_idle()
        asked = faults.count("turn")

        worker.step(3)

        assert faults.count("turn") == asked

    def test_what_nobody_looked_for_at_the_last_turn_is_looked_for_once_it_is_wanted(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        gate, worker = Gate(), stepper(threads=1)
        task = a_gated_task(mill, gate)
        task.enqueue()
        worker.step()
        second = task.enqueue()
        gate.open()
        finish_all(worker, 1)
        worker.machine.tenure.unsure_from = 0
        worker.step()
        worker.machine.tenure.unsure_from = math.inf

        worker.step()

        assert second.state is State.RUNNING

    def test_it_is_idle_once_it_has_looked_and_found_nothing(self, mill: Mill, stepper: MakeStepper) -> None:
        worker = stepper()
        before = worker.machine.is_idle
        worker.step()

        assert (before, worker.machine.is_idle) == (False, True)

    @pytest.mark.parametrize("delay, is_told", [(0.0, True), (0.5, True), (3600, False)])
    def test_a_worker_that_is_full_leaves_what_is_due_soon_to_one_that_rests(
        self, mill: Mill, stepper: MakeStepper, delay: float, is_told: bool
    ) -> None:
        gate, rings = Gate(), []

        def ring_the_other() -> None:
            rings.append(True)

        task, worker = a_gated_task(mill, gate), stepper(threads=1)
        task.using(priority=1).enqueue()
        task.using(delay=delay).enqueue()
        mill.app.storage.wake.on_jobs(ring_the_other)
        mill.app.storage.wake.rest(ring_the_other, "all")
        worker.step()

        assert bool(rings) == is_told
        gate.open()

    def test_in_trouble_it_has_no_room_and_no_news(self, mill: Mill, stepper: MakeStepper) -> None:
        faults, worker = with_faults(mill), stepper()
        worker.step()
        before = worker.machine.room()
        faults.plan("turn", busy())
        mill.task(name="task")(lambda: None).enqueue()
        worker.step()
        during = worker.machine.room()
        faults.break_down("version")

        assert (before, during) == ("all", None)
        assert not worker.machine.has_news()

    @pytest.mark.parametrize("threads, coroutines, room", [(0, 1, "some"), (1, 0, "some"), (1, 1, "all")])
    def test_room_is_said_of_threads_and_coroutines_together(
        self, stepper: MakeStepper, threads: int, coroutines: int, room: str
    ) -> None:
        assert stepper(threads=threads, coroutines=coroutines).machine.room() == room


class TestPrefetching:
    def test_no_unknown_task_is_taken_beyond_the_free_slots(self, mill: Mill, stepper: MakeStepper) -> None:
        gate = Gate()
        task = a_gated_task(mill, gate)
        results = [task.enqueue() for _ in range(10)]
        worker = stepper(threads=2)
        worker.until(lambda: len(gate.inside) == 2)
        worker.step(5)

        states = [result.state for result in results]

        assert states == [State.RUNNING] * 2 + [State.QUEUED] * 8
        gate.open()

    def test_quick_tasks_are_taken_ahead(self, mill: Mill, stepper: MakeStepper) -> None:
        quick = mill.task(name="quick")(lambda: None)
        gate = Gate()
        slow_task = a_gated_task(mill, gate)
        worker = stepper(threads=1)
        for _ in range(20):
            quick.enqueue_call((), {})
        worker.until_idle()

        slow = slow_task.enqueue()
        behind = [quick.enqueue_call((), {}) for _ in range(5)]
        worker.step()

        assert slow.state is State.RUNNING
        assert {result.state for result in behind} == {State.RUNNING}
        gate.open()
        worker.until_idle()

    def test_while_jobs_wait_for_a_thread_the_next_turn_is_soon_but_not_at_once(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        quick = mill.task(name="quick")(lambda: None)
        gate = Gate()
        slow_task = a_gated_task(mill, gate)
        worker = stepper(threads=1)
        get_used_to(worker, quick)
        slow_task.enqueue()
        for _ in range(10):
            quick.enqueue()

        rests = [worker.step() for _ in range(3)]

        assert all(0 < rest <= GATHER for rest in rests)
        gate.open()

    def test_of_a_server_the_second_half_is_asked_for_while_the_first_is_run(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        quick = mill.task(name="quick")(lambda: None)
        gate = Gate()
        slow_task = a_gated_task(mill, gate)
        mill.app.storage.is_remote = True
        worker = stepper(threads=1)
        pace = worker.machine._pace
        pace.note("quick", 0.0)
        for _ in range(20):
            pace.widen({"quick"})
        slow_task.using(priority=1).enqueue()
        mill.enqueue_many(quick.s() for _ in range(2 * MOST))

        steps = [(worker.step(), worker.machine.load()) for _ in range(3)]

        assert [load for _, load in steps] == [1 + MOST // 2, 1 + MOST, 1 + MOST]
        assert steps[0][0] == 0
        assert all(0 < rest <= GATHER for rest, _ in steps[1:])
        gate.open()

    def test_what_was_taken_too_many_goes_back_unburnt_for_another_worker(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        quick = mill.task(name="quick")(lambda: None)
        gate = Gate()
        slow_task = a_gated_task(mill, gate)
        first, second = stepper(threads=1), stepper(threads=3)
        get_used_to(first, quick)
        slow = [slow_task.enqueue() for _ in range(4)]
        first.step(2)

        held = [result.state for result in slow]
        second.until(lambda: len(gate.inside) == 4)

        assert held == [State.RUNNING] + [State.QUEUED] * 3
        assert [result.job().attempt for result in slow] == [1] * 4
        gate.open()

    def test_what_goes_back_does_not_come_and_go_all_the_time(self, mill: Mill, stepper: MakeStepper) -> None:
        quick = mill.task(name="quick")(lambda: None)
        gate = Gate()
        slow_task = a_gated_task(mill, gate)
        worker = stepper(threads=1)
        get_used_to(worker, quick)
        slow = [slow_task.enqueue() for _ in range(4)]

        worker.step(50)

        assert [result.job().fence for result in slow[1:]] == [1, 1, 1]
        gate.open()

    def test_jobs_that_wait_behind_a_thread_that_got_stuck_go_back_and_stay_there(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        gate, is_slow = Gate(), False

        @mill.task
        def usually_quick() -> None:
            if is_slow:
                gate.pass_through()

        worker = stepper(threads=1)
        get_used_to(worker, usually_quick)
        is_slow = True
        results = [usually_quick.enqueue() for _ in range(5)]
        worker.step()
        at_first = [result.state for result in results]

        worker.until(lambda: results[1].state is State.QUEUED, "the waiting jobs went back")
        worker.step(20)

        assert at_first == [State.RUNNING] * 5
        assert [result.state for result in results[1:]] == [State.QUEUED] * 4
        assert [result.job().fence for result in results] == [1] * 5
        assert [result.job().attempt for result in results] == [1, 0, 0, 0, 0]
        gate.open()
        worker.until_idle()
        assert {result.state for result in results} == {State.SUCCEEDED}

    def test_after_a_pause_what_is_taken_ahead_is_not_given_back_at_once(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        quick = mill.task(name="quick")(lambda: None)
        worker = stepper(threads=1)
        get_used_to(worker, quick)
        worker.machine._last_progress -= 60

        results = [quick.enqueue() for _ in range(10)]
        worker.until_idle()

        assert [result.job().fence for result in results] == [1] * 10

    def test_slow_coroutines_say_nothing_of_threads(self, mill: Mill, stepper: MakeStepper) -> None:
        quick = mill.task(name="quick")(lambda: None)

        @mill.task
        async def slow() -> None:
            await asyncio.sleep(0.06)

        worker = stepper(threads=1)
        get_used_to(worker, quick)
        ahead = worker.machine._pace.want(load=1)
        slow.enqueue()
        worker.until_idle()

        assert worker.machine._pace.want(load=1) == ahead > 0


class TestUnknownTasks:
    def test_each_is_handed_on_once_no_attempt_burnt_and_with_one_warning(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        mill.app.submit([stranger(), stranger("another")])
        worker = stepper()
        for _ in range(5):
            worker.until_idle()
            clock.travel(60.0)

        for job in (job_of(mill, "stranger"), job_of(mill, "another")):
            assert (job.state, job.attempt, job.fence, job.is_handed_on) == (State.QUEUED, 0, 1, True)
        [warning] = [record.message for record in caplog.records if "'nowhere'" in record.message]
        assert warning.startswith("no task named 'nowhere' is registered in this worker: its jobs wait")

    def test_others_run_past_them(self, mill: Mill, stepper: MakeStepper) -> None:
        mill.app.submit([stranger(f"s{number}", priority=100) for number in range(500)])
        known = mill.task(name="known")(lambda: 5)
        result = known.enqueue()

        stepper(threads=2).until_idle()

        assert result.get(timeout=0) == 5

    @pytest.mark.parametrize("name", ["nowhere", "renamed"])
    def test_a_worker_that_knows_the_task_or_its_alias_runs_it_at_once(
        self, mill: Mill, stepper: MakeStepper, name: str
    ) -> None:
        mill.app.submit([stranger()])
        stepper().until_idle()
        mill.task(name=name, aliases=["nowhere"] if name == "renamed" else [])(lambda: 5)

        stepper().until_idle()

        job = job_of(mill, "stranger")
        assert (job.state, job.attempt) == (State.SUCCEEDED, 1)

    def test_a_worker_without_room_for_its_executor_leaves_it_to_others(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        mill.app.submit([stranger(), stranger("coroutine", task="awaited")])
        stepper().until_idle()
        mill.task(name="nowhere")(lambda: 5)

        @mill.task(name="awaited")
        async def awaited() -> int:
            return 6

        only_coroutines = stepper(threads=0, process_slots=0)
        only_coroutines.until_idle()
        states = [job_of(mill, name).state for name in ("stranger", "coroutine")]
        stepper(coroutines=0, process_slots=0).until_idle()

        assert states == [State.QUEUED, State.SUCCEEDED]
        assert job_of(mill, "stranger").state is State.SUCCEEDED
        assert job_of(mill, "stranger").fence == 2

    def test_room_for_its_executor_is_enough(self, mill: Mill, stepper: MakeStepper) -> None:
        gate = Gate()

        @mill.task(name="busy")
        async def busy() -> None:
            gate.inside.append("busy")
            await asyncio.to_thread(gate.wait_for, 2)

        busy.enqueue()
        worker = stepper(threads=1, coroutines=1)
        worker.until(lambda: gate.inside, "the only coroutine runs")
        mill.app.submit([stranger("coroutine", task="awaited"), stranger()])
        worker.until(lambda: job_of(mill, "stranger").is_handed_on, "both are handed on")
        mill.task(name="nowhere")(lambda: 5)
        mill.task(name="awaited")(busy.func)
        mill.app.submit([stranger("a reason to look again")])
        try:
            worker.until(lambda: job_of(mill, "stranger").state is State.SUCCEEDED, "the other one has run")
            assert job_of(mill, "coroutine").fence == 1
        finally:
            gate.inside.append("the end")
        worker.until_idle()

        assert job_of(mill, "coroutine").state is State.SUCCEEDED

    def test_as_many_run_in_processes_as_there_are_processes(self, mill: Mill, stepper: MakeStepper) -> None:
        worker = stepper(threads=2, process_slots=1)
        mill.app.submit([stranger(), stranger("another")])
        worker.until(lambda: job_of(mill, "another").is_handed_on, "both are handed on")
        mill.task(name="nowhere", executor="process")(_nothing)
        executor = worker.machine._open_processes()
        submitted: list[str] = []
        executor.submit = lambda jobs: submitted.extend(job.job_id for job in jobs)  # type: ignore[method-assign]
        executor.load = lambda: len(submitted)  # type: ignore[method-assign]
        own = NewJob(job_id="own", task="nowhere", args="[[],{}]", executor="process")
        mill.app.submit([own])
        worker.step(20)

        assert len(submitted) == 1

    def test_suspects_come_back_with_a_growing_delay(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        mill.app.submit([stranger()])
        storage = mill.app.storage
        session = storage.sessions.open(kind="worker", lease=mill.app.lease)
        [claimed] = storage.jobs.turn(session, [], claim=1, wants={"thread": 1}, queues=None).claimed
        storage.sessions.slots(session, 1).note(0, claimed.ref, claimed.fence)
        storage.jobs.bury(session, ErrorInfo("Crashed", "killed"), alone=False)
        worker, delays = stepper(), []
        for _ in range(8):
            worker.until_idle()
            delays.append(round(job_of(mill, "stranger").run_at.timestamp() * SECOND) - clock.wall())
            clock.travel(delays[-1] / SECOND)

        # It was handed back once, by the rescue.
        assert delays == [SECOND * 2**number for number in range(4)] + [10 * SECOND] * 4

    @pytest.mark.parametrize("threads", [0, 1])
    def test_a_task_that_was_a_coroutine_when_it_was_enqueued_does_not_come_and_go_all_the_time(
        self, mill: Mill, stepper: MakeStepper, threads: int
    ) -> None:
        gate = Gate()
        a_gated_task(mill, gate, "changed")
        jobs = [
            NewJob(job_id=f"j{number}", task="changed", args="[[],{}]", executor="asyncio")
            for number in range(5)
        ]
        mill.app.submit(jobs)
        worker = stepper(threads=threads)
        worker.step(50)

        assert [job_of(mill, job.job_id).fence for job in jobs] == [1] * 5
        assert [job_of(mill, job.job_id).attempt for job in jobs] == [1] * threads + [0] * (5 - threads)
        gate.open()

    def test_a_task_that_became_a_coroutine_is_awaited(self, mill: Mill, stepper: MakeStepper) -> None:
        @mill.task(name="changed")
        async def changed() -> int:
            return 5

        mill.app.submit([NewJob(job_id="j", task="changed", args="[[],{}]", executor="thread")])
        stepper().until_idle()

        assert mill.result("j").get(timeout=0) == 5


class TestCoroutineLimit:
    def test_no_more_are_in_progress_than_allowed(self, mill: Mill, stepper: MakeStepper) -> None:
        go_on, inside = asyncio.Event(), []

        @mill.task
        async def waits(number: int) -> None:
            inside.append(number)
            await go_on.wait()

        results = [waits.enqueue(number) for number in range(30)]
        worker = stepper(coroutines=10)
        worker.until(lambda: len(inside) == 10)
        worker.step(20)
        assert [result.state for result in results].count(State.RUNNING) == len(inside) == 10

        loop: Any = worker.machine._loop
        loop._loop.call_soon_threadsafe(go_on.set)
        worker.until_idle()

        assert {result.state for result in results} == {State.SUCCEEDED}

    def test_a_thousand_are_in_progress_at_once(self, mill: Mill, stepper: MakeStepper) -> None:
        go_on, inside = asyncio.Event(), []

        @mill.task
        async def waits() -> None:
            inside.append(True)
            if len(inside) == 1000:
                go_on.set()
            await go_on.wait()

        mill.enqueue_many(waits.s() for _ in range(1000))
        stepper().until_idle()

        assert len(inside) == 1000


class TestStoreInTrouble:
    def test_what_ended_is_kept_until_the_store_takes_it(
        self, mill: Mill, stepper: MakeStepper, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs = []
        task = mill.task(name="task")(lambda: runs.append(True))
        faults, worker = with_faults(mill), stepper()
        results = [task.enqueue() for _ in range(3)]
        worker.step()
        finish_all(worker, 3)
        faults.break_down("turn")
        worker.step(20)

        assert worker.machine.load() == 3
        assert not worker.machine.is_idle
        [told] = caplog.messages
        assert re.search(
            "jobs.db stayed locked .*; 3 jobs under way here: what ends is kept until .* in 20 s is stopped",
            told,
        )
        faults.heal()
        worker.until_idle()
        assert re.search(r"the store is back after \d.* s; recorded now: 3 attempts", caplog.messages[-1])
        assert {result.state for result in results} == {State.SUCCEEDED}
        assert len(runs) == 3

    def test_in_trouble_the_store_is_asked_more_and_more_seldom(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        faults, worker = with_faults(mill), stepper()
        faults.break_down("turn")
        rests = []
        for _ in range(12):
            worker.machine._retry_at = 0.0
            assert worker.step() > 0
            rests.append(worker.machine._failures)
            worker.step(10)  # none of them asks

        assert rests == list(range(1, 13))
        assert faults.count("turn") == 12

    @pytest.mark.parametrize(
        "error", [busy(), StoreUnavailable("the disk is full")], ids=["busy", "unavailable"]
    )
    @pytest.mark.parametrize("operation", ["turn", "version"])
    def test_trouble_while_looking_for_work_is_survived(
        self, mill: Mill, stepper: MakeStepper, operation: str, error: Exception
    ) -> None:
        task = mill.task(name="task")(lambda: 5)
        faults, worker = with_faults(mill), stepper()
        worker.step(2)
        faults.break_down(operation, error)
        result = task.enqueue()
        worker.step(5)
        is_idle = worker.machine.is_idle
        faults.heal()
        worker.until(lambda: result.state.is_final)

        assert result.get(timeout=0) == 5
        assert not is_idle or operation == "version"

    def test_a_burst_does_not_end_because_the_store_was_in_trouble(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        faults, worker = with_faults(mill), stepper()
        faults.plan("turn", busy())
        worker.step()

        assert not worker.machine.is_idle

    def test_a_lost_reply_strands_no_job_and_runs_none_twice(self, mill: Mill, stepper: MakeStepper) -> None:
        runs = []

        @mill.task
        def task(number: int) -> int:
            runs.append(number)
            return number

        faults, worker = with_faults(mill), stepper(threads=2)
        results = [task.enqueue(number) for number in range(10)]
        faults.plan("turn", *[Lost(), None, busy(), Lost(), None, None] * 2)
        worker.until_idle()

        assert [result.get(timeout=0) for result in results] == list(range(10))
        assert sorted(runs) == list(range(10))
        assert {result.job().attempt for result in results} == {1}

    def test_a_value_that_the_store_refuses_fails_its_own_job_only(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        events: list[Event] = []
        mill.on("succeeded", "failed", "unblocked")(events.append)
        task = mill.task(name="task", retries=3)(lambda: 5)
        faults, worker = with_faults(mill), stepper(threads=3)
        (task.s() | mill.task(name="next")(lambda given: given).s()).enqueue()
        results = [task.enqueue_call((), {}) for _ in range(2)]
        worker.step()
        finish_all(worker, 3)
        refused = [one.claimed.job_id for one in worker.machine._finished][1]
        faults.plan("turn", StoreRefused("batch"), None, StoreRefused("cannot hold \ud800 it"))
        worker.until_idle()

        job = job_of(mill, refused)
        assert (job.state, job.reason, job.attempt) == (State.FAILED, Reason.RESULT_REFUSED, 1)
        assert job.error is not None
        assert (job.error.type, job.error.message) == (
            "StoreRefused",
            "StoreRefused('cannot hold \\ud800 it')",
        )
        others = [result for result in results if result.id != refused]
        assert all(result.get(timeout=0) == 5 for result in others)
        assert [event.job_id for event in events if event.kind == "failed"][:1] == [refused]
        assert refused not in {event.job_id for event in events if event.kind == "succeeded"}

    def test_trouble_in_the_middle_of_a_split_batch_loses_nothing(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        task = mill.task(name="task")(lambda: 5)
        faults, worker = with_faults(mill), stepper(threads=3)
        results = [task.enqueue() for _ in range(6)]
        worker.step()
        finish_all(worker, 3)
        faults.plan("turn", StoreRefused("batch"), None, busy())
        worker.until_idle()

        assert [result.get(timeout=0) for result in results] == [5] * 6

    def test_what_follows_from_a_split_batch_is_told(self, mill: Mill, stepper: MakeStepper) -> None:
        events: list[Event] = []
        mill.on("unblocked", "succeeded")(events.append)
        first = mill.task(name="first")(lambda: 5)
        second = mill.task(name="second")(lambda given: given)
        faults, worker = with_faults(mill), stepper(threads=2)
        (first.s() | second.s()).enqueue()
        worker.step()
        finish_all(worker, 1)
        faults.plan("turn", StoreRefused("batch"))
        worker.until_idle()

        assert [(event.kind, event.task) for event in events] == [
            ("succeeded", "first"),
            ("unblocked", "second"),
            ("succeeded", "second"),
        ]

    def test_trouble_while_events_are_put_together_does_not_cost_the_claimed_jobs(
        self, mill: Mill, stepper: MakeStepper, caplog: pytest.LogCaptureFixture
    ) -> None:
        events: list[Event] = []
        mill.on("unblocked")(events.append)
        first = mill.task(name="first")(lambda: 5)
        second = mill.task(name="second")(lambda given: given)
        faults, worker = with_faults(mill), stepper()
        result = (first.s() | second.s()).enqueue()
        faults.plan("inspection.job", busy())
        worker.until_idle()

        assert result.get(timeout=0) == 5
        assert events == []
        assert "signal handlers were not told" in caplog.text

    def test_the_ticks_go_on_after_trouble(self, mill: Mill, stepper: MakeStepper, clock: FakeClock) -> None:
        task = mill.task(name="task")(lambda: 5)
        result = task.enqueue()
        claim(mill)
        clock.travel(31)
        faults, worker = with_faults(mill), stepper()
        faults.plan("rescue", busy())

        worker.until(lambda: result.state.is_final)

        assert result.job().rescues == 1


class TestLosingTheSession:
    def test_whoever_is_not_sure_of_its_session_takes_nothing_more(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        result = mill.task(name="task")(lambda: 5).enqueue()
        worker = stepper()
        worker.machine.tenure.unsure_from = 0
        worker.step(3)
        before = result.state
        worker.machine.tenure.unsure_from = math.inf
        worker.until_idle()

        assert (before, result.get(timeout=0)) == (State.QUEUED, 5)

    def test_it_is_noticed_by_a_settlement_that_came_too_late(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate, contexts = Gate(), []

        @mill.task
        def task(context: Context) -> str:
            contexts.append(context)
            gate.pass_through()
            return "late"

        result, worker = task.enqueue(), stepper()
        worker.until(lambda: gate.inside)
        clock.travel(31)
        mill.app.storage.jobs.rescue()
        gate.open()
        finish_all(worker, 1)
        worker.step()

        assert worker.machine.tenure.lost
        assert contexts[0].lost
        assert result.job().attempt == 0
        assert result.state is State.QUEUED
        assert "was given to another worker: its outcome here is dropped" in caplog.text

    def test_a_settlement_of_a_job_that_is_gone_is_no_such_sign(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        worker = stepper()
        mill.app.submit([stranger("gone")])
        worker.step()
        tables = mill.app.storage.jobs._memory.tables  # type: ignore[attr-defined]
        tables.delete(tables.rows["gone"])
        worker.step()

        assert not worker.machine.tenure.lost


class TestStopping:
    def test_what_waits_goes_back_and_what_runs_goes_on(self, mill: Mill, stepper: MakeStepper) -> None:
        gate = Gate()
        quick = mill.task(name="quick")(lambda: None)
        slow_task = a_gated_task(mill, gate)
        worker = stepper(threads=1)
        get_used_to(worker, quick)
        slow = slow_task.enqueue()
        waiting = [quick.enqueue() for _ in range(3)]
        worker.until(lambda: gate.inside)

        worker.machine.stop_claiming()
        worker.step(3)

        assert [result.state for result in waiting] == [State.QUEUED] * 3
        assert [result.job().attempt for result in waiting] == [0] * 3
        gate.open()
        worker.until(lambda: not worker.machine.load())
        assert slow.state is State.SUCCEEDED

    def test_nothing_more_is_claimed(self, mill: Mill, stepper: MakeStepper) -> None:
        task = mill.task(name="task")(lambda: None)
        worker = stepper()
        worker.machine.stop_claiming()
        result = task.enqueue()
        worker.step(5)

        assert result.state is State.QUEUED

    def test_at_the_close_what_runs_is_given_back_at_once_and_its_outcome_is_dropped(
        self, mill: Mill
    ) -> None:
        gate, contexts, events = Gate(), list[Context](), list[Event]()
        mill.on("released", "succeeded")(events.append)

        @mill.task
        def stubborn(context: Context) -> str:
            contexts.append(context)
            gate.pass_through()
            return "late"

        with Stepper(mill) as worker:
            result = stubborn.enqueue()
            worker.until(lambda: gate.inside)
            worker.machine.stop_claiming()
        given_back = result.job()
        gate.open()
        finish_all(worker, 1)

        assert (given_back.state, given_back.attempt) == (State.QUEUED, 0)
        assert contexts[0].lost
        assert result.job() == given_back
        assert [event.kind for event in events] == ["released"]

    def test_a_close_in_the_middle_starts_none_of_the_waiting_jobs(self, mill: Mill) -> None:
        gate, runs = Gate(), []

        @mill.task
        def quick() -> None:
            runs.append(True)

        slow_task = a_gated_task(mill, gate)
        before = set(threading.enumerate())
        with Stepper(mill, threads=1) as worker:
            get_used_to(worker, quick)
            slow_task.enqueue()
            results = [quick.enqueue() for _ in range(3)]
            worker.until(lambda: gate.inside)
        gate.open()
        wait_for(lambda: not set(threading.enumerate()) - before, "the threads have gone")

        assert len(runs) == 20
        assert [result.job().attempt for result in results] == [0] * 3

    def test_a_close_while_the_store_is_in_trouble_lets_the_threads_go(self, mill: Mill) -> None:
        faults, before = with_faults(mill), set(threading.enumerate())
        faults.break_down("sessions.end")

        with pytest.raises(type(busy())), Stepper(mill):
            pass

        wait_for(lambda: not set(threading.enumerate()) - before, "the threads have gone")

    def test_interrupted_coroutines_are_given_back(self, mill: Mill, stepper: MakeStepper) -> None:
        inside, cleaned_up = [], []

        @mill.task
        async def waits() -> None:
            inside.append(True)
            try:
                await asyncio.Event().wait()
            finally:
                cleaned_up.append(True)

        result, worker = waits.enqueue(), stepper()
        worker.until(lambda: inside)
        worker.machine.stop_claiming()
        worker.machine.interrupt()
        worker.until(lambda: not worker.machine.load())

        assert cleaned_up == [True]
        assert (result.state, result.job().attempt) == (State.QUEUED, 0)


class TestTelling:
    def test_every_event_of_a_job_is_told_once_and_in_order(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock
    ) -> None:
        events: list[Event] = []
        mill.on(events.append)

        @mill.task(retries=1, retry_delay=1, jitter=0)
        def fails(number: int, *, word: str) -> NoReturn:
            raise ValueError("boom")

        job_id = fails.enqueue(1, word="w").id
        worker = stepper()
        worker.until_idle()
        clock.travel(1)
        worker.until_idle()

        kinds = [(event.kind, event.attempt) for event in events]
        assert kinds == [("enqueued", 0), ("started", 1), ("retrying", 1), ("started", 2), ("failed", 2)]
        assert {(event.job_id, event.args, str(event.kwargs)) for event in events} == {
            (job_id, (1,), "{'word': 'w'}")
        }
        assert [event.error and event.error.message for event in events if event.error] == ["boom", "boom"]

    @pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1), KeyboardInterrupt()], ids=repr)
    def test_a_handler_that_fails_harms_neither_the_worker_nor_the_next_handler(
        self, mill: Mill, stepper: MakeStepper, error: BaseException
    ) -> None:
        heard = []

        @mill.on("succeeded")
        def fails(event: Event) -> NoReturn:
            raise error

        mill.on("enqueued")(heard.append)
        task = mill.task(name="task")(lambda: 5)
        worker = stepper()
        results = []
        for _ in range(3):
            results.append(task.enqueue())
            worker.until_idle()

        assert [result.get(timeout=0) for result in results] == [5] * 3
        assert len(heard) == 3

    def test_the_log_names_what_failed_and_why(
        self, mill: Mill, stepper: MakeStepper, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        @mill.task(name="fails", retries=1)
        def fails() -> NoReturn:
            raise ValueError("boom")

        job_id, worker = fails.enqueue().id, stepper()
        worker.until_idle()
        clock.travel(10)
        worker.until_idle()

        first, last = caplog.records
        assert first.levelno == logging.WARNING
        assert first.message == f"fails {job_id} (attempt 1 of 2) retrying: ValueError: boom"
        assert last.levelno == logging.ERROR
        assert last.message.startswith(f"fails {job_id} (attempt 2 of 2) failed: ValueError: boom\nTraceback")
        assert 'raise ValueError("boom")' in last.message

    def test_starts_and_endings_come_in_the_order_of_a_pipeline(
        self, mill: Mill, stepper: MakeStepper
    ) -> None:
        events: list[Event] = []
        mill.on("started", "succeeded")(events.append)
        step = mill.task(name="step")(lambda given=0: given + 1)
        (step.s() | step.s() | step.s()).enqueue()
        stepper().until_idle()

        assert [event.kind for event in events] == ["started", "succeeded"] * 3
        assert all(first.at <= second.at for first, second in pairwise(events))
