"""Huey with its defaults, with fsync off (which can lose acknowledged jobs in a power cut), and on Redis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from huey import RedisHuey, SqliteHuey

from bench.subjects.base import THREADS, Work


class HueyAdapter:
    def __init__(self, huey: Any, work: Work) -> None:
        self._huey = huey

        # Huey knows a task by the module of its function as well, which must be the same in all processes.
        def run(sent: float) -> float:
            return work(sent)

        self._task = huey.task(name="work")(run)

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        return self._task.schedule((sent,), delay=delay) if delay else self._task(sent)

    def get(self, handle: Any) -> None:
        handle.get(blocking=True, timeout=30)

    def serve(self) -> None:
        self._huey.create_consumer(workers=THREADS, periodic=False).run()

    def await_results(self) -> None:
        """A thread stores each before it takes the next job, so at most four are not there yet."""

    def close(self) -> None:
        self._huey.storage.flush_all()


def on_sqlite(folder: Path, work: Work) -> HueyAdapter:
    return HueyAdapter(SqliteHuey("bench", filename=f"{folder}/huey.db"), work)


def on_sqlite_without_fsync(folder: Path, work: Work) -> HueyAdapter:
    return HueyAdapter(SqliteHuey("bench", filename=f"{folder}/huey.db", fsync=False), work)


def on_redis(folder: Path, work: Work) -> HueyAdapter:
    # The folder's name keeps the figures of one server apart.
    return HueyAdapter(RedisHuey(folder.name, url=os.environ["BENCH_REDIS_URL"]), work)
