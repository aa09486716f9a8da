"""Dramatiq with results, on Redis."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.subjects.base import THREADS, Work


class DramatiqAdapter:
    def __init__(self, folder: Path, work: Work) -> None:
        url = os.environ["BENCH_REDIS_URL"]
        self._broker = RedisBroker(url=url, namespace=folder.name)
        self._broker.add_middleware(
            Results(backend=RedisBackend(url=url, namespace=f"{folder.name}-results"))
        )
        # A message asks the global one for its result.
        dramatiq.set_broker(self._broker)
        self._actor = dramatiq.actor(work, broker=self._broker, actor_name="work", store_results=True)

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        return self._actor.send_with_options(args=(sent,), delay=round(delay * 1000) or None)

    def get(self, handle: Any) -> None:
        handle.get_result(block=True, timeout=30_000)

    def serve(self) -> None:
        dramatiq.Worker(self._broker, worker_threads=THREADS).start()
        signal.pause()

    def await_results(self) -> None:
        """Each is stored before its thread is free again."""

    def close(self) -> None:
        self._broker.flush_all()
        self._broker.close()
