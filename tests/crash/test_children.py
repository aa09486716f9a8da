"""The processes of a worker, and the one that watches them."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from taskmill import Result
from taskmill._core.filter import Filter
from taskmill._core.job import State
from tests.crash.site import SOON, Site, _elsewhere, children_of, figures, is_gone

LEASES = 3


def test_a_job_that_keeps_the_interpreter_for_three_leases_runs_once(site: Site) -> None:
    site.add_to_app(
        """
        @mill.task(name="hogs")
        def hogs(seconds):
            note("start", 0)
            began = time.perf_counter()
            sum(range(1_000_000))
            count = int(1_000_000 * seconds / (time.perf_counter() - began))
            began = time.perf_counter()
            sum(range(count))  # one call in C: no other thread of the process runs
            return time.perf_counter() - began
        """
    )
    result = site.mill.task(name="hogs")(lambda seconds: 0.0).enqueue(1.2 * LEASES)
    workers = [site.worker(lease=1) for _ in range(2)]

    took = result.get(timeout=60)

    figures.info(f"kept the interpreter for {took:.1f} s with a lease of 1 s, and ran once")
    assert len(site.notes("start")) == 1
    assert result.job().rescues == 0
    assert site.stop(*workers) == [0, 0]


def test_the_children_of_a_killed_supervisor_die_with_it(site: Site) -> None:
    result = site["work"].enqueue(1, 60)
    victim = site.worker("--processes", "2")
    site.wait_for_starts(1)
    site.wait(lambda: len(victim.children()) == 2, "there are two")
    children = victim.children()

    victim.kill()

    killed_at = time.monotonic()
    site.wait(lambda: all(is_gone(pid) for pid in children), "they are gone")
    figures.info(f"the children of a killed supervisor were gone after {time.monotonic() - killed_at:.3f} s")
    site.worker()
    site.wait_for_starts(2)
    assert result.job().rescues == 1


def test_a_supervisor_that_cannot_start_a_process_leaves_the_others_alone_and_tries_again(site: Site) -> None:
    worker = site.worker("--processes", "2")
    site.wait(lambda: len(site.sessions()) == 2 and worker.spares(), "there are two and a spare")
    victim, other = worker.children()
    before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (4, before[1]))
    for pid in (*worker.spares(), victim):
        os.kill(pid, signal.SIGKILL)
    site.wait(lambda: "no process can be started" in site.output(), "it says so")
    left = worker.children()
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)

    site.wait(lambda: len(worker.children()) == 2, "there are two again")

    assert left == [other]
    assert other in worker.children()
    assert site.stop(worker) == [0]


def test_what_any_thread_of_a_process_starts_can_be_asked_to_stop(site: Site) -> None:
    site.add_to_app(
        """
        from contextlib import suppress

        def blocks(thread):
            status = open(f"/proc/self/task/{thread}/status").read()
            mask = int(status.partition("SigBlk:")[2].split()[0], 16)
            return any(mask & 1 << number - 1 for number in (signal.SIGTERM, signal.SIGINT))

        @mill.task(name="looks")
        def looks():
            for thread in os.listdir("/proc/self/task"):
                # One that ends meanwhile is gone.
                with suppress(OSError):
                    # The system lets a thread begin with all blocked, for a moment.
                    for _ in range(500):
                        if not blocks(thread):
                            break
                        time.sleep(0.01)
                    note("blocks", int(blocks(thread)))
        """
    )
    site.mill.task(name="looks")(_elsewhere).enqueue()
    site.worker("--burst", warm=False).wait(SOON)

    # What a handler of crashes starts, for one, is started by the thread that hears of them.
    assert {each.number for each in site.notes("blocks")} == {0}


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=time.sleep, args=(600,), name='left-behind_0', daemon=False).start()",
        "ThreadPoolExecutor(thread_name_prefix='left-behind').submit(time.sleep, 600)",
    ],
)
def test_a_thread_that_a_job_has_started_does_not_keep_a_process_from_ending(site: Site, start: str) -> None:
    site.add_to_app(
        f"""
        import atexit, threading
        from concurrent.futures import ThreadPoolExecutor

        @mill.task(name="leaves")
        def leaves():
            {start}
            atexit.register(note, "exit", 0)
        """
    )
    result = site.mill.task(name="leaves")(lambda: None).enqueue()
    worker = site.worker("--burst", warm=False)

    assert worker.wait(SOON) == 0
    assert result.state is State.SUCCEEDED
    assert len(site.notes("exit")) == 1
    assert "what jobs have started (left-behind_0) ends with this process" in site.output()


def test_a_store_that_is_locked_does_not_hold_up_the_end_for_long(site: Site) -> None:
    site["work"].enqueue(1, 600)
    worker = site.worker("--grace", "0.5")
    site.wait_for_starts(1)
    with closing(sqlite3.connect(site.folder / "jobs.db", isolation_level=None)) as blocker:
        blocker.execute("begin immediate")
        worker.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        status = worker.wait(SOON)
        took = time.monotonic() - told_at

    figures.info(f"with the store locked and a grace of 0.5 s the worker ended in {took:.2f} s")
    assert status == 0
    site.worker()
    site.wait_for_starts(2)


def test_the_lock_of_a_killed_process_has_its_next_holder_soon_and_never_two(site: Site) -> None:
    workers = [site.worker("--threads", "2") for _ in range(2)]
    results = [site["locked"].enqueue(number, 0.1) for number in range(6)]
    [first] = site.wait_for_starts(1)[:1]
    # Before it: when this process goes on after it, the lock may have its next holder.
    killed_at = time.monotonic_ns()
    os.kill(first.pid, signal.SIGKILL)
    site.wait_until_done(6)

    ends = {(note.pid, note.number): note.at for note in site.notes("end")}
    spans = [(note.at, ends.get((note.pid, note.number), killed_at)) for note in site.notes("start")]
    following = [note.at - killed_at for note in site.notes("start") if note.at > killed_at]
    for gap in sorted(following)[:1]:
        figures.info(f"the lock of a killed process was held again after {gap / 1e9:.2f} s")
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(sorted(spans)))
    assert {result.job().attempt for result in results} == {1}
    assert site.stop(*workers) == [0, 0]


def test_what_a_killed_process_left_running_does_not_delay_the_rescue(site: Site) -> None:
    site.add_to_app(
        """
        @mill.task(name="forks")
        def forks(number):
            note("start", number)
            if len(open("notes").readlines()) > 1:
                return
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            with open("child", "w") as file:
                file.write(str(child))
            time.sleep(60)
        """
    )
    result = site.mill.task(name="forks")(lambda number: None).enqueue(1)
    worker = site.worker()
    site.wait(lambda: (site.folder / "child").exists() and (site.folder / "child").read_text(), "it forked")
    grandchild = int((site.folder / "child").read_text())
    try:
        os.kill(worker.child, signal.SIGKILL)
        killed_at = time.monotonic()
        site.wait_until_done(1)

        figures.info(f"run again {time.monotonic() - killed_at:.2f} s after the kill, beside a forked child")
        assert not is_gone(grandchild)
        assert result.job().rescues == 1
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_a_process_that_is_stopped_is_taken_over_when_its_lease_is_over(site: Site) -> None:
    """Its supervisor lives, and does not say so for it."""
    result = site["wait"].enqueue(1)
    stopped, other = site.worker(lease=1), site.worker(lease=1)
    first = site.wait_for_starts(1)[0]
    if first.pid != stopped.child:
        stopped, other = other, stopped
    os.kill(first.pid, signal.SIGSTOP)
    second = site.wait_for_starts(2)[1]
    (site.folder / f"go-{second.pid}").touch()
    assert result.get(timeout=SOON) == second.pid
    taken_over = result.job()

    os.kill(first.pid, signal.SIGCONT)
    [stopped_job] = site.wait(lambda: site.notes("stopped"), "its job, which another one has run, is stopped")
    (site.folder / f"go-{first.pid}").touch()

    assert (stopped_job.pid, stopped_job.more) == (first.pid, "JobReleased")
    assert site["wait"].enqueue(2).get(timeout=SOON) in {first.pid, other.child}
    assert result.job() == taken_over
    assert site.stop(stopped, other) == [0, 0]
    assert site.sessions() == set()


def test_each_slot_of_a_schedule_fires_once_over_three_workers_of_which_one_is_killed(site: Site) -> None:
    site.add_to_app(
        """
        @mill.periodic(every(seconds=0.2), name="tick")
        def tick():
            note("start", 0)
        """
    )
    workers = [site.worker() for _ in range(3)]
    site.wait(lambda: len(site.notes("start")) >= 3, "three ticks")
    os.kill(workers[0].child, signal.SIGKILL)
    site.wait(lambda: len(site.notes("start")) >= 6, "three more")
    workers[1].kill()
    site.wait(lambda: len(site.notes("start")) >= 9, "three more")
    site.stop(workers[0], workers[2])

    [state] = site.mill.app.storage.schedules.list()
    jobs = site.mill.app.storage.inspection.find(Filter(task="tick"), limit=1_000)
    slots = Counter(round(job.run_at.timestamp() * 1_000_000) // 200_000 for job in jobs)
    assert state.fired == len(jobs)
    assert set(slots.values()) == {1}
    assert max(slots) - min(slots) == len(slots) - 1 + state.skipped


STEPPED = """
import os, time
from taskmill import Mill, every

class Stepped:
    "The wall clock of this machine, and what somebody has set it wrong by: hours, as in a file."

    def wall(self):
        with open("hours") as file:
            return time.time_ns() // 1_000 + int(file.read()) * 3_600_000_000

    def monotonic(self):
        return time.monotonic_ns() // 1_000

mill = Mill("sqlite:///jobs.db", clock=Stepped())

@mill.task(name="work")
def work(number):
    return number

@mill.periodic(every(seconds=0.2), name="tick")
def tick():
    descriptor = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{time.monotonic_ns()} {os.getpid()} start 0\\n".encode())
    os.close(descriptor)
"""


def test_so_it_does_while_the_wall_clock_is_stepped_by_an_hour_each_way(site: Site) -> None:
    def step(hours: int) -> None:
        (site.folder / "hours.new").write_text(str(hours))
        (site.folder / "hours.new").rename(site.folder / "hours")

    def wait_for_ticks(count: int) -> None:
        goal = len(site.notes("start")) + count
        site.wait(lambda: len(site.notes("start")) >= goal, f"{goal} ticks")

    (site.folder / "app.py").write_text(STEPPED)
    step(0)
    workers = [site.worker() for _ in range(3)]
    wait_for_ticks(3)
    step(1)
    wait_for_ticks(3)
    os.kill(workers[0].child, signal.SIGKILL)
    # Back: what is due runs, and no slot of this hour comes again.
    step(0)
    for number in range(10):
        assert site["work"].enqueue(number).get(timeout=SOON) == number
    step(1)
    wait_for_ticks(3)
    site.stop(*workers)

    [state] = site.mill.app.storage.schedules.list()
    jobs = site.mill.app.storage.inspection.find(Filter(task="tick"), limit=1_000)
    slots = Counter(round(job.run_at.timestamp() * 1_000_000) // 200_000 for job in jobs)
    figures.info(f"{len(slots)} slots over steps of an hour forward, back and forward: each fired once")
    assert set(slots.values()) == {1}
    assert state.fired == len(jobs)
    assert max(slots) - min(slots) == len(slots) - 1 + state.skipped
    assert state.skipped >= 3_600 * 5 - 10


def test_after_so_many_jobs_a_process_is_replaced_and_none_is_cut(site: Site) -> None:
    worker = site.worker("--max-jobs", "30", "--threads", "4")
    results: list[Result[Any]] = []

    def is_replaced() -> bool:
        # Until the next process is up, which may take its time, the first one goes on.
        if site.counts().get("queued", 0) < 60:
            work = [site["work"].s(len(results) + number, 0.02) for number in range(100)]
            results.extend(site.mill.enqueue_many(work))
        return len({note.pid for note in site.notes("start")}) > 1

    site.wait(is_replaced, "another process runs jobs")
    site.wait_until_done(len(results))

    pids = {note.pid for note in site.notes("start")}
    figures.info(f"{len(results)} jobs with --max-jobs 30 ran in {len(pids)} processes")
    assert Counter(note.number for note in site.notes("start")) == Counter(range(len(results)))
    assert {(job.attempt, job.rescues) for job in (result.job() for result in results)} == {(1, 0)}
    assert site.stop(worker) == [0]


def test_a_process_that_uses_much_memory_is_replaced(site: Site) -> None:
    site.add_to_app(
        """
        kept = []

        @mill.task(name="grows")
        def grows(megabytes):
            kept.append(b"x" * megabytes * 1_000_000)
            note("start", megabytes)
        """
    )
    grows = site.mill.task(name="grows")(lambda megabytes: None)
    worker = site.worker("--max-memory", "150")
    first = worker.child
    results = [grows.enqueue(100), grows.enqueue(100)]
    site.wait(lambda: worker.children() and first not in worker.children(), "another one took its place")
    results.append(grows.enqueue(1))
    site.wait_until_done(3)

    assert [result.job().attempt for result in results] == [1, 1, 1]
    assert site.notes("start")[-1].pid == worker.child != first
    assert site.stop(worker) == [0]


def test_a_job_that_is_longer_than_the_grace_runs_again_in_the_next_worker(site: Site) -> None:
    result = site["wait"].enqueue(1)
    first = site.worker("--grace", "0.2")
    site.wait_for_starts(1)
    began = time.monotonic()
    assert site.stop(first) == [0]
    figures.info(f"a worker with a grace of 0.2 s was gone {time.monotonic() - began:.2f} s after SIGTERM")
    given_back = result.job()
    second = site.worker()
    again = site.wait_for_starts(2)[1]
    (site.folder / f"go-{again.pid}").touch()

    assert (given_back.state, given_back.attempt, given_back.rescues) == (State.QUEUED, 0, 0)
    assert not given_back.is_suspect
    assert result.get(timeout=SOON) == second.child
    assert result.job().attempt == 1


def test_sigusr1_shows_where_every_job_stands(site: Site) -> None:
    site["wait"].enqueue(1)
    site["wait_async"].enqueue(2)
    worker = site.worker()
    site.wait_for_starts(2)
    worker.send_signal(signal.SIGUSR1)
    output = site.wait(lambda: "\n---\n" in site.output() and site.output(), "the stacks are there")

    threads, _, coroutine = output.partition("coroutine, wait_async ")
    assert re.search(r"thread taskmill-job-\d, wait ", threads)
    assert "in wait\n" in threads
    assert "await asyncio.sleep(60)" in coroutine
    assert worker.children()


def test_signals_to_a_process_that_is_starting_do_not_end_it(site: Site) -> None:
    # The sitecustomize of a child tells that Python has started, and that nothing of taskmill has.
    (site.folder / "sitecustomize.py").write_text(
        "import os, time\n"
        "if os.path.exists('slow'):\n"
        "    open(f'starting-{os.getpid()}', 'w').close()\n"
        "    while os.getppid() > 1 and not os.path.exists(f'go-{os.getpid()}'):\n"
        "        time.sleep(0.005)\n"
    )
    worker = site.worker(PYTHONPATH=str(site.folder))
    site.wait(worker.spares, "there is a spare")
    (site.folder / "slow").touch()
    os.kill(worker.spares()[0], signal.SIGKILL)
    os.kill(worker.child, signal.SIGKILL)
    [starting] = site.wait(lambda: list(site.folder.glob("starting-*")), "one is starting")
    pid = int(starting.name.partition("-")[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(pid, number)
    (site.folder / f"go-{pid}").touch()

    site.wait(lambda: worker.children() == [pid], "it works")
    assert site.stop(worker) == [0]


PROCESS_TASKS = """
@mill.task(name="rests", executor="process")
def rests():
    note("start", 0)
    time.sleep(60)

@mill.task(name="hogs", executor="process")
def hogs():
    note("start", 0)
    sum(range(2_000_000_000))
"""


def test_sigusr1_shows_the_jobs_in_processes_of_their_own(site: Site) -> None:
    site.add_to_app(PROCESS_TASKS)
    job_id = site.mill.task(name="rests", executor="process")(_elsewhere).enqueue().id
    worker = site.worker()
    [start] = site.wait_for_starts(1)
    worker.send_signal(signal.SIGUSR1)
    own = f"--- stacks of process {start.pid}\n"
    site.wait(lambda: site.output().partition(own)[2].endswith("---\n"), "the stacks are there")

    of_child, _, of_runner = site.output().partition(own)
    assert f"process {start.pid}, which tells its own stacks, rests {job_id} (attempt 1 of 1)" in of_child
    assert of_runner.startswith(f"\nthread MainThread, rests {job_id} (attempt 1 of 1):\n")
    assert "in rests\n    time.sleep(60)" in of_runner


def test_sigusr1_shows_in_a_line_what_waits_for_jobs(site: Site) -> None:
    site["wait"].enqueue(1)
    worker = site.worker()
    site.wait_for_starts(1)
    worker.send_signal(signal.SIGUSR1)
    output = site.wait(lambda: "\n---\n" in site.output() and site.output(), "the stacks are there")

    lines = output.splitlines()
    assert lines[lines.index(f"--- stacks of process {worker.child}") + 2].startswith(
        "thread taskmill-job-0, wait "
    )
    resting = [line for line in lines if line.startswith("thread taskmill-") and ", no job" in line]
    assert {line.split(",")[0] for line in resting} >= {"thread taskmill-heartbeat", "thread taskmill-job-1"}
    assert lines[-1 - len(resting) : -1] == resting


def test_sigusr1_reaches_a_job_in_a_process_of_its_own_whose_interpreter_hangs(site: Site) -> None:
    site.add_to_app(PROCESS_TASKS)
    site.mill.task(name="hogs", executor="process")(_elsewhere).enqueue()
    worker = site.worker()
    site.wait_for_starts(1)
    worker.send_signal(signal.SIGUSR1)

    site.wait(lambda: "in hogs" in site.output(), "the stacks are there")
    worker.kill()


def test_sigusr1_reaches_a_process_whose_interpreter_hangs(site: Site) -> None:
    site.add_to_app(
        """
        @mill.task(name="hogs")
        def hogs():
            note("start", 0)
            sum(range(2_000_000_000))
        """
    )
    site.mill.task(name="hogs")(lambda: None).enqueue()
    worker = site.worker()
    site.wait_for_starts(1)
    worker.send_signal(signal.SIGUSR1)

    site.wait(lambda: "in hogs" in site.output(), "the stacks are there")
    worker.kill()


def test_ctrl_c_reaches_all_and_the_supervisor_alone_decides(site: Site) -> None:
    result = site["wait"].enqueue(1)
    worker = site.worker()
    site.wait_for_starts(1)
    pid = worker.child
    worker.send_to_all(signal.SIGINT)
    (site.folder / f"go-{pid}").touch()

    assert worker.wait(SOON) == 0
    assert result.get(timeout=0) == pid
    assert "Traceback" not in site.output()


CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a container")
def test_it_works_as_process_1_of_a_container(site: Site) -> None:
    """Nobody handles signals for it there, and whose parent has died becomes its child."""
    site.add_to_app(
        """
        import subprocess, sys

        @mill.task(name="orphans")
        def orphans():
            # Its grandchild outlives its parent.
            command = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', ''])"
            subprocess.run([sys.executable, "-c", command])
            note("start", 0)
        """
    )
    result = site.mill.task(name="orphans")(lambda: None).enqueue()
    process = site.python(["-m", "taskmill", "worker", "app:mill"], before=CONTAINER)
    assert result.get(timeout=SOON) is None
    [inside] = children_of(process.pid)
    site.wait(lambda: not any(map(is_gone, children_of(inside))), "no dead stranger is left")
    os.kill(inside, signal.SIGTERM)

    assert process.wait(SOON) == 0
    assert "Traceback" not in site.output()


def test_two_processes_do_more_than_one(site: Site, long: bool) -> None:
    site.add_to_app(
        """
        @mill.task(name="computes")
        def computes():
            until = time.thread_time() + 0.01
            while time.thread_time() < until:
                pass
            note("end", 0)

        @mill.task(name="nothing")
        def nothing():
            pass
        """
    )
    computes = site.mill.task(name="computes")(lambda: None)
    nothing = site.mill.task(name="nothing")(lambda: None)
    took = {}
    for task, count in ((computes, 1_000 if long else 100), (nothing, 60_000 if long else 2_000)):
        for processes in ("1", "2"):
            worker = site.worker("--processes", processes)
            site.wait(lambda n=int(processes), w=worker: len(w.children()) == n, "all are there")
            site.wait(lambda n=int(processes): len(site.sessions()) == n, "all have begun")
            began = time.monotonic()
            # Who polls meanwhile takes a good part of a processor from them.
            site.mill.enqueue_many(task.s() for _ in range(count))[-1].get(timeout=SOON)
            site.wait(lambda: not {"queued", "running"} & set(site.counts()), "all have ended")
            took[task.name, processes] = time.monotonic() - began
            site.stop(worker)

    for name in ("computes", "nothing"):
        ratio = took[name, "1"] / took[name, "2"]
        figures.info(f"two processes are {ratio:.2f} times as fast as one with tasks that do: {name}")
    assert Path(site.folder / "notes").exists()
