"""Room for one job, and the hold by which the job in it is stopped: at its limits, or when it is cancelled."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from taskmill._core.job import Claimed
from taskmill._core.limit import (
    Limits,
    Step,
    Stop,
    steps_after,
    steps_instead,
    steps_of,
    steps_of_cancel,
    steps_of_release,
)
from taskmill._storage.base import Slots
from taskmill._worker.bell import Bell

# A job that cannot be stopped where it is right now is looked at again after so many seconds, later after more.
_SOON, _SELDOM = 0.005, 0.05


def next_pause(pause: float) -> float:
    """How long to wait before the next try to stop a job, after *pause* before the last; 0.0 if that was the first."""
    return min(pause * 1.2 or _SOON, _SELDOM)


class LastingSlots(Slots):
    """Those of a process that runs one job at a time: what was noted stays, though it has ended.

    Until that is recorded, the job can still take the process down, by a thread that it has left behind for one.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def note(self, slot: int, ref: int, fence: int) -> None:
        self._slots.note(slot, ref, fence)

    def clear(self, slot: int) -> None:
        """Nothing: the next note takes its place."""


class JobKey(NamedTuple):
    """One claim of one job."""

    job_id: str
    fence: int


class Slot:
    """What an attempt tells of its job, and nobody hears: the job in it cannot be stopped.

    The attempt writes `job` when its function is called and None when that is over. Then it looks at `is_touched`, and
    calls `let_go` if something was, or is about to be, done to the job.
    """

    def __init__(self) -> None:
        self.job: Claimed | None = None
        self.is_touched = False

    def expect(self, limits: Limits) -> None:
        """Hold the job to its time limits, from now on."""

    def let_go(self) -> None:
        """Return when nothing is done to the job any more."""

    def stop_of(self, _claimed: Claimed) -> Stop | None:
        """What was last done to that job to stop it."""
        return None


UNHELD = Slot()


class HeldSlot(Slot):
    """One whose job can be stopped, by the timekeeper and step by step.

    The two sides never miss each other: the timekeeper writes `is_touched` before it looks at `job`, the attempt
    clears `job` before it looks at `is_touched`. So whoever is stopped waits here until that is done with, and no
    job is stopped for the one before it. An attempt whose job nobody touches takes no lock.
    """

    def __init__(self, timekeeper: Timekeeper) -> None:
        super().__init__()
        self._timekeeper = timekeeper
        self._mutex = threading.Lock()
        self._held: Claimed | None = None
        self._steps: list[Step] = []
        # Until the next try of a step that could not be carried out; 0.0 if it was not tried yet.
        self._pause = 0.0
        self._done: tuple[Claimed, Stop] | None = None
        timekeeper.add(self)

    # --- the attempt's side

    def expect(self, limits: Limits) -> None:
        steps = steps_of(limits, time.monotonic())
        with self._mutex:
            # Cancelled already, it has those steps before it.
            self._steps = sorted([*steps, *self._steps]) if self._held is self.job else steps
            self._held = self.job
            self.is_touched = True
        if steps:
            self._timekeeper.expect(steps[0].at)

    def let_go(self) -> None:
        self.job = None
        with self._mutex:
            self._calm()
            self._held, self._steps, self._pause = None, [], 0.0
            self.is_touched = False

    def stop_of(self, claimed: Claimed) -> Stop | None:
        done = self._done
        return done[1] if done is not None and done[0] is claimed else None

    # --- the side of who stops it

    def cancel(self, key: JobKey) -> bool:
        """Stop the job, if it is in here: whether it is."""
        job = self.job
        if job is None or (job.job_id, job.fence) != key:
            return False
        self._plan(job, "cancel", steps_of_cancel)
        return True

    def release(self) -> None:
        """Stop the job that is in here, if there is one, so that it can be given back."""
        job = self.job
        if job is not None:
            self._plan(job, "release", steps_of_release)

    def _plan(self, job: Claimed, stop: Stop, steps_of_it: Callable[[list[Step], float], list[Step]]) -> None:
        """Have it stopped now for that reason, if that is new."""
        with self._mutex:
            steps = self._steps if self._held is job else []
            is_new = self.stop_of(job) != stop and all(step.stop != stop for step in steps)
            if is_new:
                self._held, self._steps = job, steps_of_it(steps, time.monotonic())
                self.is_touched = True
        if is_new:
            self._timekeeper.expect(0)

    def carry_out(self, now: float) -> float:
        """Do what is due; when to come again."""
        with self._mutex:
            while self._steps and self._steps[0].at <= now:
                self.is_touched = True
                held = self._held
                if held is None or self.job is not held:
                    self._steps = []
                elif self._stop(held, self._steps[0].stop):
                    # Code in C may have had the interpreter since *now*: what comes next counts from here.
                    self._steps = steps_after(self._steps, max(now, time.monotonic()))
                    self._pause = 0.0
                elif not self._is_replaced(now):
                    return now + self._pause
            return self._steps[0].at if self._steps else math.inf

    def _is_replaced(self, now: float) -> bool:
        """Whether another step takes the place of the first, which could not be carried out."""
        if not self._pause:
            # However late the first try is, it is not the last one.
            self._steps = [self._steps[0], *steps_after(self._steps, max(now, time.monotonic()))]
        self._pause = next_pause(self._pause)
        left = steps_instead(self._steps, now)
        is_replaced = left != self._steps
        if is_replaced:
            self._steps, self._pause = left, 0.0
        return is_replaced

    def _note(self, held: Claimed, stop: Stop) -> None:
        self._done = (held, stop)

    def _stop(self, held: Claimed, stop: Stop) -> bool:
        """Do it; False if that is not possible at this moment."""
        raise NotImplementedError

    def _calm(self) -> None:
        """Take back what was done and has not had its effect yet; the job is over."""


class Timekeeper:
    """Carries out the steps of all slots of a worker, exact to a few milliseconds.

    Its thread begins with the first job that has a limit or is cancelled: without such jobs there is none.
    """

    def __init__(self) -> None:
        self._slots: list[HeldSlot] = []
        self._next_at = math.inf
        self._bell = Bell()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def add(self, slot: HeldSlot) -> None:
        """Look after that slot too."""
        self._slots.append(slot)

    def expect(self, at: float) -> None:
        """Something is to be done at that time."""
        # Read without a lock: while the thread looks round, it says "inf", so that it is rung for anything.
        if at < self._next_at:
            self._bell.ring()
            if self._thread is None:
                self._start()

    def close(self) -> None:
        """End the thread; what is still to be done is left."""
        self._is_closed = True
        self._bell.ring()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._keep, name="taskmill-limits", daemon=True)
                self._thread.start()

    def _keep(self) -> None:
        while not self._is_closed:
            self._bell.clear()
            self._next_at = math.inf
            now = time.monotonic()
            self._next_at = min(slot.carry_out(now) for slot in self._slots)
            rest = self._next_at - time.monotonic()
            if rest > 0:
                self._bell.wait(min(rest, threading.TIMEOUT_MAX))
