"""What the tutorial shows, each of its fifteen claims true over each store."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest

from taskmill import Context, Event, Mill, cron, current_job, every
from taskmill._core.filter import Filter
from taskmill._core.job import State
from taskmill.errors import JobCancelled, JobFailed, ResultTimeout
from tests.worker.builders import DEADLINE, Gate, wait_for


class Overlaps:
    """Notes how many are in a section at once."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._inside = 0
        self.most = 0
        self.count = 0

    def section(self, seconds: float = 0.005) -> None:
        with self._mutex:
            self._inside += 1
            self.count += 1
            self.most = max(self.most, self._inside)
        time.sleep(seconds)
        with self._mutex:
            self._inside -= 1


def test_1_one_line_makes_an_instance_and_the_first_job_its_file(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/new/folder/jobs.db")
    file = tmp_path / "new" / "folder" / "jobs.db"
    is_there_before = file.exists()

    add = mill.task(name="add")(lambda a, b: a + b)
    result = add.enqueue(2, 3)

    assert (is_there_before, file.exists()) == (False, True)
    with mill.worker():
        assert result.get(timeout=DEADLINE) == 5
    mill.close()


def test_2_signal_handlers_see_every_event_with_task_id_arguments_and_error(mill: Mill) -> None:
    events: list[Event] = []
    mill.on(events.append)

    @mill.task(name="divide", retries=1, retry_delay=0)
    def divide(a: int, *, by: int) -> float:
        return a / by

    good, bad = divide.enqueue(6, by=3), divide.enqueue(1, by=0)
    revoked = divide.using(delay=60).enqueue(1, by=1)
    revoked.cancel()
    with mill.worker():
        good.get(timeout=DEADLINE)
        with pytest.raises(JobFailed):
            bad.get(timeout=DEADLINE)
        wait_for(lambda: {event.kind for event in events} >= {"succeeded", "failed"})

    assert kinds_of(events, good.id) == ["enqueued", "started", "succeeded"]
    assert kinds_of(events, bad.id) == ["enqueued", "started", "retrying", "started", "failed"]
    assert kinds_of(events, revoked.id) == ["enqueued", "cancelled"]
    assert {(event.task, event.args, str(event.kwargs)) for event in events if event.job_id == bad.id} == {
        ("divide", (1,), "{'by': 0}")
    }
    errors = {event.error.type for event in events if event.error is not None}
    assert errors == {"ZeroDivisionError"}


def kinds_of(events: list[Event], job_id: str) -> list[str]:
    return [event.kind for event in events if event.job_id == job_id]


def test_3_priorities_decide_the_order_of_waiting_jobs(mill: Mill) -> None:
    order = []

    @mill.task
    def note(what: str) -> None:
        order.append(what)

    for priority, queue in [(0, "a"), (50, "b"), (-50, "a"), (100, "a"), (50, "a")]:
        note.using(priority=priority, queue=queue).enqueue(f"{priority} {queue}")
    with mill.worker(threads=1, burst=True):
        pass

    assert order == ["100 a", "50 b", "50 a", "0 a", "-50 a"]


def test_4_retries_come_after_their_delay_and_the_final_outcome_counts(mill: Mill) -> None:
    at: list[float] = []

    @mill.task(retries=3, retry_delay=0.2, backoff=1, jitter=0)
    def flaky() -> str:
        at.append(time.monotonic())
        if len(at) < 3:
            raise ConnectionError(f"attempt {len(at)}")
        return "at last"

    result = flaky.enqueue()
    with mill.worker():
        assert result.get(timeout=DEADLINE) == "at last"

    job = result.job()
    assert job.state is State.SUCCEEDED
    assert job.attempt == 3
    assert [(a.number, a.outcome, a.error and a.error.message) for a in job.attempts] == [
        (1, "retrying", "attempt 1"),
        (2, "retrying", "attempt 2"),
    ]
    assert all("ConnectionError" in (a.error.traceback if a.error else "") for a in job.attempts)
    assert min(later - earlier for earlier, later in pairwise(at)) >= 0.2


def test_4_when_the_last_attempt_fails_its_error_is_raised_with_its_traceback(mill: Mill) -> None:
    @mill.task(retries=1, retry_delay=0)
    def fails(context: Context) -> NoReturn:
        raise ValueError(f"attempt {context.attempt}")

    result = fails.enqueue()
    with mill.worker(), pytest.raises(JobFailed) as failed:
        result.get(timeout=DEADLINE)

    assert (failed.value.error_type, failed.value.error) == ("ValueError", "attempt 2")
    assert "in fails" in failed.value.traceback


def test_5_a_task_knows_its_id_and_its_attempt(mill: Mill) -> None:
    @mill.task(retries=1, retry_delay=0)
    def looks(context: Context) -> tuple[str, int, bool]:
        if context.attempt == 1:
            raise ValueError
        return context.id, context.attempt, current_job() is context

    result = looks.enqueue()
    with mill.worker():
        assert result.get(timeout=DEADLINE) == (result.id, 2, True)


def lock_above(mill: Mill, func: Callable[..., Any]) -> Any:
    return mill.lock("serial")(mill.task(name="locked")(func))


def lock_below(mill: Mill, func: Callable[..., Any]) -> Any:
    return mill.task(name="locked")(mill.lock("serial")(func))


def lock_as_option(mill: Mill, func: Callable[..., Any]) -> Any:
    return mill.task(name="locked", lock="serial")(func)


def lock_of_the_call(mill: Mill, func: Callable[..., Any]) -> Any:
    return mill.task(name="locked")(func).using(lock="serial")


@pytest.mark.parametrize("is_coroutine", [False, True])
@pytest.mark.parametrize("make", [lock_above, lock_below, lock_as_option, lock_of_the_call])
def test_6_a_lock_in_every_spelling_serializes_jobs_and_burns_no_attempt(
    mill: Mill, make: Callable[..., Any], is_coroutine: bool
) -> None:
    overlaps = Overlaps()

    def body() -> None:
        overlaps.section()

    async def body_async() -> None:
        await asyncio.to_thread(overlaps.section)

    locked = make(mill, body_async if is_coroutine else body)
    results = [locked.enqueue() for _ in range(10)]
    with mill.worker(threads=4):
        for result in results:
            result.get(timeout=DEADLINE)

    assert (overlaps.most, overlaps.count) == (1, 10)
    assert {(result.job().attempt, len(result.job().attempts)) for result in results} == {(1, 0)}


def test_6_a_lock_in_a_with_block_keeps_others_out_in_and_outside_of_jobs(mill: Mill) -> None:
    overlaps = Overlaps()

    @mill.task
    def in_a_block() -> None:
        with mill.lock("serial"):
            overlaps.section()

    @mill.task
    async def in_an_async_block() -> None:
        async with mill.lock("serial"):
            overlaps.section()

    @mill.task(lock="serial")
    def as_option() -> None:
        overlaps.section()

    results = [task.enqueue() for task in (in_a_block, in_an_async_block, as_option) * 3]
    with mill.worker(threads=4):
        with mill.lock("serial", timeout=DEADLINE):
            overlaps.section()
        for result in results:
            result.get(timeout=DEADLINE)

    assert (overlaps.most, overlaps.count) == (1, 10)


def test_6_a_job_that_waits_for_a_lock_holds_no_slot(mill: Mill) -> None:
    gate = Gate()

    @mill.task(lock="busy")
    def locked(number: int) -> None:
        if number == 0:
            gate.pass_through()

    free = mill.task(name="free")(lambda: None)
    waiting = [locked.enqueue(number) for number in range(20)]
    behind = [free.enqueue() for _ in range(100)]
    with mill.worker(threads=2):
        for result in behind:
            result.get(timeout=DEADLINE)
        states = [result.state for result in waiting]
        gate.open()
        for result in waiting:
            result.get(timeout=DEADLINE)

    assert states == [State.RUNNING] + [State.QUEUED] * 19


@pytest.mark.parametrize("spelling", ["delay", "timedelta", "run_at", "run_at elsewhere"])
def test_7_a_scheduled_job_starts_at_its_time_and_never_early(mill: Mill, spelling: str) -> None:
    @mill.task
    def at() -> datetime:
        return datetime.now(UTC)

    with mill.worker():
        at.enqueue().get(timeout=DEADLINE)
        due = datetime.now(UTC) + timedelta(seconds=0.3)
        options: dict[str, Any] = {
            "delay": {"delay": 0.3},
            "timedelta": {"delay": timedelta(milliseconds=300)},
            "run_at": {"run_at": due},
            "run_at elsewhere": {"run_at": due.astimezone()},
        }[spelling]
        started = at.using(**options).enqueue().get(timeout=DEADLINE)

    assert started >= due


def test_8_a_revoked_job_never_runs_and_its_result_says_so(mill: Mill) -> None:
    runs = []
    task = mill.task(name="task")(lambda: runs.append(True))
    result = task.using(delay=0.1).enqueue()
    is_revoked = result.cancel()
    with mill.worker():
        task.using(delay=0.2).enqueue().get(timeout=DEADLINE)

    assert is_revoked
    assert runs == [True]
    with pytest.raises(JobCancelled, match="revoked"):
        result.get(timeout=0)
    assert not result.cancel()


def test_9_the_results_of_a_pipeline_flow_on_and_each_step_can_be_read(mill: Mill) -> None:
    fetch = mill.task(name="fetch")(lambda count: list(range(count)))
    total = mill.task(name="total")(lambda rows, start=0: start + sum(rows))
    text = mill.task(name="text")(lambda value: f"={value}")
    result = (fetch.s(5) | total.s(start=100) | text.s()).enqueue()
    stored = [step.state for step in result.steps]
    with mill.worker():
        assert result.get(timeout=DEADLINE) == "=110"

    assert stored == [State.QUEUED, State.BLOCKED, State.BLOCKED]
    assert [step.get(timeout=0) for step in result.steps] == [[0, 1, 2, 3, 4], 110, "=110"]


def test_9_a_failed_step_cancels_the_rest_with_the_reason(mill: Mill) -> None:
    runs = []

    @mill.task
    def fails() -> NoReturn:
        raise ValueError("boom")

    never = mill.task(name="never")(runs.append)
    result = (fails.s() | never.s() | never.s()).enqueue()
    with mill.worker(), pytest.raises(JobCancelled, match="a step before it did not succeed"):
        result.get(timeout=DEADLINE)

    assert [step.state for step in result.steps] == [State.FAILED, State.CANCELLED, State.CANCELLED]
    assert runs == []


def test_10_periodic_jobs_run_each_slot_once_with_two_workers_and_over_a_restart(mill: Mill) -> None:
    slots = []

    @mill.periodic(every(seconds=0.2))
    def tick() -> None:
        slots.append(round(time.time() / 0.2))

    mill.periodic(cron("* * * * *"))(mill.task(name="each minute")(lambda: None))
    with mill.worker(threads=1), mill.worker(threads=1):
        wait_for(lambda: len(slots) >= 3)
    with mill.worker(threads=1), mill.worker(threads=1):
        wait_for(lambda: len(slots) >= 6)

    [state] = [state for state in mill.app.storage.schedules.list() if state.name == tick.name]
    # A slot that a stop left in the queue may run late, beside the next one: the jobs are counted, not the times.
    jobs = mill.app.storage.inspection.find(Filter(task=tick.name), limit=1_000)
    assert len(jobs) == state.fired
    assert len(slots) == sum(job.state is State.SUCCEEDED for job in jobs)


def test_11_jobs_come_from_tasks_timers_and_coroutines(mill: Mill) -> None:
    double = mill.task(name="double")(lambda number: 2 * number)
    from_timer = []

    @mill.task
    def plain() -> str:
        return double.enqueue(1).id

    @mill.task
    async def coroutine() -> str:
        return (await double.aenqueue(2)).id

    timer = threading.Timer(0.01, lambda: from_timer.append(double.enqueue(3).id))
    with mill.worker():
        timer.start()
        job_ids = [plain.enqueue().get(timeout=DEADLINE), coroutine.enqueue().get(timeout=DEADLINE)]
        wait_for(lambda: from_timer)
        values = [mill.result(job_id).get(timeout=DEADLINE) for job_id in job_ids + from_timer]

    assert values == [2, 4, 6]


def test_12_results_can_be_waited_for_polled_and_awaited(mill: Mill) -> None:
    gate = Gate()

    @mill.task
    def waits() -> None:
        gate.pass_through()

    result = waits.enqueue()
    with mill.worker():
        gate.wait_for(1)
        for timeout in (0, 0.05):
            with pytest.raises(ResultTimeout):
                result.get(timeout=timeout)
        gate.open()
        assert result.get(timeout=DEADLINE) is None
        assert result.get(timeout=0) is None

        async def main() -> object:
            return await waits.enqueue()

        assert asyncio.run(main()) is None


def test_13_a_worker_in_a_thread_of_this_process_stops_gracefully(mill: Mill) -> None:
    gate = Gate()

    @mill.task
    def waits() -> str:
        gate.pass_through()
        return "finished"

    result = waits.enqueue()
    with mill.worker() as worker:
        gate.wait_for(1)
        worker.ask_to_stop()
        gate.open()

    assert result.get(timeout=0) == "finished"


def test_14_the_latest_events_can_be_read_afterwards(mill: Mill) -> None:
    @mill.task(retries=1, retry_delay=0)
    def fails(number: int) -> NoReturn:
        raise ValueError("boom")

    fails.enqueue(7)
    with mill.worker(burst=True):
        pass

    events = mill.events()
    assert [event.kind for event in events] == ["enqueued", "started", "retrying", "started", "failed"]
    assert {event.args for event in events} == {(7,)}


def test_15_four_workers_share_memory_with_the_program(mill: Mill) -> None:
    seen: dict[str, int] = {}
    meet = threading.Barrier(4)

    @mill.task
    def notes() -> int:
        meet.wait(DEADLINE)  # all four at once
        seen[threading.current_thread().name] = os.getpid()
        return os.getpid()

    results = [notes.enqueue() for _ in range(4)]
    with mill.worker(threads=4):
        pids = {result.get(timeout=DEADLINE) for result in results}

    assert pids == {os.getpid()}
    assert len(seen) == 4
