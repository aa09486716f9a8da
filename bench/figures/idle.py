"""What a worker costs that has nothing to do, and what the import does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.jobs import Jobs
from bench.process import reporting_worker, taskmill_worker
from bench.site import Numbers, Site
from bench.statistic import median, timed
from bench.subjects import SUBJECTS
from bench.subjects.base import unchanged

MEGABYTE = 1_000_000


def idle(site: Site) -> Numbers:
    """Percent of a core, and memory in MB: resident, and what no other process shares."""
    with _idle_worker(site) as pid:
        time.sleep(site.seconds(1.0))
        began, used = time.perf_counter(), _cpu_time(pid)
        time.sleep(site.seconds(5.0))
        cpu = (_cpu_time(pid) - used) / (time.perf_counter() - began)
        memory = _memory(pid)
    return {"cpu": cpu * 100, "rss": memory["Rss"], "uss": memory["Private_Clean"] + memory["Private_Dirty"]}


@contextmanager
def _idle_worker(site: Site) -> Iterator[int]:
    """A worker that has run a job: of taskmill the one that a user starts."""
    if site.subject == "taskmill":
        jobs = Jobs(site.url)
        with closing(jobs.mill), taskmill_worker(site.url) as pid:
            jobs.nothing.enqueue().get(timeout=30)
            yield _child_of(pid)
    else:
        opened = SUBJECTS[site.subject].open(site.folder, unchanged)
        with closing(opened) as adapter, reporting_worker(site) as worker:
            adapter.enqueue(time.time())
            worker.next_start()
            yield worker.pid


def _child_of(pid: int) -> int:
    """The process that runs jobs; its supervisor needs less of everything."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])


def _cpu_time(pid: int) -> float:
    # clock_getcpuclockid(3) for another process: its figures in /proc count in steps of 10 ms.
    return time.clock_gettime(~pid << 3 | 2)


def _memory(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    parts = (line.split() for line in lines)
    return {name.rstrip(":"): int(size) * 1024 / MEGABYTE for name, size, *_ in parts}


def start_up(site: Site) -> Numbers:
    """Milliseconds that the import takes beyond a bare Python."""
    module = site.subject.partition("-")[0]
    pairs = [(_run(f"import {module}"), _run("pass")) for _ in range(site.count(15, least=2))]
    return {"time": median([whole - bare for whole, bare in pairs])}


def _run(code: str) -> float:
    # With its bytecode at hand, as an installed package has it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment))
