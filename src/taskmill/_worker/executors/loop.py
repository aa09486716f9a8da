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
from taskmill._core.limit import Stop
from taskmill._core.outcome import Outcome, Released
from taskmill._storage.base import Slots
from taskmill._worker.executors.base import Finished, Report, Ring
from taskmill._worker.hold import Hold
from taskmill._worker.slot import JobKey

logger = logging.getLogger("taskmill.worker")

RunAsync = Callable[[Claimed, Hold], Coroutine[Any, Any, Outcome]]

# How long what is still on the loop when that closes may take to clean up.
_LAST_MOMENT = 0.5


class LoopExecutor:
    """The loop starts with the first job, so that a worker without coroutine tasks has none."""

    def __init__(
        self,
        coroutines: int,
        run: RunAsync,
        now: Callable[[], int],
        *,
        slots: Slots,
        first_slot: int,
        report: Report,
        ring: Ring,
    ) -> None:
        self.slots = coroutines
        self._noted = slots
        self._free = list(range(first_slot, first_slot + coroutines))
        self._run = run
        self._report = report
        self._ring = ring
        self._now = now
        self._taken = 0
        self._reported = 0
        # Of what has begun; only the loop's thread changes it.
        self._holds: dict[JobKey, Hold] = {}
        self._loop = asyncio.new_event_loop()
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

    def cancel(self, key: JobKey) -> bool:
        if key not in self._holds:
            return False
        self._loop.call_soon_threadsafe(self._stop, key, "cancel")
        return True

    def running(self) -> dict[Claimed, Any]:
        """What runs at this moment, with its coroutine; another thread may be a moment late."""
        return {hold.job: hold.task.get_coro() for hold in tuple(self._holds.values())}

    def interrupt(self) -> None:
        # By way of the loop's queue: cancelled before its first step, a job would not be reported.
        self._loop.call_soon_threadsafe(self._loop.call_soon, self._stop_all)

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
        self._stop_all()
        # What has not begun, and what the jobs started besides, is ended too.
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=_LAST_MOMENT))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    def _start(self, jobs: Sequence[Claimed]) -> None:
        for job in jobs:
            self._loop.create_task(self._work(job))

    async def _work(self, job: Claimed) -> None:
        started_at, begun = self._now(), time.perf_counter()
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101  (of a coroutine that runs, there is one)
        key = JobKey(job.job_id, job.fence)
        hold = self._holds[key] = Hold(job, task)
        slot = self._note(job)
        try:
            outcome = await self._run(job, hold)
        except asyncio.CancelledError:
            outcome = Released()
        self._clear(slot)
        hold.let_go()
        del self._holds[key]
        self._report(Finished(job, outcome, started_at, time.perf_counter() - begun))
        self._reported += 1
        self._ring()

    def _note(self, job: Claimed) -> int | None:
        # There is one too many at times: of a task that became a coroutine function after it was enqueued.
        slot = self._free.pop() if self._free else None
        if slot is not None:
            self._noted.note(slot, job.ref, job.fence)
        return slot

    def _clear(self, slot: int | None) -> None:
        if slot is not None:
            self._noted.clear(slot)
            self._free.append(slot)

    def _stop(self, key: JobKey, stop: Stop) -> None:
        hold = self._holds.get(key)
        if hold is not None and hold.done != stop:
            hold.stop(stop)

    def _stop_all(self) -> None:
        for hold in self._holds.values():
            hold.stop("release")
