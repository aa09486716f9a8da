"""Tells coroutines that jobs have ended: one thread that looks, for as many as wait."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmill.errors import StoreError

if TYPE_CHECKING:
    from taskmill._storage.base import Storage

Ring = Callable[[], None]

_SHARE = 4
"""A look at very many jobs takes long; then rest so many times longer."""


class EndWatch:
    """Rings when a job has ended or is gone, or the store is in trouble: who is rung looks for itself."""

    def __init__(self, storage: Callable[[], Storage]) -> None:
        self._storage = storage
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._rings: dict[str, list[Ring]] = {}
        self._thread: threading.Thread | None = None

    def add(self, job_id: str, ring: Ring) -> Callable[[], None]:
        """Call *ring*, from any thread, when the job ends; returns the way to stop that, to be called."""
        if self._pid != os.getpid():
            self._begin()  # a fork took along who waited, but not the thread that looked
        forget_wake = self._storage().wake.on_end(job_id, ring)
        with self._mutex:
            self._rings.setdefault(job_id, []).append(ring)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="taskmill-results", daemon=True)
                self._thread.start()

        def forget() -> None:
            forget_wake()
            with self._mutex:
                self._rings[job_id].remove(ring)
                if not self._rings[job_id]:
                    del self._rings[job_id]

        return forget

    def _look(self) -> None:
        pause = self._patience()
        while True:
            time.sleep(pause)
            with self._mutex:
                if not self._rings:
                    self._thread = None
                    return
                job_ids = tuple(self._rings)
            began_at = time.monotonic()
            for job_id in job_ids:
                if self._is_worth_a_look(job_id):
                    self._ring(job_id)
            pause = max(self._patience(), _SHARE * (time.monotonic() - began_at))

    def _patience(self) -> float:
        return self._storage().wake.patience

    def _is_worth_a_look(self, job_id: str) -> bool:
        try:
            outcome = self._storage().inspection.outcome(job_id)
        except StoreError:
            return True
        return outcome is None or outcome.state.is_final

    def _ring(self, job_id: str) -> None:
        with self._mutex:
            rings = tuple(self._rings.get(job_id, ()))
        for ring in rings:
            ring()
