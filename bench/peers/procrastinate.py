"""procrastinate: no results, and `def` tasks run in threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from procrastinate import App, PsycopgConnector

from bench.databases import database
from bench.peers.postgres import has_table
from bench.subjects.base import THREADS, Work


class ProcrastinateAdapter:
    def __init__(self, folder: Path, work: Work) -> None:
        url = database(folder)
        self._app = App(connector=PsycopgConnector(conninfo=url))
        self._app.open()
        if not has_table(url, "procrastinate_jobs"):
            self._app.schema_manager.apply_schema()

        def run(sent: float) -> float:
            return work(sent)

        self._task = self._app.task(name="work")(run)

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        task = self._task.configure(schedule_in={"seconds": delay}) if delay else self._task
        return task.defer(sent=sent)

    def get(self, handle: Any) -> None:
        raise NotImplementedError("there are no results")

    def serve(self) -> None:
        self._app.run_worker(concurrency=THREADS)

    def await_results(self) -> None:
        """There are none."""

    def close(self) -> None:
        self._app.close()
