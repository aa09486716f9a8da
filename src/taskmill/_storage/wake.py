"""Who wants to know that jobs came in or ended.

A hint, never the truth: whoever waits looks again after `patience` seconds, rung or not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Literal

Ring = Callable[[], None]
# What a resting worker has room for: jobs of some executors, or of all that it has.
Room = Literal["some", "all"]

# A ring that got lost costs so many seconds at most.
PATIENCE = 1.0


class Wake:
    """Callbacks for "there may be jobs to claim" and "this job ended or is gone"; they must not block or raise.

    This one reaches the threads of its process, which is all that a store in memory needs.
    """

    def __init__(self) -> None:
        # A signal handler may interrupt the thread that has it.
        self._mutex = threading.RLock()
        self._workers: list[Ring] = []
        self._resting: dict[Ring, Room] = {}
        self._waiters: dict[str, list[Ring]] = {}

    @property
    def patience(self) -> float:
        """Seconds after which those who wait should look again."""
        return PATIENCE

    def on_jobs(self, ring: Ring) -> Callable[[], None]:
        """Call *ring* when jobs may have become claimable; returns the way to stop that."""
        with self._mutex:
            self._workers.append(ring)
        return lambda: self._workers.remove(ring)

    def on_end(self, job_id: str, ring: Ring) -> Callable[[], None]:
        """Call *ring* when the job ends; returns the way to stop that, which must be called."""
        with self._mutex:
            self._waiters.setdefault(job_id, []).append(ring)

        def forget() -> None:
            with self._mutex:
                rings = self._waiters[job_id]
                rings.remove(ring)
                if not rings:
                    del self._waiters[job_id]

        return forget

    def rest(self, ring: Ring, room: Room) -> None:
        """The worker behind *ring* has room and nothing to do. It must look at the store once more after this."""
        with self._mutex:
            self._resting[ring] = room

    def rise(self, ring: Ring) -> None:
        """It rests no longer."""
        with self._mutex:
            del self._resting[ring]

    def jobs_added(self) -> None:
        """There may be jobs to claim: ring one worker that has room for any, or, where there is none, all."""
        if not self._ring_free():
            self._ring_all()

    def jobs_left(self) -> None:
        """A worker left due jobs to others: ring one that rests and has room for any."""
        self._ring_free()

    def jobs_ended(self, job_ids: Collection[str]) -> None:
        """Ring who waits for these jobs."""
        if not self._waiters:
            return
        with self._mutex:
            rings = [ring for job_id in job_ids for ring in self._waiters.get(job_id, ())]
        for ring in rings:
            ring()

    def _ring_free(self) -> bool:
        """Ring one worker that rests and has room for any job; False if there is none."""
        if not self._resting:
            return False
        with self._mutex:
            free = next((ring for ring, room in self._resting.items() if room == "all"), None)
        if free is None:
            return False
        free()
        return True

    def _ring_all(self) -> None:
        for ring in tuple(self._workers):
            ring()

    def close(self) -> None:
        """Let go of what reaches other processes; the next who waits takes it up again."""
