"""A queue moves house while a worker works on each side, and the mover is killed after each of its calls."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from taskmill import Mill
from taskmill._core.identity import new_job_id
from tests.crash.forking import KILLED, NEVER, outcome
from tests.crash.site import figures
from tests.worker.builders import wait_for

# A process that forks one mover for each line it is given, which is killed after so many calls of the stores.
MOVERS = """
import os, signal, sys
from taskmill._app import moving
from taskmill._storage.open import open_storage
import taskmill._storage.sqlite.storage, taskmill._storage.postgres.storage, taskmill._storage.redis.storage

moving._CRATE = 2

class Counted:
    left = 0

    def __init__(self, role):
        self.role = role

    def __getattr__(self, name):
        def call(*arguments, **options):
            answer = getattr(self.role, name)(*arguments, **options)
            Counted.left -= 1
            if Counted.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        return call

def move(calls):
    Counted.left = calls
    stores = [open_storage(url) for url in sys.argv[1:]]
    for store in stores:
        for name in ("transfer", "jobs", "inspection"):
            setattr(store, name, Counted(getattr(store, name)))
    moving.move(*stores, lambda jobs: None)
    os._exit(0)

for line in sys.stdin:
    mover = os.fork()
    if not mover:
        move(int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(mover, 0)[1]), flush=True)
"""
JOBS = 4
# Who works in the source takes jobs of the first only.
QUEUES = ("near", "far")


# Each kind is left once, and come to once.
WAYS = [("sqlite", "postgres"), ("postgres", "redis"), ("redis", "sqlite")]


@pytest.fixture(params=WAYS, ids="-to-".join)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where jobs come from, and where they go."""

    def url_of(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/jobs.db?durability=normal"
        if kind == "redis":
            return f"{request.getfixturevalue('redis_url')}?name={new_job_id()}"
        return str(request.getfixturevalue("empty_postgres"))

    source, target = request.param
    return url_of(source), url_of(target)


@pytest.fixture
def movers(urls: tuple[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", MOVERS, *urls], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_each_job_runs_once_wherever_the_mover_was_killed(
    movers: subprocess.Popen[str], urls: tuple[str, str]
) -> None:
    source, other = map(Mill, urls)
    runs: list[tuple[str, int]] = []
    work, first, following = the_tasks(source, "source", runs)
    the_tasks(other, "target", runs)
    chance = random.Random(0)
    numbers = count()
    with source.worker(threads=1, queues=["near"]), other.worker(threads=1):
        for calls in count(1):
            for _ in range(JOBS):
                delay = chance.uniform(0, 0.1)
                work.using(delay=delay, queue=chance.choice(QUEUES)).enqueue(next(numbers))
            first.using(delay=0.05, queue="near").s(next(numbers)).then(
                following.using(queue="far").s(next(numbers))
            ).enqueue()
            end = outcome(movers, calls)
            if end == 0:
                break
            assert end == KILLED
        total = next(numbers)
        wait_for(lambda: outcome(movers, NEVER) == 0 and len(runs) >= total, "all have run")

    figures.info(f"{calls - 1} movers killed, {total} jobs, {Counter(side for side, _ in runs)}")
    assert Counter(number for _, number in runs) == Counter(range(total))
    assert {side for side, _ in runs} == {"source", "target"}
    for mill in (source, other):
        assert mill.app.storage.health.verify() == []
        mill.close()


def the_tasks(mill: Mill, side: str, runs: list[tuple[str, int]]) -> tuple[Any, Any, Any]:
    @mill.task(name="work", result_ttl=0)
    def work(number: int) -> None:
        runs.append((side, number))

    @mill.task(name="first")
    def first(number: int) -> int:
        runs.append((side, number))
        return number

    @mill.task(name="following", lock="serial")
    def following(before: int, number: int) -> None:
        assert before == number - 1
        runs.append((side, number))

    return work, first, following
