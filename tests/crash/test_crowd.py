"""Many processes on one file: each job once, locks hold, nobody is refused."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

from tests.crash.site import Site, figures

LOCKED, FREE = range(20), range(1000, 1100)


def test_a_lock_lets_one_job_at_a_time_run_and_those_without_it_do_not_wait(site: Site) -> None:
    workers = [site.worker("--threads", "4") for _ in range(2)]
    began = time.monotonic_ns()
    site.mill.enqueue_many(site["locked"].s(number, 0.05) for number in LOCKED)
    site.mill.enqueue_many(site["work"].s(number) for number in FREE)
    site.wait_until_done(len(LOCKED) + len(FREE))

    notes = site.notes()
    intervals = sorted(
        (note.at, end.at)
        for note in notes
        for end in notes
        if note.what == "start" and end.what == "end" and note.number == end.number and note.number in LOCKED
    )
    locked_done = max(note.at for note in notes if note.what == "end" and note.number in LOCKED)
    free_done = max(note.at for note in notes if note.what == "end" and note.number in FREE)
    figures.info(
        f"20 locked jobs of 50 ms: {(locked_done - began) / 1e9:.2f} s; "
        f"100 free ones behind them: {(free_done - began) / 1e9:.2f} s"
    )
    assert len(intervals) == len(LOCKED)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(intervals))
    assert free_done < locked_done
    assert Counter(note.number for note in site.notes("start")) == Counter([*LOCKED, *FREE])
    assert site.stop(*workers) == [0, 0]


PRODUCER = """
    import sys
    from app import mill, work

    first = int(sys.argv[1])
    for number in range(first, first + 1000):
        work.enqueue(number)
    for batch in range(first + 1000, first + 5000, 100):
        mill.enqueue_many(work.s(number) for number in range(batch, batch + 100))
"""


def test_two_producers_and_two_workers_run_ten_thousand_jobs_once_each(site: Site) -> None:
    began = time.monotonic()
    workers = [site.worker("--threads", "4", warm=False) for _ in range(2)]
    producers = [site.script(PRODUCER, str(first)) for first in (0, 5000)]
    codes = [producer.wait(60) for producer in producers]
    site.wait_until_done(10_000, timeout=60)
    took = time.monotonic() - began

    starts = Counter(note.number for note in site.notes("start"))
    by_worker = Counter(note.pid for note in site.notes("start"))
    figures.info(f"10,000 jobs in {took:.1f} s, {sorted(by_worker.values())} by worker")
    assert codes == [0, 0]
    assert starts == Counter(range(10_000))
    assert site.stop(*workers) == [0, 0]
    assert "database is locked" not in site.output()
    assert "Traceback" not in site.output()
    assert site.violations() == []


MANY = 20
EACH = 50
# Forked from one that has imported what they need, and has opened nothing.
IMPATIENT = """
    import os, sys, time
    import taskmill._storage.sqlite.storage
    from app import mill, work

    producers = []
    for first in map(int, sys.argv[1:]):
        producers.append(os.fork())
        if not producers[-1]:
            break
    else:
        statuses = [os.waitpid(pid, 0)[1] for pid in producers]
        sys.exit(f"ended with {statuses}" if any(statuses) else 0)

    work.enqueue(first)
    open(f"ready-{first}", "w").close()
    while True:
        try:
            open("go").close()
            break
        except FileNotFoundError:
            time.sleep(0.005)
    took = []
    for number in range(first + 1, first + 50):
        began = time.perf_counter()
        work.enqueue(number)
        took.append(1_000 * (time.perf_counter() - began))
    open(f"took-{first}", "w").write(" ".join(map(str, took)))
"""


def test_twenty_producers_at_once_are_not_refused_and_no_job_runs_twice(site: Site) -> None:
    worker = site.worker("--threads", "4")
    firsts = range(0, MANY * EACH, EACH)
    producers = site.script(IMPATIENT, *map(str, firsts))
    site.wait(lambda: all((site.folder / f"ready-{first}").exists() for first in firsts), "all are ready")

    (site.folder / "go").touch()
    status = producers.wait(60)
    site.wait_until_done(MANY * EACH)

    texts = [(site.folder / f"took-{first}").read_text() for first in firsts]
    took = sorted(float(each) for text in texts for each in text.split())
    figures.info(
        f"{MANY} producers at once: an enqueue takes {took[len(took) // 2]:.1f} ms (p50), "
        f"{took[len(took) * 99 // 100]:.0f} ms (p99), {took[-1]:.0f} ms (max)"
    )
    assert status == 0
    assert Counter(note.number for note in site.notes("start")) == Counter(range(MANY * EACH))
    assert site.stop(worker) == [0]
    assert site.violations() == []
