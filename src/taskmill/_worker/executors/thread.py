"""Plain functions, each in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from taskmill._core.job import Claimed
from taskmill._core.outcome import Outcome
from taskmill._worker.executors.base import Finished, Report, Ring


class ThreadExecutor:
    """A fixed number of daemon threads: a job that never ends must not keep the process alive."""

    def __init__(
        self,
        threads: int,
        run: Callable[[Claimed], Outcome],
        now: Callable[[], int],
        *,
        report: Report,
        ring: Ring,
    ) -> None:
        self.slots = threads
        self._run = run
        self._report = report
        self._ring = ring
        self._now = now
        self._inbox: SimpleQueue[Claimed | None] = SimpleQueue()
        self._taken = 0
        self._reported = [0] * threads
        for slot in range(threads):
            name = f"taskmill-job-{slot}"
            threading.Thread(target=self._work, args=(slot,), name=name, daemon=True).start()

    def load(self) -> int:
        return self._taken - sum(self._reported)

    def submit(self, jobs: Sequence[Claimed]) -> None:
        self._taken += len(jobs)
        for job in jobs:
            self._inbox.put(job)

    def withdraw(self) -> Sequence[Claimed]:
        jobs: list[Claimed] = []
        try:
            while (job := self._inbox.get_nowait()) is not None:
                jobs.append(job)
        except Empty:
            pass
        self._taken -= len(jobs)
        return jobs

    def interrupt(self) -> None:
        """A thread cannot be interrupted: its job goes back when the session ends, or with the process."""

    def close(self) -> None:
        for _ in range(self.slots):
            self._inbox.put(None)

    def _work(self, slot: int) -> None:
        run, now, clock, inbox = self._run, self._now, time.perf_counter, self._inbox
        report, ring = self._report, self._ring
        while (job := inbox.get()) is not None:
            started_at, begun = now(), clock()
            outcome = run(job)
            seconds = clock() - begun
            report(Finished(job, outcome, started_at, seconds))
            # Each thread counts for itself: += on a shared number would lose counts.
            self._reported[slot] += 1
            ring()
