"""Workers and their processes that are killed and deployed again and again, under load."""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Collection

import pytest

from tests.crash.site import Note, Site, Worker, figures, is_gone

SECOND = 1e9


def keep_busy(site: Site, numbers: itertools.count[int]) -> None:
    """Let there always be more than a moment's work."""
    if site.counts().get("queued", 0) < 300:
        site.mill.enqueue_many(site["work"].s(next(numbers), 0.01) for _ in range(500))


def one_at_work(site: Site, numbers: itertools.count[int], worker: Worker) -> int:
    """A living process of *worker* that has begun a job."""

    def found() -> int | None:
        keep_busy(site, numbers)
        busy = {note.pid for note in site.notes("start")}
        return next((pid for pid in worker.ordinary() if pid in busy and not is_gone(pid)), None)

    return int(site.wait(found, f"a process of {worker.pid} has begun a job"))


def delays(site: Site, kills: dict[int, int]) -> list[float]:
    """How long after the kill each job that was running in a killed process began again, in seconds."""
    starts = site.notes("start")
    return [(min(again_after(note, starts)) - kills[note.pid]) / SECOND for note in cut_in(site, kills)]


def cut_in(site: Site, pids: Collection[int]) -> list[Note]:
    """The starts in these processes, which are gone, that no end followed."""
    ended = {(note.pid, note.number) for note in site.notes("end")}
    return [note for note in site.notes("start") if note.pid in pids and (note.pid, note.number) not in ended]


def again_after(cut: Note, starts: list[Note]) -> list[int]:
    return [note.at for note in starts if note.number == cut.number and note.at > cut.at]


def have_begun_again(site: Site, pid: int) -> bool:
    """Whether what was cut off in that process has."""
    starts = site.notes("start")
    return all(again_after(note, starts) for note in cut_in(site, [pid]))


def check(site: Site, count: int, kills: dict[int, int], what: str) -> None:
    """Nothing lost, nothing failed, and nobody's jobs were touched but those of the dead."""
    site.wait_until_done(count, timeout=60)
    starts = Counter(note.number for note in site.notes("start"))
    of_the_dead = {note.number for note in site.notes("start") if note.pid in kills}
    # A kill may meet a process between two jobs.
    waits = delays(site, kills) or [0.0]
    figures.info(
        f"{len(kills)} kills of {what}, {count} jobs: those that were running began again after "
        f"{statistics.median(waits):.2f} s p50, {max(waits):.2f} s max; lost 0, failed 0"
    )
    assert set(starts) == set(range(count))
    assert {number for number, times in starts.items() if times > 1} <= of_the_dead
    jobs = site.mill.app.storage.inspection.find(limit=count)
    assert {(job.attempt, job.crashes) for job in jobs} == {(1, 0)}
    assert site.violations() == []
    assert "database is locked" not in site.output()


@pytest.fixture(name="kills_wanted")
def _kills_wanted(*, long: bool) -> int:
    return 20 if long else 8


def test_kills_of_single_processes_lose_nothing(site: Site, kills_wanted: int) -> None:
    numbers, kills = itertools.count(), dict[int, int]()
    workers = [site.worker("--threads", "4") for _ in range(2)]
    for turn in range(kills_wanted):
        # None that runs a suspect alone: who kills that three times over has his way.
        busy = [one_at_work(site, numbers, worker) for worker in workers]
        victim = busy[turn % 2]
        kills[victim] = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        site.wait(lambda victim=victim: is_gone(victim), "it is gone")
        site.wait(lambda victim=victim: have_begun_again(site, victim), "its jobs have begun again")

    check(site, next(numbers), kills, "single processes")
    assert site.stop(*workers) == [0, 0]


def test_kills_of_whole_workers_lose_nothing(site: Site, kills_wanted: int) -> None:
    numbers, kills = itertools.count(), dict[int, int]()
    workers = [site.worker("--threads", "4") for _ in range(2)]
    for _ in range(kills_wanted):
        workers.append(site.worker("--threads", "4"))
        busy = [one_at_work(site, numbers, worker) for worker in workers]
        kills[busy[0]] = time.monotonic_ns()
        workers.pop(0).kill()

    check(site, next(numbers), kills, "whole workers")
    assert site.stop(*workers) == [0, 0]
    site.wait(site.have_all_gone, "the sessions of the dead are gone")


def test_deploys_under_load_lose_nothing_and_burn_no_attempt(site: Site, *, long: bool) -> None:
    deploys = 10 if long else 5
    numbers, stops = itertools.count(), list[float]()
    worker = site.worker("--threads", "4")
    for _ in range(deploys):
        one_at_work(site, numbers, worker)
        successor = site.worker("--threads", "4")
        began = time.monotonic()
        assert site.stop(worker) == [0]
        stops.append(time.monotonic() - began)
        worker = successor

    count = next(numbers)
    site.wait_until_done(count, timeout=60)
    figures.info(
        f"{deploys} deploys under load, {count} jobs: gone after {statistics.median(stops):.2f} s p50, "
        f"{max(stops):.2f} s max; lost 0, run twice 0"
    )
    assert Counter(note.number for note in site.notes("end")) == Counter(range(count))
    jobs = site.mill.app.storage.inspection.find(limit=count)
    assert {(job.attempt, len(job.attempts), job.rescues) for job in jobs} == {(1, 0, 0)}
    assert site.stop(worker) == [0]
