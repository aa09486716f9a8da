"""taskmill with its defaults, over each of its stores."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.site import store_url
from bench.subjects.base import THREADS, Work
from taskmill import Mill, State
from taskmill._core.filter import Filter


def await_results(mill: Mill) -> None:
    """Return when no job is running in the store."""
    while mill.app.storage.inspection.find(Filter(states=[State.RUNNING]), limit=1):
        time.sleep(0.001)


def on_sqlite(folder: Path, work: Work) -> TaskmillAdapter:
    return TaskmillAdapter(store_url(folder, "taskmill"), work)


def on_postgres(folder: Path, work: Work) -> TaskmillAdapter:
    return TaskmillAdapter(store_url(folder, "taskmill-postgres"), work)


def on_redis(folder: Path, work: Work) -> TaskmillAdapter:
    return TaskmillAdapter(store_url(folder, "taskmill-redis"), work)


class TaskmillAdapter:
    def __init__(self, url: str, work: Work) -> None:
        self._mill = Mill(url)
        self._task = self._mill.task(name="work")(work)

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        return self._task.using(delay=delay).enqueue(sent) if delay else self._task.enqueue(sent)

    def get(self, handle: Any) -> None:
        handle.get(timeout=30)

    def serve(self) -> None:
        self._mill.worker(threads=THREADS).run()

    def await_results(self) -> None:
        await_results(self._mill)

    def close(self) -> None:
        self._mill.close()
