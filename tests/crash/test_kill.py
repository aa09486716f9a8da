"""Processes that are killed: their jobs go on elsewhere, and the file is whole."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter

import pytest

from taskmill._core.filter import Filter
from taskmill._core.job import State
from tests.crash.site import SOON, Site, figures


def test_of_two_workers_with_two_hundred_jobs_one_is_killed_and_the_other_ends_them_all(site: Site) -> None:
    work = site["work"]
    workers = {worker.child: worker for worker in [site.worker("--threads", "4") for _ in range(2)]}
    site.mill.enqueue_many(work.s(number, 0.02) for number in range(200))
    victims_child = site.wait(lambda: site.notes("end"), "one works")[0].pid
    victim = workers.pop(victims_child)
    [survivor] = workers.values()

    victim.kill()
    killed_at = time.monotonic()
    site.wait_until_done(200)
    took = time.monotonic() - killed_at

    left = sum(note.at > killed_at * 1e9 for note in site.notes("end"))
    figures.info(f"the survivor ended the last of {left} jobs {took:.2f} s after the kill")
    starts = Counter(note.number for note in site.notes("start"))
    of_survivor = Counter(note.number for note in site.notes("start") if note.pid == survivor.child)
    of_victim = {note.number for note in site.notes("start") if note.pid == victims_child}
    assert set(starts) == set(range(200))
    # What the survivor ran itself it ran once; what started twice was in the victim's hands: running, or ended and
    # not yet recorded.
    assert set(of_survivor.values()) <= {1}
    assert {number for number, count in starts.items() if count > 1} <= of_victim
    assert site.stop(survivor) == [0]
    site.wait(site.have_all_gone, "the session of the dead is gone")
    assert site.violations() == []


def test_the_lock_of_a_killed_holder_is_free(site: Site) -> None:
    first, second = site["locked"].enqueue(1, 60), site["locked"].enqueue(2)
    victim = site.worker()
    site.wait_for_starts(1)
    survivor, victims_child = site.worker(), victim.child
    waits = second.job()
    victim.kill()
    killed_at = time.monotonic()
    # Its own turn comes first: it is the older one.
    site.wait_for_starts(2)
    figures.info(f"the lock of a killed holder was taken again after {time.monotonic() - killed_at:.2f} s")

    assert (waits.state, waits.attempt) == (State.QUEUED, 0)
    starts = [(note.number, note.pid) for note in site.notes("start")]
    assert starts == [(1, victims_child), (1, survivor.child)]
    assert first.job().rescues == 1


def test_the_lock_of_a_killed_block_is_free(site: Site) -> None:
    site["holds"].enqueue(1)
    victim = site.worker()
    site.wait_for_starts(1)
    victim.kill()
    killed_at = time.monotonic()

    with site.mill.lock("serial", timeout=SOON):
        figures.info(f"the lock of a killed block was taken again after {time.monotonic() - killed_at:.2f} s")


def test_what_a_killed_worker_left_running_does_not_keep_it_alive(site: Site) -> None:
    site.add_to_app(
        """
        @mill.task(name="forks")
        def forks(number):
            if os.path.exists("child"):
                return
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            with open("child", "w") as file:
                file.write(str(child))
            note("start", number)
            time.sleep(60)
        """
    )
    forks = site.mill.task(name="forks")(lambda number: None)
    result = forks.enqueue(1)
    victim = site.worker()
    site.wait_for_starts(1)
    child = int((site.folder / "child").read_text())
    try:
        site.worker()
        victim.kill()
        site.wait_until_done(1)

        assert result.job().rescues == 1
    finally:
        os.kill(child, signal.SIGKILL)


KILL = """
    import os, signal
    from taskmill._worker.machine import Machine
    from taskmill._worker.report import Reporter
    from taskmill._storage.sqlite.quick import QuickTurn
    import app

    def kill_at(owner, name, after):
        original = getattr(owner, name)
        def killed(self, *args, **kwargs):
            answer = original(self, *args, **kwargs)
            if after(self, *args):
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        setattr(owner, name, killed)

    def kill_before_commit(is_it):
        take = QuickTurn.take
        def killed(self, connection):
            if not is_it(self):
                return take(self, connection)
            # One statement cannot be cut from here; within a transaction it is not committed yet.
            connection.execute("begin immediate")
            take(self, connection)
            os.kill(os.getpid(), signal.SIGKILL)
        QuickTurn.take = killed
"""
MOMENTS = {
    "in the claiming transaction": "kill_before_commit(lambda turn: turn.want)",
    "between claim and start": 'kill_at(Machine, "_note_next", lambda self, turn: turn.claimed)',
    "between end and settlement": 'kill_at(Machine, "_learn", lambda self, finished: finished)',
    "in the settling transaction": 'kill_before_commit(lambda turn: turn.settlements != "{}")',
    "after the settling transaction": (
        'kill_at(Reporter, "settled", lambda self, settlements, turn: settlements)'
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_is_killed_loses_nothing_whatever_it_is_at(site: Site, moment: str) -> None:
    results = [site["work"].enqueue(number) for number in range(10)]
    last = (site["work"].s(10) | site["locked"].s()).enqueue()
    victim = site.script(f"{KILL}\n    {MOMENTS[moment]}\n    app.mill.worker(threads=2).run()\n")
    assert victim.wait(SOON) == -signal.SIGKILL
    broken = site.violations()
    ended = [number for number, result in enumerate(results) if result.state is State.SUCCEEDED]
    started = {note.number for note in site.notes("start")}

    site.worker()
    site.wait(
        lambda: all(result.state is State.SUCCEEDED for result in [*results, last]), "all have succeeded"
    )

    assert [*broken, *site.violations()] == []
    starts = Counter(note.number for note in site.notes("start") if note.number < 10)
    again = {number for number, count in starts.items() if count > 1}
    assert bool(ended) == (moment == "after the settling transaction")
    assert bool(started) == (moment not in {"in the claiming transaction", "between claim and start"})
    # At least once, and no more than what was in the two threads, or just out of them, when the kill came.
    assert max(starts.values()) <= 2
    assert again <= started - set(ended)
    assert {result.job().attempt for result in results} == {1}
    assert "database is locked" not in site.output()


def test_whenever_workers_are_killed_all_jobs_end_and_the_file_stays_whole(site: Site) -> None:
    work, pause = site["work"], itertools.cycle([0.0, 0.013, 0.031, 0.002, 0.047, 0.021])
    site.mill.enqueue_many(work.s(number, 0.001) for number in range(400))
    survivor = site.worker("--threads", "1")
    for _ in range(4):
        victim = site.worker()
        time.sleep(next(pause))  # the moment of the kill, and no wait for anything
        victim.kill()
        victim.wait()
        assert site.violations() == []
    site.wait_until_done(400)

    assert set(Counter(note.number for note in site.notes("end"))) == set(range(400))
    assert site.stop(survivor) == [0]
    assert "database is locked" not in site.output()


def test_every_enqueue_that_returned_is_in_the_store_of_a_killed_producer(site: Site) -> None:
    producer = site.script(
        """
        import itertools, os
        from app import mill, work

        acked = os.open("acked", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for number in itertools.count():
            if number % 3:
                ids = [work.enqueue(number).id]
            else:
                ids = [result.id for result in mill.enqueue_many(work.s(number) for _ in range(5))]
            os.write(acked, "".join(f"{job_id}\\n" for job_id in ids).encode())
        """
    )
    acked = site.folder / "acked"
    site.wait(lambda: acked.exists() and len(acked.read_text().splitlines()) > 300, "it enqueues")
    producer.kill()
    producer.wait()

    known = acked.read_text().splitlines()
    stored = {job.job_id for job in site.mill.app.storage.inspection.find(limit=1_000_000)}
    assert set(known) <= stored
    # What was stored when the kill came and not yet told: one call's worth, all of it or nothing.
    assert len(stored) - len(known) in {0, 1, 5}
    assert site.violations() == []
    figures.info(f"{len(known)} acknowledged, {len(stored)} stored")


def test_each_slot_of_a_schedule_fires_once_though_a_scheduler_is_killed(site: Site) -> None:
    site.add_to_app(
        """
        @mill.periodic(every(seconds=0.2), name="tick")
        def tick():
            note("start", 0)
        """
    )
    workers = [site.worker() for _ in range(2)]
    for count in (3, 6):
        site.wait(lambda count=count: len(site.notes("start")) >= count, f"{count} ticks")
        workers[0].kill()
    workers[0].wait()
    site.stop(workers[1])

    [state] = site.mill.app.storage.schedules.list()
    jobs = site.mill.app.storage.inspection.find(Filter(task="tick"), limit=1_000)
    assert state.fired == len(jobs)
    slots = sorted(round(job.run_at.timestamp() * 1_000_000) // 200_000 for job in jobs)
    assert len(set(slots)) == len(slots)
