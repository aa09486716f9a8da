"""A store with many jobs in every state, each with two kilobytes of arguments."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from contextlib import closing

from bench.site import Site
from taskmill import Mill, State
from taskmill._core.identity import new_job_id
from taskmill._core.instant import DAY, HOUR, MINUTE, SECOND, moment_of, to_datetime
from taskmill._core.job import ErrorInfo, Reason
from taskmill._core.record import Job
from taskmill._core.tally import WAITED, Tally
from taskmill._storage.base import Load

_CRATE = 5_000
TASKS = tuple(f"shop.{name}" for name in ("orders", "mail", "images", "stock", "reports", "invoices"))
QUEUES = ("default", "mail", "imports", "reports")
# What is queued is due later, so that a drain meets only the jobs that were made for it.
_STATES = (State.SUCCEEDED,) * 12 + (State.QUEUED,) * 6 + (State.FAILED, State.CANCELLED)
_PADDING = "customer street town country article price amount remark " * 36


def fill(site: Site, jobs: int) -> None:
    """Make them, or those that are missing."""
    with closing(Mill(site.url)) as mill:
        storage = mill.app.storage
        there = (
            sum(sum(queue.states.values()) for queue in storage.inspection.queues())
            if storage.exists()
            else 0
        )
        for first in range(there - there % _CRATE, jobs, _CRATE):
            made = [*_jobs(storage.now(), first, min(first + _CRATE, jobs))]
            storage.transfer.unpack(new_job_id(), Load(made))
            print(f"\r{site.subject}: {first:,}", end="", file=sys.stderr, flush=True)
        minute = storage.now() // MINUTE
        storage.statistics.add(
            [
                Tally(minute - ago, task, event, bucket, 10)
                for ago in range(180)
                for task in TASKS
                for event in ("succeeded", "failed", WAITED)
                for bucket in range(10, 20, 2)
            ]
        )


def _jobs(now: int, first: int, end: int) -> Iterator[Job]:
    chance = random.Random(first)
    for number in range(first, end):
        yield _job(number, now, chance)


def _job(number: int, now: int, chance: random.Random) -> Job:
    state = _STATES[number % len(_STATES)]
    enqueued_at = now - chance.randrange(HOUR)
    ended_at = enqueued_at + chance.randrange(MINUTE) if state.is_final else None
    failed = state is State.FAILED
    text = f"customer-{number} {_PADDING}"[:1_990]
    return Job(
        job_id=new_job_id(),
        task=TASKS[number % len(TASKS)],
        queue=QUEUES[number % len(QUEUES)],
        executor="thread",
        priority=number % 5,
        state=state,
        reason=Reason.ERROR if failed else Reason.REVOKED if state is State.CANCELLED else None,
        attempt=int(state.is_final),
        max_attempts=3,
        fence=int(state.is_final),
        session=None,
        rescues=0,
        crashes=0,
        is_suspect=False,
        is_handed_on=False,
        enqueued_at=to_datetime(enqueued_at),
        run_at=to_datetime(enqueued_at if state.is_final else now + 365 * DAY),
        claimed_at=None,
        started_at=moment_of(None if ended_at is None else ended_at - SECOND),
        ended_at=moment_of(ended_at),
        expires_at=None,
        delay=0,
        result_ttl=30 * DAY,
        lock=None,
        waits_for=None,
        key=None,
        tags=("big",) if number % 100 == 0 else (),
        headers={},
        pipeline=None,
        step=0,
        cancel_requested=False,
        args=json.dumps([[text], {}]),
        result='"done"' if state is State.SUCCEEDED else None,
        error=ErrorInfo("ValueError", f"no such article: {number % 7}", "Traceback ...\n" * 8)
        if failed
        else None,
    )
