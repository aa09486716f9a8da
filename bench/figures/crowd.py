"""Many processes on one file, and neighbours that want much of it."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing import get_context
from pathlib import Path

from bench.jobs import Jobs
from bench.process import taskmill_worker
from bench.site import Numbers, Site
from bench.statistic import median, p99, timed, up_to
from taskmill.errors import StoreBusy

PRODUCERS, WORKERS = 16, 4
REFUSED = -1.0
PAYLOAD = "x" * 990_000
# Long enough that all processes are there.
HEAD_START = 0.5


def crowd(site: Site) -> Numbers:
    """Milliseconds of an enqueue while all produce at once, and how often one commit alone fits into 1/20 of it."""
    count = site.count(150, least=3)
    with producers(1) as pool:
        alone = median(pool.submit(produce, site.url, count, time.time()).result())
    with ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(taskmill_worker(site.url))
        pool = stack.enter_context(producers(PRODUCERS))
        begin_at = time.time() + HEAD_START
        parts = [pool.submit(produce, site.url, count, begin_at) for _ in range(PRODUCERS)]
        times = [each for part in parts for each in part.result()]
    longest = p99(times)
    return {
        "refused": times.count(REFUSED),
        "turns": longest / alone / (PRODUCERS + WORKERS),
        "p99": longest,
        "most": max(times),
    }


@contextmanager
def producers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that can `produce`, forked before this one has opened anything."""
    with ProcessPoolExecutor(count, mp_context=get_context("fork")) as pool:
        yield pool


def produce(url: str, count: int, begin_at: float, pause: float = 0.0) -> list[float]:
    """Milliseconds of each of *count* enqueues from that moment on, with about that *pause* between them."""
    jobs = Jobs(url)
    with closing(jobs.mill):
        jobs.nothing.enqueue()
        time.sleep(max(0.0, begin_at - time.time()))
        return [_enqueue(jobs, pause) for _ in up_to(count, seconds=20)]


def _enqueue(jobs: Jobs, pause: float) -> float:
    time.sleep(pause * random.uniform(0.5, 1.5))
    try:
        return timed(jobs.nothing.enqueue)
    except StoreBusy:
        return REFUSED


def spin(site: Site) -> Numbers:
    """Milliseconds for which a worker whose threads all compute keeps others from writing."""
    jobs = Jobs(site.url)
    with producers(1) as pool:
        pool.submit(int).result()
        jobs.mill.enqueue_many(jobs.spin.s(1_000_000) for _ in range(2_000))
        jobs.mill.close()
        with taskmill_worker(site.url):
            time.sleep(site.seconds(0.5))
            held = list(watch_lock(site.folder / "taskmill.db", site.seconds(4.0)))
            times = pool.submit(produce, site.url, site.count(300, least=3), time.time(), 0.01).result()
    return {"held": p99(held or [0.0]), "enqueue": p99(times)}


def watch_lock(file: Path, seconds: float) -> Iterator[float]:
    """For how many milliseconds the write lock was found taken, each time that it was; to half a millisecond."""
    deadline, taken_at = time.perf_counter() + seconds, 0.0
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as connection:
        while (now := time.perf_counter()) < deadline:
            if _is_free(connection):
                if taken_at:
                    yield (now - taken_at) * 1000
                taken_at = 0.0
            else:
                taken_at = taken_at or now
            time.sleep(0.0005)


def _is_free(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("begin immediate")
    except sqlite3.OperationalError:
        return False
    connection.execute("rollback")
    return True


def payload(site: Site) -> Numbers:
    """How often an argument of 1 MB is written until its job has ended, and what the enqueue of a neighbour takes."""
    jobs, count = Jobs(site.url), site.count(20, least=2)
    with producers(1) as pool:
        pool.submit(int).result()
        before = _written()
        with jobs.mill.worker():
            for _ in range(count):
                jobs.swallow.enqueue(PAYLOAD).get(timeout=30)
        jobs.mill.close()
        written = (_written() - before) / count / len(PAYLOAD)
        neighbour = pool.submit(produce, site.url, site.count(200, least=3), time.time(), 0.01)
        with jobs.mill.worker():
            while not neighbour.done():
                jobs.swallow.enqueue(PAYLOAD).get(timeout=30)
        jobs.mill.close()
    return {"writes": written, "neighbour": p99(neighbour.result())}


def _written() -> int:
    """How many bytes this process has handed to the system, into whatever file."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])
