"""How workers begin and end, in threads, on the event loop and by SIGKILL."""

from __future__ import annotations

import os
import threading
import time

from taskmill import Event, Mill, Result, State
from taskmill._cli.demo import tasks
from taskmill._cli.demo.measure import PATIENCE, SOON, Span, error_of, most_at_once, said, shown, timed, until
from taskmill._cli.demo.process import Process
from taskmill._cli.demo.story import Show, step
from taskmill._core.event import EVENT_KINDS
from taskmill._core.job import Reason
from taskmill.errors import JobFailed

mill = tasks.mill

_GRACE = 1.5
_TICKS = 20
_PAGES = 20
_EVENTS = 10
_CRASHES = 3


@step("A worker in a thread, stopped gracefully")
def worker_in_a_thread(show: Show) -> None:
    """A worker runs in any thread; stopped, it lets jobs finish within its grace and gives the rest back."""
    worker = mill.worker(threads=2, grace=_GRACE)
    thread = threading.Thread(target=worker.run, name="my-consumer", daemon=True)
    thread.start()
    soon, late = tasks.wait_at.enqueue("soon"), tasks.wait_at.enqueue("late")
    until(lambda: {"soon", "late"} <= set(tasks.ARRIVED))
    waiting = tasks.wait_at.enqueue("late")
    show.tell(f"in thread {thread.name}: 2 jobs run, 1 waits; stop with a grace of {shown(_GRACE)}")
    worker.ask_to_stop()
    tasks.open_gate("soon")
    _, took = timed(worker.stop)
    thread.join(PATIENCE)
    show.expect(not thread.is_alive(), f"the thread ended {shown(took)} later")
    _expect_given_back(show, soon, late, waiting)


def _expect_given_back(show: Show, soon: Result[Span], late: Result[Span], waiting: Result[Span]) -> None:
    show.expect(soon.state is State.SUCCEEDED, f"the job that ended within the grace: {soon.state}")
    job, untouched = late.job(), waiting.job()
    is_back = job.state is State.QUEUED and job.attempt == 0
    show.expect(is_back, f"the one that did not: {job.state}, with {job.attempt} attempts burnt")
    is_queued = untouched.state is State.QUEUED and untouched.attempt == 0
    show.expect(is_queued, f"the one that waited: {untouched.state}")
    tasks.open_gate("late")
    with mill.worker(burst=True):
        pass
    states = [result.state for result in (late, waiting)]
    show.expect(set(states) == {State.SUCCEEDED}, f"after the next worker: {' and '.join(states)}")


@step("The latest events, read from the store")
def latest_events(show: Show) -> None:
    """What happened can be read back afterwards, by any process that has the file."""
    reader = Mill(mill.url)
    events = reader.events(_EVENTS)
    reader.close()
    show.tell(f"Mill(url).events({_EVENTS}), of a Mill that has seen nothing of it:")
    show.table(*map(_line, events))
    is_in_order = events == sorted(events, key=lambda event: event.at)
    show.expect(is_in_order, f"{len(events)} events, in the order of time")
    heard = {(event.job_id, event.kind, event.attempt) for _, event in tasks.HEARD}
    told = [(event.job_id, event.kind, event.attempt) for event in events]
    show.expect(len(told) == _EVENTS and set(told) <= heard, "the signal handlers heard each of them")


def _line(event: Event) -> str:
    return f"{event.at:%H:%M:%S.%f}  {event.kind:<10} {event.task}{event.args}"


@step("Threads that share memory with the caller")
def shared_memory(show: Show) -> None:
    """Four workers are four threads of this process, at work at once, and see the same memory as the caller."""
    with mill.worker(threads=4):
        jobs = [tasks.meet.enqueue() for _ in range(4)]
        tasks.MEETING.wait(timeout=PATIENCE)
        threads = {result.get(PATIENCE) for result in jobs}
        is_met = len(threads) == len(jobs)
        show.expect(is_met, f"4 jobs and the caller met in memory: {', '.join(sorted(threads))}")
        for result in [tasks.tick.enqueue() for _ in range(_TICKS)]:
            result.get(PATIENCE)
    total, by_thread = tasks.TICKS.total(), ", ".join(map(str, tasks.TICKS.values()))
    show.expect(total == _TICKS, f"{_TICKS} jobs counted to {total}, by thread: {by_thread}")


@step("Coroutines beside threads")
def coroutines(show: Show) -> None:
    """An async def is a task too: many run at once on one event loop, beside a thread that is busy."""
    with mill.worker(threads=1):
        busy = tasks.wait_at.enqueue("coroutines")
        pages, took = timed(lambda: [page.get(PATIENCE) for page in tasks.fetch_page.map(range(_PAGES))])
        highest = most_at_once(pages)
        show.expect(highest > 1, f"{_PAGES} coroutines of 300 ms took {shown(took)}, {highest} at once")
        slow = error_of(tasks.fetch_slowly.enqueue())
        is_cut = isinstance(slow, JobFailed) and slow.reason == Reason.TIMEOUT
        show.expect(is_cut, f"one with timeout=0.2: {said(slow)}")
        show.expect(busy.state is State.RUNNING, f"the only thread was busy meanwhile: {busy.state}")
        tasks.open_gate("coroutines")
        busy.get(PATIENCE)


@step("A job that takes its process down")
def poison(show: Show) -> None:
    """A job that kills its process is tried three times, each time alone; then it fails and says what happened."""
    with mill.worker(threads=1):
        culprit = tasks.poison.enqueue()
        neighbours = tasks.fetch_page.map(range(_PAGES))
        error = error_of(culprit)
        ended = [page.get(PATIENCE) is not None for page in neighbours]
    show.expect(all(ended), f"{len(ended)} jobs beside it took no harm")
    is_told = isinstance(error, JobFailed) and error.reason == Reason.CRASHED
    show.expect(is_told, f"the job itself: {said(error)}")
    crashes = culprit.job().crashes
    show.expect(crashes == _CRASHES, f"it was tried {crashes} times, with retries=0")


@step("A worker killed by SIGKILL")
def killed_worker(show: Show) -> None:
    """The jobs of a worker that dies run again at once in another one, with no attempt burnt."""
    tasks.open_gate("killed")  # of this process: in the other one the jobs wait at a closed gate
    with Process("work", mill.url) as other:
        jobs = [tasks.wait_at.enqueue("killed") for _ in range(2)]
        told = sorted(other.line() for _ in jobs)
        is_told = told == sorted(f"started {job.id}" for job in jobs)
        show.expect(is_told, f"worker process {other.pid} runs 2 jobs; its own signal handlers told so")
        with mill.worker():
            killed_at = time.monotonic()
            other.kill()
            spans = [job.get(PATIENCE) for job in jobs]
    after = max(span.began_at for span in spans) - killed_at
    show.expect(0 <= after < SOON, f"kill -9 {other.pid}: {shown(after)} later both ran again here")
    _expect_taken_over(show, jobs, spans)


def _expect_taken_over(show: Show, jobs: list[Result[Span]], spans: list[Span]) -> None:
    pids = {span.pid for span in spans}
    show.expect(pids == {os.getpid()}, f"their results come from process {pids}")
    for job in (result.job() for result in jobs):
        counts = f"rescues: {job.rescues}, claims: {job.fence}, attempt: {job.attempt}"
        is_right = (job.state, counts) == (State.SUCCEEDED, "rescues: 1, claims: 2, attempt: 1")
        show.expect(is_right, f"job {job.job_id}: {counts}")
    missing = set(EVENT_KINDS) - {event.kind for _, event in tasks.HEARD}
    show.expect(not missing, f"all {len(EVENT_KINDS)} kinds of events were heard in this story")
