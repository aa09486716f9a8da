"""Why a job does not run, or no longer: pure, from the job and the census of its store, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from taskmill._core.census import Census, Serves
from taskmill._core.diagnosis import lack_of
from taskmill._core.instant import SECOND, from_datetime, to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._core.wording import counted, span


class Cause(NamedTuple):
    """One thing that a job waits for; `name` stays the same in all releases, `job_id` is the other job's, if any."""

    name: str
    told: str
    job_id: str | None = None


def causes(
    job: Job, census: Census, *, before: Job | None = None, paused: Mapping[str, datetime] | None = None
) -> Sequence[Cause]:
    """What *job* waits for, what matters most first; nothing for one that has ended, or that a living process runs.

    *before* is the step before it in its pipeline; *paused* are the queues of which nothing is claimed.
    """
    match job.state:
        case State.BLOCKED:
            return [_step(job, before)]
        case State.QUEUED:
            return [*_queued(job, census, (paused or {}).get(job.queue))]
        case State.RUNNING:
            return [*_left_behind(job, census)]
        case _:
            return []


def _step(job: Job, before: Job | None) -> Cause:
    if before is None:
        return Cause("step", f"step {job.step} of its pipeline, which is gone, has not succeeded")
    state = "runs" if before.state is State.RUNNING else f"is {before.state}"
    return Cause(
        "step",
        f"it is step {job.step + 1} of a pipeline; step {job.step}, {before.task}, {state}",
        before.job_id,
    )


def _queued(job: Job, census: Census, paused_since: datetime | None) -> Iterator[Cause]:
    now = to_datetime(census.now)
    if paused_since is not None:
        held = span((now - paused_since).total_seconds())
        yield Cause("paused", f"its queue {job.queue!r} has been paused for {held}")
    if job.run_at > now:
        yield _later(job, now)
    if job.waits_for is not None:
        yield _lock(job.waits_for, census)
    if job.is_suspect:
        yield Cause(
            "suspect", "it ran when a process crashed, so it waits for a process that runs nothing else"
        )
    lack = _lack(job, census)
    if lack is not None:
        yield lack
    elif job.run_at <= now and not (paused_since or job.waits_for or job.is_suspect):
        yield _line(job, census)
    if job.expires_at is not None:
        yield Cause("expires", f"it is cancelled if it has not started in {_until(job.expires_at, now)}")


def _left_behind(job: Job, census: Census) -> Iterator[Cause]:
    holder = next((each for each in census.sessions if each.session == job.session), None)
    if holder is None or holder.life == "alive":
        return
    who = f"process {holder.pid} on {holder.host}, which ran it"
    if holder.life == "silent":
        yield Cause("silent-worker", f"{who}, has given no sign of life for longer than its lease")
    elif census.working:
        yield Cause("dead-worker", f"{who}, is gone; a living worker takes it back at once")
    else:
        yield Cause("dead-worker", f"{who}, is gone; the next worker that starts takes it back")


def _later(job: Job, now: datetime) -> Cause:
    wait = _until(job.run_at, now)
    if job.attempt:
        return Cause(
            "retry", f"attempt {job.attempt} of {job.max_attempts} failed; the next one is in {wait}"
        )
    if job.fence:
        return Cause("snooze", f"it was put off and is due again in {wait}")
    return Cause("delay", f"it was enqueued for later and is due in {wait}")


def _lock(name: str, census: Census) -> Cause:
    lock = next((lock for lock in census.locks if lock.name == name), None)
    if lock is None:
        return Cause("lock", f"the lock {name!r} was held a moment ago")
    held = span((census.now - lock.since) / SECOND)
    waiters = f"{counted(lock.waiters, 'job')} {'waits' if lock.waiters == 1 else 'wait'}"
    by = "a job" if lock.job_id else f"session {lock.session}"
    return Cause(
        "lock",
        f"the lock {name!r} is held by {by} for {held}; {waiters} for it",
        lock.job_id,
    )


def _lack(job: Job, census: Census) -> Cause | None:
    """Workers that it could do with."""
    if not census.working:
        return Cause("no-worker", census.lack_of_workers)
    if job.is_suspect:
        # Whoever serves its queue runs it alone.
        return None
    lack = lack_of(job.queue, job.executor, job.task, census.working)
    if lack is not None:
        name, what, why = lack
        return Cause(name, f"it is a job{what}, and no living worker {why}")
    if job.is_handed_on:
        return Cause("handed-on", "a worker had it that does not know its task; it waits for one that does")
    return None


def _line(job: Job, census: Census) -> Cause:
    able = [serves for serves in census.working if _takes(serves, job)]
    ahead = sum(
        waiting.due
        for waiting in census.waiting
        if waiting.executor == job.executor and any(serves.has_queue(waiting.queue) for serves in able)
    )
    waited = span((census.now - from_datetime(job.run_at)) / SECOND)
    others = max(ahead - 1, 0)
    return Cause(
        "line",
        f"it is due for {waited} and its turn comes: {counted(others, 'other job')} {'is' if others == 1 else 'are'} "
        f"due for the {counted(len(able), 'worker process')} that {'takes' if len(able) == 1 else 'take'} it, "
        f"by priority (its own is {job.priority}), then by time",
    )


def _takes(serves: Serves, job: Job) -> bool:
    return serves.has_queue(job.queue) and job.executor in serves.executors


def _until(moment: datetime, now: datetime) -> str:
    return span(max((moment - now).total_seconds(), 0))
