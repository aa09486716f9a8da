"""pgqueuer: no results; its tasks are coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from bench.databases import database
from bench.peers.postgres import has_table
from bench.subjects.base import Work

BATCH = 100


class PgqueuerAdapter:
    def __init__(self, folder: Path, work: Work) -> None:
        self._url, self._work = database(folder), work
        self._turn, self._loop = threading.Lock(), asyncio.new_event_loop()
        self._queries = self._run(self._connect())

    async def _connect(self) -> Queries:
        self._driver = AsyncpgDriver(await asyncpg.connect(self._url))
        queries = Queries(self._driver)
        if not has_table(self._url, "pgqueuer"):
            await queries.install()
        return queries

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with self._turn:
            return self._loop.run_until_complete(coroutine)

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        return self._run(
            self._queries.enqueue("work", repr(sent).encode(), execute_after=timedelta(seconds=delay))
        )

    def get(self, handle: Any) -> None:
        raise NotImplementedError("there are no results")

    def serve(self) -> None:
        self._run(self._serve())

    async def _serve(self) -> None:
        worker = PgQueuer(self._driver)

        @worker.entrypoint("work")
        async def run(job: Any) -> None:
            self._work(float(job.payload))

        await worker.run(batch_size=BATCH)

    def await_results(self) -> None:
        """There are none."""

    def close(self) -> None:
        self._loop.close()
