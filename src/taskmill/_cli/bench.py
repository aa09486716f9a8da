"""``taskmill bench``: how fast a store is, where it is."""

from __future__ import annotations

import math
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from taskmill._app.task import Enqueueable
from taskmill._cli import exit_code, store
from taskmill._cli.output import put_json, put_lines, terminal_width
from taskmill._cli.parser import Parser, positive
from taskmill._cli.text import Column, table
from taskmill._core.wording import clean
from taskmill._storage.base import Storage
from taskmill._storage.urls import shown
from taskmill.mill import Mill

_COLUMNS = (Column("FIGURE"), Column("VALUE", to_right=True))
_BATCH = 1_000
_SAMPLES = 200
_BLOCK = b"x" * 4096
_PATIENCE = 30.0
# Nothing but `taskmill bench` has such a queue.
_QUEUE = "taskmill-bench-"
_FAR_OFF = 24 * 60 * 60.0


class Figures(NamedTuple):
    """Durations in seconds, rates in jobs a second; None where it was not measured."""

    sync_seconds: float | None
    enqueue_per_second: float
    enqueue_many_per_second: float
    drain_per_second: float | None
    result_p50_seconds: float | None
    result_p99_seconds: float | None


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Measure a store: enqueueing, running, waiting for results. The jobs have a queue of their own and are deleted "
        "afterwards, also on Ctrl-C; no other job is touched. While workers serve the store, which might take these "
        "jobs, only enqueueing is measured.",
        example='  taskmill bench\n  taskmill bench --url "sqlite:///jobs.db?durability=normal" --jobs 20000',
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=5_000,
        metavar="N",
        help="how many for each rate",
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Measure, delete what was needed for it, and tell."""
    with store.open_app(arguments) as app:
        queue = _QUEUE + secrets.token_hex(4)
        print(
            clean(f"measuring {shown(app.storage.url)}; the jobs in queue {queue!r} are deleted afterwards"),
            file=sys.stderr,
            flush=True,
        )
        with _own_mill(app.url, queue) as mill:
            figures = _measure(mill, queue, arguments.jobs)
    if arguments.json:
        put_json({"queue": queue, "jobs": arguments.jobs} | figures._asdict())
    else:
        put_lines(table(_COLUMNS, _rows(figures), terminal_width()))
    return exit_code.OK


@contextmanager
def _own_mill(url: str, queue: str) -> Iterator[Mill]:
    """One without the application's handlers; at the end, nothing is left in the queue."""
    mill = Mill(url)
    try:
        yield mill
    finally:
        for ended in (False, True):
            mill.purge(queue=queue, ended=ended)
        mill.close()


def _measure(mill: Mill, queue: str, jobs: int) -> Figures:
    starts: list[float] = []

    def work() -> None:
        starts.append(time.perf_counter())

    task = mill.task(name="taskmill bench", queue=queue)(work)
    workers = _workers(mill.app.storage)
    # A worker that does not know the task would give its jobs back, and warn of them; so none is due for it.
    call = task.using(delay=_FAR_OFF) if workers else task
    stored = (_sync_time(mill.app.storage), _enqueue(call, jobs), _enqueue_many(mill, call, jobs))
    if workers:
        print(
            f"only enqueueing is measured: a worker serves this store, process {workers[0]}",
            file=sys.stderr,
            flush=True,
        )
        return Figures(*stored, None, None, None)
    with mill.worker(queues=[queue], burst=True):
        pass
    drained = (len(starts) - 1) / (max(starts) - min(starts)) if len(starts) > 1 else None
    return Figures(*stored, drained, *_results(mill, task, queue))


def _workers(storage: Storage) -> list[int]:
    """The processes of the workers that live."""
    storage.jobs.rescue()
    return [session.pid for session in storage.inspection.sessions() if session.kind == "worker"]


def _sync_time(storage: Storage) -> float | None:
    """The median of durable writes of a page, beside the store's file, where it is one."""
    if not storage.url.startswith("sqlite:"):
        return None
    with tempfile.TemporaryFile(dir=Path(storage.url.removeprefix("sqlite:///")).parent) as file:

        def write() -> None:
            os.pwrite(file.fileno(), _BLOCK, 0)
            os.fsync(file.fileno())

        return _percentile([_timed(write) for _ in range(_SAMPLES)], 0.5)


def _enqueue(call: Enqueueable[[], None], jobs: int) -> float:
    def enqueue() -> None:
        for _ in range(jobs):
            call.enqueue()

    return jobs / _timed(enqueue)


def _enqueue_many(mill: Mill, call: Enqueueable[[], None], jobs: int) -> float:
    def enqueue() -> None:
        for first in range(0, jobs, _BATCH):
            mill.enqueue_many(call.s() for _ in range(first, min(first + _BATCH, jobs)))

    return jobs / _timed(enqueue)


def _results(mill: Mill, task: Enqueueable[[], None], queue: str) -> tuple[float, float]:
    """From before the enqueue to the result, one job at a time, with a worker of this process: p50 and p99."""
    with mill.worker(queues=[queue]):
        times = [_timed(lambda: task.enqueue().get(_PATIENCE)) for _ in range(_SAMPLES)]
    return _percentile(times, 0.5), _percentile(times, 0.99)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _percentile(samples: Sequence[float], share: float) -> float:
    return sorted(samples)[math.ceil(len(samples) * share) - 1]


def _rows(figures: Figures) -> Iterator[tuple[str, str]]:
    yield "sync of the disk, p50", _milliseconds(figures.sync_seconds)
    yield "enqueue, one by one", _rate(figures.enqueue_per_second)
    yield f"enqueue_many, {_BATCH:,} a call", _rate(figures.enqueue_many_per_second)
    yield "drain, 4 threads", _rate(figures.drain_per_second)
    yield "enqueue to result, p50", _milliseconds(figures.result_p50_seconds)
    yield "enqueue to result, p99", _milliseconds(figures.result_p99_seconds)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f} ms"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.0f} jobs/s"
