"""One turn of one subject; prints its figures as JSON. Run by run.py.

``subject.py SUBJECT FOLDER JOBS SAMPLES`` measures; ``subject.py SUBJECT FOLDER worker`` is the worker that it starts
in another process for the latencies.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

THREADS = 4


class Subject(Protocol):
    """What both libraries are asked to do."""

    def enqueue(self, *arguments: Any) -> Any: ...
    def get(self, handle: Any) -> Any: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Counter:
    """Counts the jobs that ran and tells when all have."""

    def __init__(self, goal: int) -> None:
        self._left = list(range(goal))
        self.is_done = threading.Event()

    def __call__(self) -> None:
        # list.pop is atomic: no lock of ours weighs on either subject.
        self._left.pop()
        if not self._left:
            self.is_done.set()


class TaskmillSubject:
    """With its defaults: synchronous=FULL."""

    def __init__(self, folder: Path, work: Callable[[float], float]) -> None:
        from taskmill import Mill

        self.mill = Mill(f"sqlite:///{folder}/taskmill.db")
        self.task = self.mill.task(name="work")(work)
        self.worker = self.mill.worker(threads=THREADS)

    def enqueue(self, *arguments: Any) -> Any:
        return self.task.enqueue(*arguments)

    def get(self, handle: Any) -> Any:
        return handle.get(timeout=30)

    def start(self) -> None:
        self.worker.start()

    def stop(self) -> None:
        self.worker.stop()


class HueySubject:
    """With its defaults, or with fsync off, which can lose acknowledged jobs in a power cut."""

    def __init__(self, folder: Path, work: Callable[[float], float], *, fsync: bool) -> None:
        from huey import SqliteHuey

        self.huey = SqliteHuey("bench", filename=f"{folder}/huey.db", fsync=fsync)
        self.task = self.huey.task(name="work")(work)
        self.consumer = self.huey.create_consumer(workers=THREADS, periodic=False)

    def enqueue(self, *arguments: Any) -> Any:
        return self.task(*arguments)

    def get(self, handle: Any) -> Any:
        return handle.get(blocking=True, timeout=30)

    def start(self) -> None:
        self.consumer.start()

    def stop(self) -> None:
        self.consumer.stop(graceful=True)


def make(subject: str, folder: Path, work: Callable[[float], float]) -> Subject:
    if subject == "taskmill":
        return TaskmillSubject(folder, work)
    return HueySubject(folder, work, fsync=subject == "huey")


def throughput(subject: str, folder: Path, jobs: int) -> dict[str, float]:
    """Enqueue one by one, then drain with a worker of this process."""
    counter = Counter(jobs)

    def work(sent: float) -> float:
        counter()
        return sent

    subject_ = make(subject, folder, work)
    begun = time.perf_counter()
    for _ in range(jobs):
        subject_.enqueue(1.0)
    enqueued = time.perf_counter()
    subject_.start()
    counter.is_done.wait()
    drained = time.perf_counter()
    subject_.stop()
    return {"enqueue": jobs / (enqueued - begun), "drain": jobs / (drained - enqueued)}


def lateness(sent: float) -> float:
    return time.time() - sent


def latency(subject: str, folder: Path, samples: int) -> dict[str, float]:
    """One job at a time for an idle worker of another process."""
    worker = subprocess.Popen(
        [sys.executable, __file__, subject, str(folder), "worker"], stdin=subprocess.PIPE
    )
    subject_ = make(subject, folder, lateness)
    subject_.get(subject_.enqueue(time.time()))
    starts, results = [], []
    for _ in range(samples):
        begun = time.time()
        starts.append(subject_.get(subject_.enqueue(begun)))
        results.append(time.time() - begun)
        time.sleep(0.005)
    worker.communicate()
    return {"start": statistics.median(starts) * 1000, "result": statistics.median(results) * 1000}


def serve(subject: str, folder: Path) -> None:
    """A worker until standard input closes."""
    subject_ = make(subject, folder, lateness)
    subject_.start()
    sys.stdin.read()
    subject_.stop()


def main() -> None:
    subject, folder, *rest = sys.argv[1:]
    if rest == ["worker"]:
        serve(subject, Path(folder))
        return
    jobs, samples = map(int, rest)
    (idle := Path(folder) / "idle").mkdir()
    print(json.dumps(throughput(subject, Path(folder), jobs) | latency(subject, idle, samples)))


if __name__ == "__main__":
    main()
