"""How fast a worker process runs jobs that do nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import Any

from bench.jobs import Jobs
from bench.process import by_worker, taskmill_worker
from bench.site import Numbers, Site
from bench.statistic import median, timed
from bench.subjects import SUBJECTS
from bench.subjects.base import unchanged
from bench.subjects.taskmill import await_results
from bench.tally import Tally
from taskmill import Mill, Task

BATCH = 1_000


def drain(site: Site) -> Numbers:
    subject = SUBJECTS[site.subject]
    jobs = site.count(round(10_000 * subject.share), least=10)
    with closing(subject.open(site.folder, unchanged)) as adapter:
        for _ in range(jobs):
            adapter.enqueue(0.0)
        return by_worker(site, "drain", jobs)


def backlog(site: Site) -> Numbers:
    """How the rate of the first jobs changes with a million behind them, or beside."""
    jobs, many = site.count(20_000, least=100), site.count(1_000_000, least=1_000)
    alone, behind, beside = site.part("alone"), site.part("behind"), site.part("beside")
    # All three end in the middle of the work.
    fill(alone, jobs * 2)
    fill(behind, many)
    fill(beside, many, delay=86_400, priority=50)
    idle = idle_turn(beside)
    fill(beside, jobs * 2)
    rate = by_worker(alone, "count", jobs)["rate"]
    return {
        "queued": by_worker(behind, "count", jobs)["rate"] / rate,
        "delayed": by_worker(beside, "count", jobs)["rate"] / rate,
        "idle": idle,
    }


def fill(site: Site, jobs: int, **settings: Any) -> None:
    with closing(Mill(site.url)) as mill:
        work: Task[[float], float] = mill.task(name="work")(unchanged)
        for first in range(0, jobs, BATCH):
            batch = range(first, min(jobs, first + BATCH))
            mill.enqueue_many(work.using(**settings).s(0.0) for _ in batch)


def idle_turn(site: Site) -> float:
    """Milliseconds of a turn that finds nothing to settle and nothing to claim."""
    with closing(Mill(site.url)) as mill:
        storage = mill.app.storage
        session = storage.sessions.open(kind="worker", lease=mill.app.lease)

        def turn(claim: int) -> None:
            storage.jobs.turn(session, (), claim=claim, wants={"thread": 4, "asyncio": 1_000}, queues=None)

        times = [timed(turn, claim) for claim in range(1, 101)]
        storage.sessions.end(session)
        return median(times)


def watched(site: Site) -> Numbers:
    """How the rate of a whole worker changes when it counts for Prometheus: rounds of both, one beside the other."""
    shares = []
    for number in range(site.count(10, least=1)):
        alone, counting = site.part(f"alone-{number}"), site.part(f"counting-{number}")
        seconds = seconds_of_a_worker(alone)
        shares.append(seconds / seconds_of_a_worker(counting, "--http", "127.0.0.1:0"))
    return {"share": median(shares)}


def seconds_of_a_worker(site: Site, *options: str) -> float:
    """From when it is ready until all jobs have ended."""
    with closing(Jobs(site.url).mill) as mill:
        nothing = mill.app.tasks["nothing"]
        mill.enqueue_many(nothing.s() for _ in range(site.count(30_000, least=100)))
        last = nothing.using(priority=-1).enqueue()
        with taskmill_worker(site.url, *options):
            began = time.perf_counter()
            last.get(timeout=60)
            return time.perf_counter() - began


def coroutines(site: Site) -> Numbers:
    jobs = site.count(50_000, least=100)
    tally = Tally(jobs)

    async def work() -> None:
        tally(0.0)

    with closing(Mill(site.url)) as mill:
        task = mill.task(name="work")(work)
        mill.enqueue_many(task.s() for _ in range(jobs))
        with mill.worker():
            tally.is_complete.wait()
            await_results(mill)
            tally.end()
    return tally.numbers()


def sleepers(site: Site) -> Numbers:
    """Seconds until that many coroutines sleep at once."""
    jobs = site.count(10_000, least=100)
    tally = Tally(jobs)

    async def sleep() -> None:
        tally(0.0)
        while not tally.is_complete.is_set():  # noqa: ASYNC110  (to sleep is what they are here for)
            await asyncio.sleep(0.5)

    with closing(Mill(site.url)) as mill:
        task = mill.task(name="sleep")(sleep)
        mill.enqueue_many(task.s() for _ in range(jobs))
        began = time.perf_counter()
        with mill.worker(coroutines=jobs):
            tally.is_complete.wait()
            return {"start": time.perf_counter() - began}
