"""How long a job waits for a worker that has nothing else to do, and its caller for the result."""

from __future__ import annotations

import random
import time
from contextlib import closing

from bench.jobs import Jobs
from bench.machine import pause
from bench.process import Reporting, reporting_worker, taskmill_worker
from bench.site import Numbers, Site
from bench.statistic import median, p99, up_to
from bench.subjects import SUBJECTS
from bench.subjects.base import Adapter, unchanged


def latency(site: Site) -> Numbers:
    """Milliseconds from before the enqueue to the start, and to the result in the caller; one job at a time."""
    subject = SUBJECTS[site.subject]
    starts, results = [], []
    with closing(subject.open(site.folder, unchanged)) as adapter, reporting_worker(site) as worker:
        _run_one(adapter, worker)
        for _ in up_to(site.count(500, least=3), seconds=5):
            pause()
            began = time.time()
            handle = adapter.enqueue(began)
            if subject.has_results:
                adapter.get(handle)
                results.append((time.time() - began) * 1000)
            starts.append(worker.next_start())
    numbers = {"start": median(starts), "start_p99": p99(starts)}
    return numbers | ({"result": median(results), "result_p99": p99(results)} if results else {})


def delay(site: Site) -> Numbers:
    """Milliseconds by which jobs with a delay of one second are late."""
    subject = SUBJECTS[site.subject]
    jobs = site.count(100, least=3)
    with closing(subject.open(site.folder, unchanged)) as adapter, reporting_worker(site) as worker:
        _run_one(adapter, worker)
        for _ in range(jobs):
            adapter.enqueue(time.time(), delay=1.0)
            time.sleep(random.uniform(0.005, 0.035))
        late = [worker.next_start() - 1000 for _ in range(jobs)]
    return {"late": median(late), "late_p99": p99(late), "earliest": min(late)}


def _run_one(adapter: Adapter, worker: Reporting) -> None:
    """See that the worker is there."""
    adapter.enqueue(time.time())
    worker.next_start()


def priority(site: Site) -> Numbers:
    """Milliseconds to the start of a job of high priority behind many of a low one, which take 1 ms each."""
    jobs = Jobs(site.url)
    with closing(jobs.mill):
        for _ in range(site.count(100)):
            jobs.mill.enqueue_many(jobs.nap.s(0.001) for _ in range(1_000))
        with taskmill_worker(site.url):
            # Until it knows how far ahead it may claim.
            time.sleep(site.seconds(1.0))
            return {"start": max(_urgent(jobs) for _ in range(site.count(20, least=2)))}


def _urgent(jobs: Jobs) -> float:
    time.sleep(random.uniform(0.02, 0.08))
    return jobs.lateness.using(priority=100).enqueue(time.time()).get(timeout=30)


def spread(site: Site) -> Numbers:
    """Seconds until eight jobs of one second have ended, with two idle worker processes of four threads."""
    jobs, seconds = Jobs(site.url), site.seconds(1.0)
    with closing(jobs.mill), taskmill_worker(site.url), taskmill_worker(site.url):
        time.sleep(0.2)
        began = time.perf_counter()
        results = [jobs.nap.enqueue(seconds) for _ in range(8)]
        for result in results:
            result.get(timeout=30)
        return {"end": time.perf_counter() - began}
