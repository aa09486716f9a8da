"""One at a time."""

from __future__ import annotations

import time

from taskmill import Job, Result, State
from taskmill._cli.demo import tasks
from taskmill._cli.demo.measure import PATIENCE, SOON, Span, longest_gap, most_at_once, shown, until
from taskmill._cli.demo.process import Process
from taskmill._cli.demo.story import Show, step

mill = tasks.mill

_THREADS = 2
_OTHERS = 8


@step("A lock serializes, and nobody waits in a slot")
def locks(show: Show) -> None:
    """Of the holders of a lock, jobs or blocks of code, there is one at a time; a job that waits holds no slot.

    It burns no attempt either, and a holder that dies leaves the lock free.
    """
    with mill.worker(threads=_THREADS):
        with mill.lock(tasks.SYNC):
            waiting = _enqueue_six(show)
            _run_others(show)
            _expect_waiting(show, [result.job() for result in waiting])
            freed_at = time.monotonic()
        results = [*waiting, *(tasks.sync_inside.enqueue() for _ in range(2))]
        _expect_serial(show, freed_at, [result.get(PATIENCE) for result in results])
    jobs = [result.job() for result in waiting]
    is_unburnt = all(job.attempt == 1 and not job.attempts for job in jobs)
    show.expect(is_unburnt, f"attempts of the jobs that waited: {[job.attempt for job in jobs]}")
    _dead_holder(show)


def _enqueue_six(show: Show) -> list[Result[Span]]:
    show.tell(
        "`with mill.lock(name)` holds it here; 6 jobs want it: @mill.lock above @mill.task, below it, and lock="
    )
    kinds = (tasks.sync_above, tasks.sync_below, tasks.sync_option)
    return [task.enqueue() for _ in range(2) for task in kinds]


def _run_others(show: Show) -> None:
    """Those without a lock are not kept waiting."""
    began_at = time.monotonic()
    for result in [tasks.add.enqueue(number, number) for number in range(_OTHERS)]:
        result.get(PATIENCE)
    took = shown(time.monotonic() - began_at)
    show.tell(f"{_OTHERS} other jobs, enqueued behind them, were done by {_THREADS} threads in {took}")


def _expect_waiting(show: Show, jobs: list[Job]) -> None:
    waiting = sum(job.state is State.QUEUED and job.waits_for == tasks.SYNC for job in jobs)
    show.expect(waiting == len(jobs), f"meanwhile {waiting} of {len(jobs)} waited in the store, in no thread")


def _expect_serial(show: Show, freed_at: float, spans: list[Span]) -> None:
    show.tell("the block ended; 2 more jobs take the lock inside, as `with mill.lock(name)`")
    first = min(spans).began_at - freed_at
    show.expect(0 <= first < SOON, f"the first job began {shown(first)} after the block had ended")
    highest = most_at_once(spans)
    show.expect(highest == 1, f"{len(spans)} jobs of 100 ms ran, {highest} at once at most")
    show.tell(f"longest pause between one and the next: {shown(longest_gap(spans))}")


def _dead_holder(show: Show) -> None:
    with Process("hold", mill.url) as holder, mill.worker():
        show.tell(f"process {holder.pid} is {holder.line()} another lock, and a job waits for it")
        orphan = tasks.sync_option.using(lock=tasks.HELD).enqueue()
        until(lambda: orphan.job().waits_for == tasks.HELD)
        killed_at = time.monotonic()
        holder.kill()
        after = orphan.get(PATIENCE).began_at - killed_at
    show.expect(0 <= after < SOON, f"kill -9 {holder.pid}: the job began {shown(after)} later")
