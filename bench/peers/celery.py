"""Celery with a pool of threads; broker and results on Redis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery

from bench.subjects.base import THREADS, Work


class CeleryAdapter:
    def __init__(self, folder: Path, work: Work) -> None:
        url = os.environ["BENCH_REDIS_URL"]
        self._app = Celery("bench", broker=url, backend=url)
        self._app.conf.task_default_queue = folder.name

        def run(sent: float) -> float:
            return work(sent)

        self._task = self._app.task(run, name="work")

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        return self._task.apply_async((sent,), countdown=delay or None)

    def get(self, handle: Any) -> None:
        handle.get(timeout=30)

    def serve(self) -> None:
        options = ["--pool=threads", f"--concurrency={THREADS}", "--loglevel=ERROR"]
        self._app.worker_main(["worker", *options])

    def await_results(self) -> None:
        """Each is stored before its thread is free again."""

    def close(self) -> None:
        self._app.control.purge()
        self._app.close()
