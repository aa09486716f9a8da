"""What taskmill does on servers, held against what a bare client of theirs does in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

from bench.figures.drain import BATCH
from bench.jobs import Jobs
from bench.site import Numbers, Site
from tests import servers

ROUNDS = 5


def on_redis(site: Site) -> Numbers:
    """Enqueueing one by one beside a bare LPUSH of as many bytes, in turns and by the thousand."""
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


def _rate(call: Callable[[], object], times: int) -> float:
    call()
    began = time.perf_counter()
    for _ in range(times):
        call()
    return times / (time.perf_counter() - began)
