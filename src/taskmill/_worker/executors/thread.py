"""Plain functions, each in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from taskmill._app.context import awaited_threads
from taskmill._core.job import Claimed
from taskmill._core.limit import Stop
from taskmill._core.outcome import Outcome
from taskmill._storage.base import Slots
from taskmill._worker.executors.base import Finished, Report, Ring
from taskmill._worker.slot import HeldSlot, JobKey, Slot, Timekeeper

# With where it stands, as the frames of a traceback.
OnStuck = Callable[[Claimed, str], None]


class ThreadSlot(HeldSlot):
    """A thread with the job that it runs; stopped by an exception, which code in C notices when it returns."""

    thread = 0

    def __init__(self, timekeeper: Timekeeper, on_stuck: OnStuck) -> None:
        super().__init__(timekeeper)
        self._on_stuck = on_stuck

    def _stop(self, held: Claimed, stop: Stop) -> bool:
        from taskmill._worker import interrupt  # noqa: PLC0415  (ctypes costs 10 ms)

        if stop == "force":
            # One that was cancelled may take its time, unless it has a limit.
            if self.stop_of(held) != "cancel":
                self._on_stuck(held, interrupt.standing_of(self.thread))
            return True
        # With a fresh turn at the interpreter, nothing moves between the look and the deed.
        time.sleep(0)
        if not interrupt.is_safe(self.thread):
            awaited_threads.add(self.thread)
            return False
        awaited_threads.discard(self.thread)
        self._note(held, stop)
        interrupt.raise_in(self.thread, interrupt.KINDS[stop])
        return True

    def _calm(self) -> None:
        awaited_threads.discard(self.thread)
        # As CPython is made today, it has arrived by now; but that is nowhere promised.
        if self._held is not None and self.stop_of(self._held) is not None:
            from taskmill._worker import interrupt  # noqa: PLC0415  (as above)

            interrupt.take_back()


class ThreadExecutor:
    """A fixed number of daemon threads: a job that never ends must not keep the process alive."""

    def __init__(
        self,
        threads: int,
        run: Callable[[Claimed, Slot], Outcome],
        now: Callable[[], int],
        *,
        timekeeper: Timekeeper,
        on_stuck: OnStuck,
        slots: Slots,
        report: Report,
        ring: Ring,
    ) -> None:
        self.slots = threads
        self._run = run
        self._noted = slots
        self._report = report
        self._ring = ring
        self._now = now
        self._inbox: SimpleQueue[Claimed | None] = SimpleQueue()
        self._taken = 0
        self._reported = [0] * threads
        self._held = [ThreadSlot(timekeeper, on_stuck) for _ in range(threads)]
        for slot in range(threads):
            name = f"taskmill-job-{slot}"
            threading.Thread(target=self._work, args=(slot,), name=name, daemon=True).start()

    def load(self) -> int:
        return self._taken - sum(self._reported)

    def has_waiting(self) -> bool:
        """Whether a job waits for a thread; then one that ends does not ring."""
        return not self._inbox.empty()

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

    def cancel(self, key: JobKey) -> bool:
        return any(slot.cancel(key) for slot in self._held)

    def running(self) -> dict[int, Claimed]:
        """What runs at this moment, by the number of the thread."""
        jobs = ((slot.thread, slot.job) for slot in self._held)
        return {thread: job for thread, job in jobs if job is not None}

    def interrupt(self) -> None:
        """End what runs Python; what is in C for longer goes back when the session ends, or with the process."""
        for slot in self._held:
            slot.release()

    def close(self) -> None:
        for _ in range(self.slots):
            self._inbox.put(None)

    def _work(self, slot: int) -> None:
        run, now, clock, inbox = self._run, self._now, time.perf_counter, self._inbox
        report, ring, held = self._report, self._ring, self._held[slot]
        note, clear = self._noted.note, self._noted.clear
        held.thread = threading.get_ident()
        while (job := inbox.get()) is not None:
            started_at, begun = now(), clock()
            note(slot, job.ref, job.fence)
            outcome = run(job, held)
            clear(slot)
            seconds = clock() - begun
            report(Finished(job, outcome, started_at, seconds))
            # Each thread counts for itself: += on a shared number would lose counts.
            self._reported[slot] += 1
            if inbox.empty():
                ring()
