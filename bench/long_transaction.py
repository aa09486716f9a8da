"""What jobs cost on PostgreSQL while a transaction stays open beside them: nothing that is dead can be cleared away."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import psycopg

from bench.figures.drain import BATCH
from bench.report import markdown, number
from bench.statistic import median, p99, timed
from taskmill import Mill, Task
from taskmill._core import lifecycle
from taskmill._core.lifecycle import Settlement
from taskmill._core.outcome import Succeeded
from taskmill._storage.base import Storage
from tests import servers

PARTS = 5
TURN = 100


class Part(NamedTuple):
    """A fifth of the time: how many jobs, in how many seconds, and the milliseconds of each turn."""

    jobs: int
    seconds: float
    turns: Sequence[float]


def tell(minutes: float) -> str:
    """The table of a run of so many minutes, a row for each fifth."""
    with servers.postgres() as server, psycopg.connect(f"{server.url}/postgres") as holder:
        with closing(Mill(f"{server.url}/postgres")) as mill:
            mill.app.storage.version()
            holder.execute("set transaction isolation level repeatable read")
            holder.execute("select count(*) from taskmill.job")
            parts = list(_parts(mill, minutes * 60 / PARTS))
        rows = [
            [
                f"{(index + 1) * minutes / PARTS:g}",
                number(sum(part.jobs for part in parts[: index + 1])),
                number(part.jobs / part.seconds),
                number(median(part.turns)),
                number(p99(part.turns)),
            ]
            for index, part in enumerate(parts)
        ]
    head = ["until minute", "jobs that have ended", "jobs/s", f"a turn of {TURN}, p50 ms", "p99 ms"]
    return "\n".join(markdown(head, rows))


def _parts(mill: Mill, seconds: float) -> Iterator[Part]:
    work: Task[[], None] = mill.task(name="work")(lambda: None)
    storage = mill.app.storage
    worker = _Worker(storage, storage.sessions.open(kind="worker", lease=mill.app.lease * 1_000))
    for index in range(PARTS):
        print(f"{index + 1}/{PARTS}", file=sys.stderr, flush=True)
        began, jobs, turns = time.monotonic(), 0, list[float]()
        while (taken := time.monotonic() - began) < seconds:
            mill.enqueue_many(work.s() for _ in range(BATCH))
            turns += [timed(worker.turn) for _ in range(BATCH // TURN)]
            jobs += BATCH
        yield Part(jobs, taken, turns)


class _Worker:
    """Settles and claims, as one does, and runs nothing."""

    def __init__(self, storage: Storage, session: int) -> None:
        self._storage = storage
        self._session = session
        self._claims = 0
        self._held: list[Settlement] = []

    def turn(self) -> None:
        self._claims += 1
        done = self._storage.jobs.turn(
            self._session,
            self._held,
            claim=self._claims,
            wants={"thread": TURN, "asyncio": TURN},
            queues=None,
        )
        succeeded = lifecycle.succeed(Succeeded("null"))
        self._held = [Settlement(claimed, succeeded, claimed.ref) for claimed in done.claimed]
