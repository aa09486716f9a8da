"""The file, signals, priorities, retries and the context."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from taskmill import Event, Job, Result, State
from taskmill._cli.demo import tasks
from taskmill._cli.demo.file import file_of
from taskmill._cli.demo.measure import PATIENCE, SOON, error_of, said, shown, timed
from taskmill._cli.demo.story import Show, step
from taskmill._core.job import ErrorInfo
from taskmill.errors import JobFailed

mill = tasks.mill

_DELAY = 0.3
_FOLDER = f"{Path(tasks.__file__).parent}/"


@step("One line makes the store")
def one_file(show: Show) -> None:
    """Mill("sqlite:///...") is all the setup: the file makes itself, and a job is on disk once it is enqueued."""
    file = file_of(mill.url)
    show.expect(not file.exists(), "making the Mill opened nothing: there is no file yet")
    _, first = timed(tasks.add.enqueue, 2, 3)
    result, second = timed(tasks.add.enqueue, 2, 3)
    show.tell(f"add.enqueue(2, 3) took {shown(first)}, file and all; once more: {shown(second)}")
    with closing(sqlite3.connect(file)) as other:
        found = other.execute("select state, count(*) from taskmill_job group by state").fetchall()
    show.expect(found == [("queued", 2)], f"another connection finds in the file: {found}")
    with mill.worker(threads=4):
        show.expect(result.get(PATIENCE) == 2 + 3, f"a worker of 4 threads ran it: {result.get()}")


@step("Signals tell every lifecycle event")
def signals(show: Show) -> None:
    """Handlers hear what happens to a job, with its task, id, arguments and error, in producer and worker."""
    good = tasks.add.enqueue(10, b=32)
    bad = tasks.parse.enqueue("4x2", base=10)
    late = tasks.patient.enqueue(0.05)
    revoked = tasks.add.using(delay=60).enqueue(0, 0)
    revoked.cancel()
    with mill.worker():
        for result in (good, bad, late):
            error_of(result)
    heard = [*_heard(good), *_heard(bad)]
    show.table(*(f"{event.kind:<10} {event.task:<11} in {thread}" for thread, event in heard))
    here = {event.kind for thread, event in heard if thread == threading.current_thread().name}
    show.expect(
        here == {"enqueued"}, "enqueued was heard by the producer, the others by the worker's threads"
    )
    _expect_kinds(show, good, "enqueued started succeeded")
    _expect_kinds(show, bad, "enqueued started retrying started failed")
    _expect_kinds(show, late, "enqueued started snoozed started succeeded")
    _expect_kinds(show, revoked, "enqueued cancelled")
    _expect_details(show, heard[-1].event)


def _heard(result: Result[Any]) -> list[tasks.Heard]:
    return [heard for heard in tasks.HEARD if heard.event.job_id == result.id]


def _expect_kinds(show: Show, result: Result[Any], kinds: str) -> None:
    heard = [heard.event.kind for heard in _heard(result)]
    show.expect(heard == kinds.split(), f"{result.job().task}: {', '.join(heard)}")


def _expect_details(show: Show, event: Event) -> None:
    error = event.error or ErrorInfo("no error", "")
    told = (event.task, event.args, event.kwargs, error.type)
    show.expect(
        told == (tasks.parse.name, ("4x2",), {"base": 10}, "ValueError"),
        f"the event says: {event.task}, job {event.job_id}, args={event.args}, kwargs={event.kwargs}, "
        f"{error.type}: {error.message}",
    )


@step("Priorities decide the order")
def priorities(show: Show) -> None:
    """Of the jobs that wait, in all queues, the highest priority runs first; equal ones in their order."""
    calls = [("a", 0, "default"), ("b", 50, "mail"), ("c", -5, "default"), ("d", 100, "default")]
    for name, priority, queue in [*calls, ("e", 50, "default")]:
        tasks.note.using(priority=priority, queue=queue).enqueue(name)
    show.tell("enqueued a, b, c, d, e with priorities 0, 50, -5, 100, 50; b in another queue")
    with mill.worker(threads=1, burst=True):
        pass
    show.expect(tasks.RAN == ["d", "b", "e", "a", "c"], f"one thread ran {', '.join(tasks.RAN)}")


@step("Retries with a delay")
def retries(show: Show) -> None:
    """A failed attempt is repeated after its delay; the outcome is the last one; every attempt stays visible."""
    flaky = tasks.flaky.enqueue(failures=2)
    hopeless = tasks.hopeless.enqueue("https://example.org")
    with mill.worker():
        value = flaky.get(PATIENCE)
        show.expect(value == "OK", f"flaky failed twice, and get() returned {value!r}")
        _expect_delays(show, flaky.job())
        error = error_of(hopeless)
    is_final = isinstance(error, JobFailed) and error.error_type == "TimeoutError"
    show.expect(is_final, f"get() raised {said(error)}")
    _expect_attempts(show, hopeless.job())


def _expect_delays(show: Show, job: Job) -> None:
    starts = [*(attempt.started_at for attempt in job.attempts), job.started_at]
    ends = [attempt.ended_at for attempt in job.attempts]
    delays = [
        (start - end).total_seconds()
        for end, start in zip(ends, starts[1:], strict=True)
        if start is not None
    ]
    is_right = [_DELAY <= delay < _DELAY + SOON for delay in delays] == [True, True]
    show.expect(is_right, f"delays, asked for {shown(_DELAY)}: {', '.join(map(shown, delays))}")


def _expect_attempts(show: Show, job: Job) -> None:
    errors = [*(attempt.error for attempt in job.attempts), job.error]
    is_failed = job.state is State.FAILED and len(errors) == job.max_attempts
    show.expect(is_failed, f"the job is {job.state} after {len(errors)} attempts; what is kept of each:")
    for number, error in enumerate(errors, start=1):
        lines = error.traceback.splitlines() if error else []
        show.expect(any("in hopeless" in line for line in lines), f"attempt {number}: {len(lines)} lines")
        show.table(*(line.replace(_FOLDER, "") for line in lines))


@step("A task knows its job")
def context(show: Show) -> None:
    """A parameter annotated with Context tells the job's id, the same in all attempts, and the attempt."""
    result = tasks.estimate_pi.enqueue(samples=50_000)
    with mill.worker():
        found = result.get(PATIENCE)
    show.tell(f"the task raised Retry on attempt 1, then returned pi = {found['pi']:.3f}")
    show.expect(found["job_id"] == result.id, f"inside:  job {found['job_id']}, attempt {found['attempt']}")
    attempt = result.job().attempt
    show.expect(found["attempt"] == attempt, f"outside: job {result.id}, attempt {attempt}")
