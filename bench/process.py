"""Worker processes that a measurement starts, and ends again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL, PIPE, Popen
from typing import IO, Any, Literal, NamedTuple

from bench.site import Numbers, Site
from bench.subjects import SUBJECTS
from bench.subjects.base import ROOT


def by_worker(site: Site, mode: Literal["drain", "count"], jobs: int) -> Numbers:
    """Let a new worker process run so many of the jobs that are there, as bench/worker.py says."""
    with _worker(site, mode, jobs, stdout=PIPE) as process:
        assert process.stdout is not None
        # A library may greet first.
        answer = next(line for line in process.stdout if line.startswith("{"))
    numbers: Numbers = json.loads(answer)
    return numbers


class Reporting(NamedTuple):
    """A worker process that says at each start of a job how many seconds ago that was enqueued."""

    pid: int
    reports: IO[str]

    def next_start(self) -> float:
        """Wait for the next one; milliseconds."""
        return float(self.reports.readline()) * 1000


@contextmanager
def reporting_worker(site: Site) -> Iterator[Reporting]:
    reading, writing = os.pipe()
    with (
        _worker(site, "report", writing, stdout=DEVNULL, pass_fds=[writing]) as process,
        os.fdopen(reading) as reports,
    ):
        os.close(writing)
        yield Reporting(process.pid, reports)


@contextmanager
def _worker(site: Site, mode: str, number: int, **options: Any) -> Iterator[Popen[str]]:
    arguments = ["bench.worker", site.subject, str(site.folder), mode, str(number)]
    with site.log.open("a") as log:
        process = SUBJECTS[site.subject].start(arguments, stderr=log, **options)
    with _killed(process):
        yield process


@contextmanager
def taskmill_worker(url: str, *options: str) -> Iterator[int]:
    """``taskmill worker`` with the tasks of bench/jobs.py, once it is ready; gives its process id."""
    command = [sys.executable, "-m", "taskmill", "worker", "bench.jobs:make_mill()", "--log-level", "error"]
    environment = os.environ | {"TASKMILL_URL": url}
    process = Popen([*command, *options], cwd=ROOT, env=environment, text=True, stderr=PIPE)
    with _killed(process):
        assert process.stderr is not None
        process.stderr.readline()
        yield process.pid


@contextmanager
def _killed(process: Popen[str]) -> Iterator[None]:
    """At the end, which no job outlives that would be of interest."""
    with process:
        try:
            yield
        finally:
            process.kill()
