"""A producer that forks: parent and child both go on, each with handles of its own."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from taskmill._core.instant import SECOND
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill._storage.sqlite.writing import _Write
from tests.conformance.builders import Worker, a_job, ids
from tests.sqlite.children import Spawn, in_a_fork
from tests.sqlite.conftest import OpenStore

# What Python says of a fork beside threads is why these tests are here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
LONG = 45.0


def stored(path: Path) -> set[str]:
    """The jobs, as another program sees them, if the file is intact."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return {job_id for (job_id,) in connection.execute("select job_id from taskmill_job")}


class Pipe:
    """Lets two processes wait for each other."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()

    def ring(self) -> None:
        os.write(self._in, b".")

    def wait(self) -> None:
        os.read(self._out, 1)

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)


@pytest.fixture
def bells() -> Iterator[tuple[Pipe, Pipe]]:
    pair = Pipe(), Pipe()
    yield pair
    for pipe in pair:
        pipe.close()


def test_parent_and_child_both_enqueue(store: SqliteStorage, path: Path) -> None:
    store.jobs.add([a_job("before")])

    status = in_a_fork(lambda: store.jobs.add([a_job("child")]))
    store.jobs.add([a_job("parent")])

    assert status() == 0
    assert ids(store.inspection.find()) != []
    store.close()
    assert stored(path) == {"before", "child", "parent"}


def test_what_a_child_enqueues_after_its_parent_has_closed_the_store_is_not_lost(
    store: SqliteStorage, path: Path, bells: tuple[Pipe, Pipe]
) -> None:
    # With handles that had crossed the fork, the parent would be the last one seen, and delete the log under the child.
    closed, half = bells
    store.jobs.add([a_job("before")])

    def work() -> None:
        store.jobs.add([a_job("first")])
        half.ring()
        closed.wait()
        store.jobs.add([a_job("second")])
        store.inspection.find()
        os._exit(0)

    status = in_a_fork(work)
    half.wait()
    store.close()
    closed.ring()

    assert status() == 0
    assert stored(path) == {"before", "first", "second"}


def test_no_connection_crosses_a_fork(store: SqliteStorage, path: Path) -> None:
    store.jobs.add([a_job()])
    store.inspection.find()

    def look() -> None:
        names = {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
        assert not [name for name in names if name.startswith(str(path))]

    assert in_a_fork(look)() == 0


def test_a_child_of_a_child_enqueues_too(store: SqliteStorage, path: Path) -> None:
    store.jobs.add([a_job("parent")])

    def work() -> None:
        store.jobs.add([a_job("child")])
        assert in_a_fork(lambda: store.jobs.add([a_job("grandchild")]))() == 0

    assert in_a_fork(work)() == 0
    assert stored(path) == {"parent", "child", "grandchild"}


def test_a_fork_while_other_threads_write_and_read(store: SqliteStorage, path: Path) -> None:
    """The child must not wait for locks whose holders exist in the parent only."""
    stop = threading.Event()
    written: list[str] = []

    def write(thread: int) -> None:
        while not stop.is_set():
            written.extend(store.jobs.add([a_job(f"{thread}-{len(written)}")]))

    def read() -> None:
        while not stop.is_set():
            store.inspection.find(limit=10)

    with running(lambda: write(1), lambda: write(2), read):
        statuses = [
            in_a_fork(lambda number=number: store.jobs.add([a_job(f"child {number}")]))()
            for number in range(25)
        ]
        stop.set()

    assert statuses == [0] * 25
    assert stored(path) == {*written, *(f"child {number}" for number in range(25))}


def test_a_fork_in_the_middle_of_a_threads_transaction_waits_for_its_end(
    store: SqliteStorage, path: Path
) -> None:
    inside, forks = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        connection.execute("delete from taskmill_job")
        inside.set()
        # Until the fork is under way: then it waits for this transaction.
        assert forks.wait(LONG)

    store.jobs.add([a_job("before")])
    with running(lambda: store._database.write(slow)):
        assert inside.wait(LONG)
        threading.Timer(0.05, forks.set).start()
        status = in_a_fork(lambda: store.jobs.add([a_job("child")]))

    assert status() == 0
    assert stored(path) == {"child"}


def test_what_other_threads_were_about_to_write_is_not_written_by_the_child(
    store: SqliteStorage, path: Path
) -> None:
    writers: list[int] = []
    store.jobs.add([a_job("before")])
    # As if a thread had come so far and not yet asked for the gate.
    store._database._writer._pending.append(
        _Write(lambda _: writers.append(os.getpid()), deadline=float("inf"))
    )

    def work() -> None:
        store.jobs.add([a_job("child")])
        assert writers == []

    assert in_a_fork(work)() == 0
    store.jobs.add([a_job("parent")])
    assert writers == [os.getpid()]
    assert stored(path) == {"before", "child", "parent"}


def test_a_session_stays_with_the_parent(store: SqliteStorage, open_store: OpenStore) -> None:
    worker = Worker(store)
    store.jobs.add([a_job("a")])
    worker.claim_one()

    def work() -> None:
        assert not store.sessions.renew(worker.session)
        assert store.jobs.rescue() == []
        store.sessions.end(store.sessions.open(kind="worker", lease=SECOND))

    assert in_a_fork(work)() == 0
    assert store.sessions.renew(worker.session)
    assert open_store().jobs.rescue() == []


def test_a_child_that_closes_the_store_leaves_the_parents_session_alone(
    store: SqliteStorage, spawn: Spawn
) -> None:
    worker = Worker(store)

    assert in_a_fork(store.close)() == 0

    rescuer = spawn("say(store().jobs.rescue(), len(store().inspection.sessions()))")
    assert rescuer.end() == "[] 1"
    assert store.sessions.renew(worker.session)


def test_a_child_rings_the_workers_of_other_processes_and_not_those_that_it_has_not(
    store: SqliteStorage, open_store: OpenStore
) -> None:
    here, there = threading.Event(), threading.Event()
    elsewhere = open_store()
    store.wake.on_jobs(here.set)
    store.wake.rest(here.set, "all")
    elsewhere.wake.on_jobs(there.set)
    elsewhere.wake.rest(there.set, "all")

    statuses = [in_a_fork(lambda: store.jobs.add([a_job()]))() for _ in range(2)]

    assert statuses == [0, 0]
    assert here.wait(LONG)
    assert there.wait(LONG)


def test_the_store_of_a_forked_pool_worker_is_usable(spawn: Spawn) -> None:
    child = spawn(
        "import multiprocessing\n"
        "s = store()\n"
        "s.jobs.add([a_job('parent')])\n"
        "def work(number):\n"
        "    return s.jobs.add([a_job(str(number))])[0]\n"
        "with multiprocessing.get_context('fork').Pool(3) as pool:\n"
        "    say(*sorted(pool.map(work, range(6))))\n"
        "s.jobs.add([a_job('later')])\n"
        "say(len(s.inspection.find()))\n"
    )

    assert child.end().splitlines() == ["0 1 2 3 4 5", "8"]


@contextmanager
def running(*works: Callable[[], object]) -> Iterator[None]:
    """Run each in a thread, which must have come to its end after the block."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
