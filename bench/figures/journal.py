"""What it costs that the log lines of jobs are kept with them."""

from __future__ import annotations

import logging
from contextlib import closing

from bench.figures.drain import fill
from bench.site import Numbers, Site
from bench.statistic import median
from bench.subjects.base import THREADS
from bench.subjects.taskmill import await_results
from bench.tally import Tally
from taskmill import Mill

_ROUNDS = 10

logger = logging.getLogger("bench")


def journal(site: Site) -> Numbers:
    """The rate of a drain with log lines kept, as a share of that without, of jobs that log nothing and one line."""
    # Nobody prints them: there is no handler, and the one of last resort begins with warnings.
    logger.setLevel(logging.INFO)
    jobs = site.count(10_000, least=100)
    shares: dict[str, list[float]] = {"quiet": [], "line": []}
    for number in range(site.count(_ROUNDS, least=1)):
        for kind, found in shares.items():
            rates = {}
            # Each is the first one in every other round.
            for job_logs in ("info", "off") if number % 2 else ("off", "info"):
                part = site.part(f"{kind}-{number}-{job_logs}")
                rates[job_logs] = _rate(part, jobs, job_logs, logs=kind == "line")
            found.append(rates["info"] / rates["off"])
    return {kind: median(found) for kind, found in shares.items()}


def _rate(site: Site, jobs: int, job_logs: str, *, logs: bool) -> float:
    fill(site, jobs)
    tally = Tally(jobs)

    def work(sent: float) -> float:
        if logs:
            logger.info("one line")
        return tally(sent)

    with closing(Mill(site.url)) as mill:
        mill.task(name="work")(work)
        with mill.worker(threads=THREADS, job_logs=job_logs):
            tally.is_complete.wait()
            await_results(mill)
            tally.end()
    return tally.numbers()["rate"]
