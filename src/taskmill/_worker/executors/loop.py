"""Coroutine functions, all on one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from taskmill._core.job import Claimed
from taskmill._core.outcome import Outcome, Released
from taskmill._worker.executors.base import Finished, Report, Ring

logger = logging.getLogger("taskmill.worker")

RunAsync = Callable[[Claimed, Callable[[float], Any], Callable[[], bool]], Coroutine[Any, Any, Outcome]]

# How long what is still on the loop when that closes may take to clean up.
_LAST_MOMENT = 0.5


class LoopExecutor:
    """The loop starts with the first job, so that a worker without coroutine tasks has none."""

    def __init__(
        self, coroutines: int, run: RunAsync, now: Callable[[], int], *, report: Report, ring: Ring
    ) -> None:
        self.slots = coroutines
        self._run = run
        self._report = report
        self._ring = ring
        self._now = now
        self._taken = 0
        self._reported = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._is_interrupted = False
        self._is_closing = False
        self._thread = threading.Thread(target=self._turn_loop, name="taskmill-loop", daemon=True)
        self._thread.start()

    def load(self) -> int:
        return self._taken - self._reported

    def submit(self, jobs: Sequence[Claimed]) -> None:
        self._taken += len(jobs)
        self._loop.call_soon_threadsafe(self._start, jobs)

    def withdraw(self) -> Sequence[Claimed]:
        """Nothing waits here: a coroutine starts at once."""
        return ()

    def interrupt(self) -> None:
        # By way of the loop's queue: cancelled before its first step, a job would not be reported.
        self._loop.call_soon_threadsafe(self._loop.call_soon, self._cancel_all)

    def close(self) -> None:
        """End what still runs, and the loop."""
        self._is_closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2 * _LAST_MOMENT)

    def _turn_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        # Of a name that tells whose threads they are: one that a job keeps busy can keep the process from ending.
        self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=self._thread.name))
        while not self._is_closing:
            try:
                self._loop.run_forever()
            except BaseException:  # asyncio lets SystemExit and KeyboardInterrupt of any callback through
                logger.exception("a callback of a coroutine task ended the event loop; it goes on")
        try:
            self._wind_up()
        except BaseException:
            logger.exception("a coroutine task failed while the event loop closed")
        finally:
            self._loop.close()

    def _wind_up(self) -> None:
        self._cancel_all()
        # What the jobs started besides is ended too.
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks - self._tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=_LAST_MOMENT))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    def _start(self, jobs: Sequence[Claimed]) -> None:
        for job in jobs:
            task = self._loop.create_task(self._work(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, job: Claimed) -> None:
        started_at, begun = self._now(), time.perf_counter()
        try:
            outcome = await self._run(job, asyncio.timeout, lambda: self._is_interrupted)
        except asyncio.CancelledError:
            outcome = Released()
        self._report(Finished(job, outcome, started_at, time.perf_counter() - begun))
        self._reported += 1
        self._ring()

    def _cancel_all(self) -> None:
        self._is_interrupted = True
        for task in self._tasks:
            task.cancel()
