"""How jobs are enqueued, and how their results come back."""

from __future__ import annotations

import asyncio
import threading
import time

from taskmill import Result
from taskmill._cli.demo import tasks
from taskmill._cli.demo.measure import PATIENCE, SOON, Span, error_of, said, shown, timed
from taskmill._cli.demo.story import Show, step
from taskmill._core.job import Reason
from taskmill.errors import JobCancelled, JobFailed, ResultTimeout

mill = tasks.mill

_TIMEOUT = 0.3


@step("Pipelines hand results on")
def pipelines(show: Show) -> None:
    """Each step receives the result of the one before; a step that fails cancels the rest, with the reason."""
    whole = (tasks.fetch_number.s(123) | tasks.scale.s(5) | tasks.store.s()).enqueue()
    broken = tasks.fetch_number.s(123).then(tasks.divide, 0).then(tasks.store).enqueue()
    states = [str(result.state) for result in whole.steps]
    show.expect(states == ["queued", "blocked", "blocked"], f"stored at once: {', '.join(states)}")
    with mill.worker():
        last = whole.get(PATIENCE)
        failure, rest = error_of(broken.steps[1]), error_of(broken)
    first, second = (result.get(timeout=0) for result in whole.steps[:2])
    is_handed_on = (second, last["value"]) == (first * 5, second)
    show.expect(
        is_handed_on, f"the result of each step: {first}, {second}, {{'value': {last['value']}, ...}}"
    )
    is_failed = isinstance(failure, JobFailed) and failure.error_type == "ZeroDivisionError"
    show.expect(is_failed, f"another one: {broken.steps[0].get(timeout=0)}, then {said(failure)}")
    is_cancelled = isinstance(rest, JobCancelled) and rest.reason == Reason.STEP_BEFORE
    show.expect(is_cancelled, f"its last step, which never ran: {said(rest)}")


@step("Enqueueing from anywhere")
def enqueue_anywhere(show: Show) -> None:
    """A job can be enqueued from inside a task, from a timer's thread and from a coroutine."""
    from_timer: list[Result[int]] = []
    timer = threading.Timer(0.1, lambda: from_timer.append(tasks.add.enqueue(2, 2)))
    with mill.worker():
        timer.start()
        from_coroutine = asyncio.run(_await_sum())
        timer.join()
        from_task = mill.result(tasks.spawn.enqueue(1, 1).get(PATIENCE))
        _expect_sum(show, "a task", from_task, 1 + 1)
        _expect_sum(show, "a timer", from_timer[0], 2 + 2)
        _expect_sum(show, "a coroutine, where it was awaited", from_coroutine, 3 + 3)


async def _await_sum() -> Result[int]:
    result = await tasks.add.aenqueue(3, 3)
    async with asyncio.timeout(PATIENCE):
        await result
    return result


def _expect_sum(show: Show, place: str, result: Result[int], expected: int) -> None:
    found = result.get(PATIENCE)
    threads = {
        thread for thread, event in tasks.HEARD if (event.job_id, event.kind) == (result.id, "enqueued")
    }
    show.expect(found == expected, f"from {place}: {found} (enqueued in thread {', '.join(threads)})")


@step("Results, waited for or not")
def results(show: Show) -> None:
    """get() waits, with a timeout or without; it wakes with the job's end, and reading does not consume."""
    with mill.worker():
        result = tasks.wait_at.enqueue("results")
        _expect_timeout(show, result, 0)
        _expect_timeout(show, result, _TIMEOUT)
        tasks.open_gate("results")
        ended_at = result.get(PATIENCE).ended_at
        late = time.monotonic() - ended_at
        show.expect(0 <= late < SOON, f"get(timeout={PATIENCE:g}) returned {shown(late)} after the job's end")
        nothing = tasks.note.enqueue("nothing")
        show.expect(nothing.get(PATIENCE) is None, "None is a value like any other")
    again = mill.result(result.id).get(timeout=0)
    show.expect(again == result.get(timeout=0), "read again, by its id: the same value")


def _expect_timeout(show: Show, result: Result[Span], timeout: float) -> None:
    error, took = timed(error_of, result, timeout)
    is_right = isinstance(error, ResultTimeout) and timeout <= took < timeout + SOON
    show.expect(is_right, f"get(timeout={timeout}) raised {type(error).__name__} after {shown(took)}")
