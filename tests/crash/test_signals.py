"""Processes that are told to stop, or stopped: what runs may finish, nothing is lost, no attempt is burnt."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from taskmill._core.job import State
from tests.crash.site import SOON, Site, figures


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_worker_that_is_told_to_stop_finishes_what_runs(site: Site, number: signal.Signals) -> None:
    runs, waits = site["wait"].enqueue(1), site["work"].enqueue(2)
    worker = site.script(
        """
        import app

        worker = app.mill.worker(threads=1)
        ask_to_stop = worker.ask_to_stop

        def told():
            ask_to_stop()
            app.note("told", 0)

        worker.ask_to_stop = told
        worker.run()
        """
    )
    site.wait_for_starts(1)
    worker.send_signal(number)
    site.wait(lambda: site.notes("told"), "the signal has arrived")
    (site.folder / f"go-{worker.pid}").touch()

    assert worker.wait(SOON) == 0
    assert runs.get(timeout=0) == worker.pid
    assert (waits.state, waits.job().attempt) == (State.QUEUED, 0)
    assert site.sessions() == set()


def test_an_idle_worker_stops_at_once(site: Site) -> None:
    worker = site.worker()
    began = time.monotonic()
    assert site.stop(worker) == [0]
    figures.info(f"an idle worker was gone after {time.monotonic() - began:.2f} s")


def test_deploys_lose_nothing_and_burn_no_attempt(site: Site) -> None:
    work = site["work"]
    results = site.mill.enqueue_many(work.s(number, 0.01) for number in range(300))
    old, deploys = site.worker(), 0
    # On a slow machine the first worker may have run them all when this comes to look.
    while not deploys or site.counts() != {"succeeded": 300}:
        new = site.worker()
        assert site.stop(old) == [0]
        old, deploys = new, deploys + 1
    site.stop(old)

    assert Counter(note.number for note in site.notes("end")) == Counter(range(300))
    assert len(site.notes("start")) == 300
    jobs = [result.job() for result in results]
    assert {(job.attempt, len(job.attempts), job.rescues) for job in jobs} == {(1, 0, 0)}


@pytest.mark.parametrize("task", ["work", "wait_async", "blocks"])
def test_a_job_that_outlasts_the_grace_is_given_back_and_the_process_is_gone(site: Site, task: str) -> None:
    result = site[task].enqueue(1, 60) if task == "work" else site[task].enqueue(1)
    worker = site.worker("--grace", "0.2")
    site.wait_for_starts(1)
    began = time.monotonic()

    assert site.stop(worker) == [0]
    figures.info(f"gone {time.monotonic() - began:.2f} s after SIGTERM, with a grace of 0.2 s")
    job = result.job()
    assert (job.state, job.attempt, job.rescues) == (State.QUEUED, 0, 0)
    assert [note.what for note in site.notes()] == ["start"] + ["cleanup"] * (task == "wait_async")
    assert site.sessions() == set()


def test_the_second_signal_ends_the_grace(site: Site) -> None:
    result = site["work"].enqueue(1, 60)
    worker = site.worker("--grace", "60")
    site.wait_for_starts(1)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)

    assert worker.wait(SOON) == 0
    assert (result.state, result.job().attempt) == (State.QUEUED, 0)


def test_a_storm_of_signals_does_not_make_it_hang(site: Site) -> None:
    result = site["wait"].enqueue(1)
    worker = site.worker("--grace", "60")
    site.wait_for_starts(1)
    for number in [signal.SIGTERM, signal.SIGINT] * 200:
        worker.send_signal(number)

    # Those that come when it has given the signals back end the process as they end any.
    assert worker.wait(SOON) in {0, 130, -signal.SIGTERM, -signal.SIGINT}
    assert (result.state, result.job().attempt) == (State.QUEUED, 0)
    assert site.sessions() == set()


def test_a_stopped_worker_is_taken_over_and_works_on_when_it_comes_back(site: Site) -> None:
    result = site["wait"].enqueue(1)
    stopped = site.worker(lease=1)
    site.wait_for_starts(1)
    [old_session] = site.sessions()
    other = site.worker(lease=1)
    stopped.send_to_all(signal.SIGSTOP)
    began = time.monotonic()
    site.wait_for_starts(2)
    figures.info(f"taken over {time.monotonic() - began:.2f} s after SIGSTOP, with a lease of 1 s")
    (site.folder / f"go-{other.child}").touch()
    assert result.get(timeout=SOON) == other.child
    taken_over = result.job()
    assert site.stop(other) == [0]

    stopped.send_to_all(signal.SIGCONT)
    site.wait(lambda: site.sessions() and old_session not in site.sessions(), "it has a new session")
    [late] = site.wait(lambda: site.notes("stopped"), "its job, which another one has run, is stopped")
    (site.folder / f"go-{stopped.child}").touch()

    assert site["wait"].enqueue(2).get(timeout=SOON) == stopped.child
    assert result.job() == taken_over
    assert taken_over.rescues == 1
    assert (late.pid, late.more) == (stopped.child, "JobReleased")
    assert site.stop(stopped) == [0]
    assert site.sessions() == set()
    assert "going on under a new one" in site.output()


def test_workers_that_all_stood_still_take_nothing_from_each_other(site: Site) -> None:
    """As when the machine was suspended: every lease has run out, and everybody lives."""
    results = [site["wait"].enqueue(number) for number in range(2)]
    workers = [site.worker("--threads", "1", lease=1) for _ in range(2)]
    site.wait_for_starts(2)
    sessions = site.sessions()
    for worker in workers:
        worker.send_to_all(signal.SIGSTOP)
    site.wait(site.are_leases_over, "the leases are over")
    for worker in workers:
        worker.send_to_all(signal.SIGCONT)
    for worker in workers:
        (site.folder / f"go-{worker.child}").touch()

    assert {result.get(timeout=SOON) for result in results} == {worker.child for worker in workers}
    assert [result.job().rescues for result in results] == [0, 0]
    assert site.sessions() == sessions
    assert site.stop(*workers) == [0, 0]
