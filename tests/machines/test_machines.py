"""Workers on two machines over one server: a cable is cut, a machine stands still, one loses its power."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import without_server
from tests.crash.site import SOON, Site, Worker, figures
from tests.crash.test_load import one_at_work
from tests.machines.network import Machine, are_allowed, network

LEASE = 1.5

STUBBORN = """
    @mill.task(name="stubborn")
    def stubborn(number):
        note("start", number)
        while not os.path.exists(f"go-{os.getpid()}"):
            try:
                time.sleep(0.005)
            except BaseException:
                note("stopped", number)
        note("end", number)
        return os.getpid()
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Machine]]:
    if not are_allowed():
        pytest.skip("NOT RUN: only root may make networks of its own, and not in every container")
    try:
        servers.ip_program()
    except servers.NoServerError as error:
        without_server(str(error))
    with network(tmp_path_factory.mktemp("network")) as machines:
        yield machines


@pytest.fixture(scope="module", params=["postgres", "redis"])
def server(request: pytest.FixtureRequest, machines: Sequence[Machine]) -> Iterator[servers.Server]:
    """One that listens at the hub, and is reached from both machines."""
    try:
        if request.param == "postgres":
            with servers.postgres(fsync="off", listen_addresses="*") as postgres:
                yield postgres
        else:
            with servers.redis(bind="0.0.0.0", protected_mode="no") as redis:  # noqa: S104  (a network of its own)
                yield redis
    except servers.NoServerError as error:
        without_server(str(error))


class TwoMachines(Site):
    """A site whose workers are on machines of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.add_to_app(STUBBORN)
        self._tasks["stubborn"] = self.mill.task(name="stubborn")(_elsewhere)

    def worker_on(self, machine: Machine) -> Worker:
        url = self.url.replace("127.0.0.1", machine.hub_address)
        return self.worker("--threads", "4", before=machine.before, lease=LEASE, STORE=url)

    def let_end(self, worker: Worker) -> None:
        """Let the jobs return that run on it, and those that it runs later."""
        (self.folder / f"go-{worker.child}").touch()


def _elsewhere(_number: int) -> int:
    raise AssertionError("this runs on the machines only")


@pytest.fixture
def site(tmp_path: Path, server: servers.Server, machines: Sequence[Machine]) -> Iterator[TwoMachines]:
    if isinstance(server, servers.Postgres):
        url = f"{server.url}/postgres?timeout=1"
        servers.empty(f"{server.url}/postgres")
    else:
        url = f"{server.url}?name={tmp_path.name}&timeout=1"
    site = TwoMachines(tmp_path, url)
    yield site
    site.close()
    for machine in machines:
        machine.reset()


def test_two_machines_share_the_work_and_when_one_loses_its_power_the_other_does_it_all(
    site: TwoMachines, machines: Sequence[Machine]
) -> None:
    workers = [site.worker_on(machine) for machine in machines]
    numbers = itertools.count()
    for worker in workers:
        one_at_work(site, numbers, worker)
    hosts = {session.host for session in site.mill.app.storage.inspection.sessions()}
    shared = next(numbers)
    site.wait_until_done(shared)
    assert Counter(note.number for note in site.notes("end")) == Counter(range(shared))
    assert hosts == {machine.name for machine in machines}

    # What the first one begins it does not end; the second one ends all that it begins.
    site.let_end(workers[1])
    known = workers[0].child

    def is_at_work() -> bool:
        site["stubborn"].enqueue(next(numbers))
        return known in {note.pid for note in site.notes("start") if note.number > shared}

    site.wait(is_at_work, "the first one is at work")
    count = next(numbers)
    machines[0].switch_off()
    gone = time.monotonic()
    site.wait_until_done(count - 1)
    figures.info(f"a machine that lost its power: all done {time.monotonic() - gone:.2f} s after it")
    assert {note.number for note in site.notes("end")} == set(range(count)) - {shared}
    jobs = site.mill.app.storage.inspection.find(limit=count)
    assert {(job.attempt, job.crashes) for job in jobs} == {(1, 0)}
    assert {job.rescues for job in jobs} == {0, 1}
    assert site.violations() == []
    assert site.stop(workers[1]) == [0]


@pytest.mark.parametrize(
    "lose, find",
    [(Machine.cut_off, Machine.reconnect), (Machine.pause, Machine.resume)],
    ids=["cut off", "paused"],
)
def test_a_machine_that_is_away_for_longer_than_its_lease_changes_nothing_when_it_is_back_and_works_on(
    site: TwoMachines,
    machines: Sequence[Machine],
    lose: Callable[[Machine], None],
    find: Callable[[Machine], None],
) -> None:
    result = site["stubborn"].enqueue(1)
    away = site.worker_on(machines[0])
    site.wait_for_starts(1)
    other = site.worker_on(machines[1])
    site.let_end(other)
    began = time.monotonic_ns()
    lose(machines[0])
    assert result.get(timeout=SOON) == other.child
    _, again = site.notes("start")
    figures.info(
        f"{lose.__name__}: its job began on the other machine after {(again.at - began) / 1e9:.2f} s, lease {LEASE:g} s"
    )
    taken_over = result.job()
    assert site.stop(other) == [0]

    site.let_end(away)
    find(machines[0])
    site.wait(lambda: "given to another worker: its outcome here is dropped" in site.output(), "it is late")
    assert site["stubborn"].enqueue(2).get(timeout=SOON) == away.child
    assert result.job() == taken_over
    assert (taken_over.attempt, taken_over.rescues) == (1, 1)
    assert site.violations() == []
    assert site.stop(away) == [0]
