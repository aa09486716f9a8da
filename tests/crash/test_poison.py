"""Jobs that take down the process that runs them, and their innocent neighbours."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from taskmill._core.crash import described
from taskmill._core.job import Reason, State
from taskmill._core.lifecycle import MOST_CRASHES
from tests.crash.site import SOON, Site, _elsewhere, figures
from tests.worker.builders import wait_for

MORE = """
import ctypes

@mill.task(name="poison", retries=5)
def poison(how):
    note("start", -1)
    time.sleep(0.02)
    match how:
        case "exit code 3":
            os._exit(3)
        case "SIGSEGV":
            ctypes.string_at(0)
        case "SIGABRT":
            os.abort()  # as the allocator does when there is no memory left
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does then

@mill.task(name="eats", retries=5)
def eats():
    note("start", -1)
    eaten = []
    while True:
        eaten.append(bytearray(1_000_000))

@mill.task(name="leaves_poison", retries=5)
def leaves_poison():
    import threading
    note("start", -1)
    # It returns in time, and its process dies before that is recorded, as by a fault of a thread in C.
    threading.Timer(0.0005, os._exit, (3,)).start()

@mill.task(name="hurts_once")
def hurts_once(number):
    note("start", number)
    if len(open("notes").readlines()) == 1:
        os._exit(1)

@mill.task(name="poison_process", executor="process")
def poison_process():
    note("start", -1)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)

@mill.task(name="poison_async")
async def poison_async():
    os._exit(4)
"""
NEIGHBOURS = 40


@pytest.fixture
def poison(site: Site) -> Any:
    site.add_to_app(MORE)
    return site.mill.task(name="poison", retries=5)(lambda how: None)


def make_suspect(site: Site) -> None:
    """Let the job that waits have been running when a process crashed."""
    storage = site.mill.app.storage
    session = storage.sessions.open(kind="worker", lease=30_000_000)
    [claimed] = storage.jobs.turn(session, [], claim=1, wants={"thread": 1}, queues=None).claimed
    storage.sessions.slots(session, 1).note(0, claimed.ref, claimed.fence)
    storage.jobs.bury(session, described(-9), alone=False)


@pytest.mark.parametrize("how", ["exit code 3", "SIGSEGV", "SIGABRT", "SIGKILL"])
def test_poison_fails_after_three_crashes_alone_and_blames_no_neighbour(
    site: Site, poison: Any, how: str
) -> None:
    work = site["work"]
    before = site.mill.enqueue_many(work.s(number) for number in range(NEIGHBOURS // 2))
    culprit = poison.enqueue(how)
    behind = site.mill.enqueue_many(work.s(number, 0.01) for number in range(NEIGHBOURS // 2, NEIGHBOURS))
    worker = site.worker("--threads", "2")
    site.wait(lambda: site.counts() == {"succeeded": NEIGHBOURS, "failed": 1}, "all have ended")

    job = culprit.job()
    assert (job.state, job.reason, job.crashes, job.attempt) == (State.FAILED, Reason.CRASHED, 3, 1)
    assert job.error is not None
    assert how in job.error.message
    assert [attempt.outcome for attempt in job.attempts] == ["crashed", "crashed"]
    assert len([note for note in site.notes("start") if note.number == -1]) == 4
    jobs = [result.job() for result in (*before, *behind)]
    assert {(job.attempt, job.crashes, job.attempts) for job in jobs} == {(1, 0, ())}
    starts = sorted(note.at for note in site.notes("start") if note.number >= 0)
    gap = max((later - earlier) / 1e9 for earlier, later in itertools.pairwise(starts))
    figures.info(f"poison by {how}: {job.error.message}; the others stood still for {gap:.2f} s at most")
    assert site.stop(worker) == [0]


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A group of processes that may use 200 MB in all, as a container does: the kernel kills the largest."""
    for folder, limit in (("memory", "memory.limit_in_bytes"), (".", "memory.max")):
        group = Path("/sys/fs/cgroup", folder, f"taskmill-{os.getpid()}")
        with suppress(OSError):
            group.mkdir()
            (group / limit).write_text("200000000")
            break
    else:
        pytest.skip("no group of processes can be made here; it takes root, and control groups for memory")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), "all of its processes are gone", SOON)
    group.rmdir()


def test_a_job_that_eats_all_memory_is_poison_too(site: Site, poison: Any, little_memory: Path) -> None:
    culprit = site.mill.task(name="eats", retries=5)(_elsewhere).enqueue()
    neighbours = site.mill.enqueue_many(site["work"].s(number, 0.01) for number in range(NEIGHBOURS))
    join = ["sh", "-c", f'echo $$ > {little_memory}/cgroup.procs; exec "$@"', "join"]
    started: list[subprocess.Popen[bytes]] = []

    def has_ended() -> bool:
        # As a service manager does: while the memory of one that was killed is on its way back, the kernel kills more.
        if not started or started[-1].poll() is not None:
            started.append(site.python(["-m", "taskmill", "worker", "app:mill"], before=join))
        return site.counts() == {"succeeded": NEIGHBOURS, "failed": 1}

    wait_for(has_ended, "all have ended", 60)

    job = culprit.job()
    assert (job.reason, job.crashes, job.attempt) == (Reason.CRASHED, 3, 1)
    assert job.error is not None
    assert "the system had no memory left" in job.error.message
    assert {result.job().attempt for result in neighbours} == {1}
    started[-1].terminate()
    assert started[-1].wait(SOON) == 0


def test_poison_on_the_event_loop_is_found_as_well(site: Site, poison: Any) -> None:
    async def elsewhere() -> None: ...

    culprit = site.mill.task(name="poison_async")(elsewhere).enqueue()
    innocent = site["wait_async"].enqueue(1)
    site.worker()
    site.wait(lambda: culprit.state is State.FAILED, "it has failed")

    assert culprit.job().reason == Reason.CRASHED
    assert innocent.job().crashes == 0


def test_poison_in_a_process_that_kills_the_one_it_belongs_to_is_found_as_well(
    site: Site, poison: Any
) -> None:
    culprit = site.mill.task(name="poison_process", executor="process")(_elsewhere).enqueue()
    site.worker(warm=False)
    site.wait(lambda: culprit.state is State.FAILED, "it has failed")

    assert culprit.job().reason == Reason.CRASHED
    assert len(site.notes("start")) == 4


def test_a_suspect_that_has_returned_is_to_blame_until_that_is_recorded(site: Site, poison: Any) -> None:
    culprit = site.mill.task(name="leaves_poison", retries=5)(_elsewhere).enqueue()
    make_suspect(site)
    worker = site.worker(warm=False)
    # A run that is recorded before its process dies has succeeded.
    job = site.wait(lambda: culprit.state.is_final and culprit.job(), "it has ended")

    assert job.reason in {None, Reason.CRASHED}
    assert len(site.notes("start")) <= MOST_CRASHES
    assert site.stop(worker) == [0]


def test_one_that_crashed_by_chance_runs_alone_and_is_acquitted(site: Site, poison: Any) -> None:
    result = site.mill.task(name="hurts_once")(lambda number: None).enqueue(1)
    worker = site.worker()
    site.wait_until_done(1)

    assert (result.job().crashes, result.job().rescues) == (0, 1)
    assert site.stop(worker) == [0]


def test_kills_of_the_whole_worker_blame_nobody_however_often(site: Site) -> None:
    result = site["work"].enqueue(1, 60)
    for round_ in range(1, 5):
        worker = site.worker()
        site.wait_for_starts(round_)
        worker.kill()
        worker.wait()
    last = site.worker()
    site.wait_for_starts(5)

    job = result.job()
    assert (job.state, job.crashes, job.is_suspect, job.rescues) == (State.RUNNING, 0, False, 4)
    last.kill()


def test_a_suspect_that_another_worker_left_is_run_by_the_next(site: Site, poison: Any) -> None:
    result = site.mill.task(name="hurts_once")(lambda number: None).enqueue(1)
    make_suspect(site)
    (site.folder / "notes").write_text("1 1 nothing 0\n")
    assert result.job().is_suspect

    began = time.monotonic()
    site.worker()
    site.wait_until_done(1)
    figures.info(f"a suspect that was left had run {time.monotonic() - began:.2f} s after the worker's start")
