"""How fast jobs are stored."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from bench.figures.drain import BATCH
from bench.jobs import Jobs
from bench.site import Numbers, Site
from bench.subjects import SUBJECTS
from bench.subjects.base import Adapter, unchanged


def enqueue(site: Site) -> Numbers:
    """Jobs a second, one by one, by so many threads of one process together."""
    subject = SUBJECTS[site.subject]
    with closing(subject.open(site.folder, unchanged)) as adapter:
        adapter.enqueue(0.0)
        jobs = site.count(round(4_000 * subject.share), least=16)
        return {f"by_{threads}": _rate(adapter, threads, jobs) for threads in (1, 8, 16)}


def _rate(adapter: Adapter, threads: int, jobs: int) -> float:
    part = jobs // threads

    def enqueue_part() -> None:
        for _ in range(part):
            adapter.enqueue(0.0)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(enqueue_part) for _ in range(threads)]:
            done.result()
    return part * threads / (time.perf_counter() - began)


def enqueue_normal(site: Site) -> Numbers:
    jobs = Jobs(f"{site.url}?durability=normal")
    with closing(jobs.mill):
        jobs.nothing.enqueue()
        count = site.count(10_000, least=10)
        began = time.perf_counter()
        for _ in range(count):
            jobs.nothing.enqueue()
        return {"rate": count / (time.perf_counter() - began)}


def enqueue_many(site: Site) -> Numbers:
    jobs = Jobs(site.url)
    with closing(jobs.mill):
        jobs.nothing.enqueue()
        calls = site.count(50)
        began = time.perf_counter()
        for _ in range(calls):
            jobs.mill.enqueue_many(jobs.nothing.s() for _ in range(BATCH))
        return {"rate": calls * BATCH / (time.perf_counter() - began)}
