"""Workers over a PostgreSQL that is killed and started again under load, and workers that are killed over it."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import without_server
from tests.crash.site import Site, figures, is_gone
from tests.crash.test_load import check, have_begun_again, keep_busy, one_at_work

KILLS = 2
AWAY = 1.0
SECOND = 1e9


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Postgres]:
    """One of its own: others must not lose theirs."""
    try:
        with servers.postgres(fsync="off") as server:
            yield server
    except servers.NoServerError as error:
        without_server(str(error))


@pytest.fixture
def site(server: servers.Postgres, tmp_path: Path) -> Iterator[Site]:
    url = f"{server.url}/postgres"
    servers.empty(url)
    site = Site(tmp_path, url)
    yield site
    site.close()


def test_kills_of_single_processes_and_of_whole_workers_lose_nothing(site: Site) -> None:
    numbers, kills = itertools.count(), dict[int, int]()
    workers = [site.worker("--threads", "4") for _ in range(2)]
    for turn in range(KILLS):
        victim = one_at_work(site, numbers, workers[turn % 2])
        kills[victim] = time.monotonic_ns()
        if turn % 2:
            workers.append(site.worker("--threads", "4"))
            workers.pop(1).kill()
        else:
            os.kill(victim, signal.SIGKILL)
        site.wait(lambda victim=victim: is_gone(victim), "it is gone")
        site.wait(lambda victim=victim: have_begun_again(site, victim), "its jobs have begun again")

    check(site, next(numbers), kills, "processes over PostgreSQL")
    site.wait(lambda: all(worker.ordinary() for worker in workers), "the latest worker is up")
    assert site.stop(*workers) == [0, 0]
    site.wait(site.have_all_gone, "the sessions of the dead are gone")


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_a_server_that_is_away_for_a_while_loses_nothing_and_ends_no_worker(
    site: Site, server: servers.Postgres, how: str
) -> None:
    numbers = itertools.count()
    worker = site.worker("--threads", "4")
    child = one_at_work(site, numbers, worker)
    keep_busy(site, numbers)

    if how == "hung":
        server.stand_still(AWAY)
    else:
        server.kill()
        time.sleep(AWAY)
        server.start()
    back_at = time.monotonic_ns()
    first = site.wait(
        lambda: next((note.at for note in site.notes("start") if note.at > back_at), None), "a job begins"
    )
    count = next(numbers)
    site.wait_until_done(count, timeout=60)

    runs = Counter(note.number for note in site.notes("end"))
    figures.info(f"server {how} for {AWAY:g} s: first job after {(first - back_at) / SECOND:.2f} s, lost 0")
    assert set(runs) == set(range(count))
    assert worker.ordinary() == [child]
    assert site.violations() == []
    assert site.stop(worker) == [0]
