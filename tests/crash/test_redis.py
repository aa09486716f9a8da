"""Workers on a Redis or Valkey that is killed, restarted and hung under load, and that are killed themselves."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill.errors import StoreUnavailable
from tests import servers
from tests.conftest import without_server
from tests.crash.site import Site, figures, is_gone
from tests.crash.test_load import one_at_work

HUNG = 1.5


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Redis]:
    try:
        with servers.redis(appendonly="yes", appendfsync="always") as server:
            yield server
    except servers.NoServerError as error:
        without_server(str(error))


@pytest.fixture
def site(tmp_path: Path, server: servers.Redis) -> Iterator[Site]:
    site = Site(tmp_path, f"{server.url}?name={tmp_path.name}&timeout=1")
    yield site
    site.close()


def add_some(site: Site, numbers: Iterator[int], acknowledged: list[int]) -> None:
    """Enqueue, as a producer that tells what was not taken."""
    for number in itertools.islice(numbers, 20):
        try:
            site["work"].enqueue(number, 0.005)
        except StoreUnavailable:
            return
        acknowledged.append(number)


def check(site: Site, acknowledged: list[int]) -> int:
    """All that was acknowledged has run, once but for what was running; how many ran more often."""
    site.wait(lambda: set(site.counts()) == {"succeeded"}, "all have succeeded")
    ended = Counter(note.number for note in site.notes("end"))
    assert set(acknowledged) <= set(ended)
    assert not site.violations()
    jobs = site.mill.app.storage.inspection.find(limit=10_000)
    assert {(job.attempt, job.crashes) for job in jobs} == {(1, 0)}
    return sum(ended.values()) - len(ended)


def test_a_server_that_is_killed_and_comes_back_loses_nothing(site: Site, server: servers.Redis) -> None:
    numbers, acknowledged = itertools.count(), list[int]()
    worker = site.worker("--threads", "4")
    delays = []
    for _ in range(2):
        add_some(site, numbers, acknowledged)
        site.wait_for_starts(len(acknowledged) - 10)
        server.kill()
        add_some(site, numbers, acknowledged)
        server.start()
        back = time.monotonic_ns()
        add_some(site, numbers, acknowledged)
        site.wait(lambda back=back: site.notes("start")[-1].at > back, "a job has begun again")
        first = min(note.at for note in site.notes("start") if note.at > back)
        delays.append((first - back) / 1e9)

    again = check(site, acknowledged)
    figures.info(
        f"2 restarts under load, {len(acknowledged)} jobs: the first one at most {max(delays):.2f} s after the server "
        f"was back; lost 0, ended again {again}, worker deaths 0"
    )
    assert site.stop(worker) == [0]


def test_a_server_that_hangs_is_waited_for(site: Site, server: servers.Redis) -> None:
    numbers, acknowledged = itertools.count(), list[int]()
    worker = site.worker("--threads", "4")
    add_some(site, numbers, acknowledged)
    site.wait_for_starts(10)
    server.signal(signal.SIGSTOP)
    # Longer than any call waits.
    hung_until = time.monotonic() + HUNG
    while time.monotonic() < hung_until:
        add_some(site, numbers, acknowledged)
    server.signal(signal.SIGCONT)
    back = time.monotonic_ns()
    add_some(site, numbers, acknowledged)
    site.wait(lambda: site.notes("start")[-1].at > back, "a job has begun again")

    delay = (min(note.at for note in site.notes("start") if note.at > back) - back) / 1e9
    again = check(site, acknowledged)
    figures.info(
        f"a server that hung for {HUNG:g} s: the first job {delay:.2f} s after it was back; lost 0, "
        f"ended again {again}"
    )
    assert site.stop(worker) == [0]


def test_workers_that_are_killed_lose_nothing(site: Site) -> None:
    numbers = itertools.count()
    workers = [site.worker("--threads", "4") for _ in range(2)]
    for turn in range(2):
        victim = one_at_work(site, numbers, workers[turn % 2])
        os.kill(victim, signal.SIGKILL)
        site.wait(lambda victim=victim: is_gone(victim), "it is gone")
    killed = workers.pop()
    one_at_work(site, numbers, killed)
    began = time.monotonic()
    killed.kill()

    count = next(numbers)
    site.wait_until_done(count, timeout=60)
    figures.info(
        f"3 kills under load, {count} jobs: all done {time.monotonic() - began:.1f} s after the last; lost 0"
    )
    assert {note.number for note in site.notes("end")} == set(range(count))
    assert not site.violations()
    assert site.stop(*workers) == [0]
