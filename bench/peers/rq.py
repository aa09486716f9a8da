"""RQ, which forks a process for each job; a worker runs one at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue, Worker

from bench.subjects.base import Work
from bench.tally import Tally

_work: list[Work] = []
"""What `run` does, inherited by the processes of the jobs: RQ finds a function by its module and name."""


def run(sent: float) -> float:
    return _work[-1](sent)


class RqAdapter:
    def __init__(self, folder: Path, work: Work) -> None:
        _work.append(work)
        self._queue = Queue(folder.name, connection=Redis.from_url(os.environ["BENCH_REDIS_URL"]))

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        if delay:
            raise NotImplementedError("delays are not measured")
        return self._queue.enqueue(run, sent)

    def get(self, handle: Any) -> None:
        handle.latest_result(timeout=30)

    def serve(self) -> None:
        CountingWorker([self._queue]).work(logging_level="ERROR")

    def await_results(self) -> None:
        """Each is stored before the next job begins."""

    def close(self) -> None:
        self._queue.delete(delete_jobs=True)


class CountingWorker(Worker):
    """Counts where the worker is: what a job's own process counts ends with it."""

    def execute_job(self, job: Any, queue: Any) -> None:
        super().execute_job(job, queue)
        if isinstance(_work[-1], Tally):
            _work[-1](0.0)
