"""What taskmill does on servers, held against what a bare client of theirs does in the same run.

The clients are imported where they are used: the environment of a peer, which reads the plan too, need not have them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.figures.drain import BATCH, drain
from bench.figures.latency import latency
from bench.jobs import Jobs
from bench.site import Numbers, Site

ROUNDS = 5


def on_redis(site: Site) -> Numbers:
    """Enqueueing one by one beside a bare LPUSH of as many bytes, in turns and by the thousand."""
    import redis

    from tests import servers

    with servers.redis() as server, redis.Redis.from_url(server.url) as client:
        jobs = Jobs(server.url)
        count, calls = site.count(2_000), site.count(20)
        pushed, enqueued = 0.0, 0.0
        for _ in range(ROUNDS):
            pushed += _rate(lambda: client.lpush("bare", "x" * 300), count) / ROUNDS
            enqueued += _rate(jobs.nothing.enqueue, count) / ROUNDS
        many = _rate(lambda: jobs.mill.enqueue_many(jobs.nothing.s() for _ in range(BATCH)), calls) * BATCH
        jobs.mill.close()
        return {"one": enqueued, "share": enqueued / pushed, "many": many}


def on_postgres(site: Site) -> Numbers:
    """The same beside a bare durable insert of as many bytes; and how fast jobs run, start and end there."""
    import psycopg

    with _postgres_beside(site) as there, psycopg.connect(there.url, autocommit=True) as client:
        client.execute(
            "create table bare (number bigint generated always as identity primary key, text text)"
        )
        jobs = Jobs(there.url)
        count, calls = site.count(400), site.count(50)
        inserted, enqueued = 0.0, 0.0
        for _ in range(ROUNDS):
            inserted += _rate(
                lambda: client.execute("insert into bare (text) values (%s)", ["x" * 300]), count
            )
            enqueued += _rate(jobs.nothing.enqueue, count)
        many = _rate(lambda: jobs.mill.enqueue_many(jobs.nothing.s() for _ in range(BATCH)), calls) * BATCH
        jobs.mill.close()
        return {
            "one": enqueued / ROUNDS,
            "share": enqueued / inserted,
            "many": many,
            "drain": drain(there.part("drain"))["rate"],
            **latency(there.part("latency")),
        }


@contextmanager
def _postgres_beside(site: Site) -> Iterator[Site]:
    """The same site on a PostgreSQL of its own, durable as it is by default."""
    from tests import servers

    with servers.postgres() as server:
        os.environ["BENCH_POSTGRES_URL"] = server.url
        yield replace(site, subject="taskmill-postgres")


def _rate(call: Callable[[], object], times: int) -> float:
    call()
    began = time.perf_counter()
    for _ in range(times):
        call()
    return times / (time.perf_counter() - began)
