"""The consumer of taskmill.huey."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from taskmill import every
from taskmill.huey import ConfigurationError, MemoryHuey, SqliteHuey, crontab
from taskmill.huey.constants import WORKER_THREAD, WORKER_TYPES
from tests.huey.builders import consuming


def wait_for(handle: Any) -> Any:
    return handle(blocking=True, timeout=45)


def test_it_lives_in_a_thread_until_it_is_stopped(huey: SqliteHuey) -> None:
    @huey.task()
    def thread_of_mine() -> str:
        return threading.current_thread().name

    consumer = huey.create_consumer(
        workers=4,
        worker_type=WORKER_THREAD,
        periodic=True,
        initial_delay=0.1,
        backoff=1.15,
        max_delay=2.0,
        scheduler_interval=1,
        check_worker_health=True,
        health_check_interval=10,
        flush_locks=False,
    )
    thread = threading.Thread(target=consumer.run, daemon=True)
    thread.start()

    for _ in range(3):
        assert wait_for(thread_of_mine()) != "MainThread"
        assert thread.is_alive()
    consumer.stop(graceful=True)
    thread.join(45)

    assert not thread.is_alive()


def test_a_graceful_stop_lets_running_tasks_end(huey: SqliteHuey) -> None:
    is_running, is_stopping = threading.Event(), threading.Event()

    @huey.task()
    def long() -> str:
        is_running.set()
        is_stopping.wait(45)
        return "ended"

    handle = long()
    consumer = huey.create_consumer()
    consumer.start()
    is_running.wait(45)
    threading.Timer(0.1, is_stopping.set).start()
    consumer.stop(graceful=True)

    assert handle() == "ended"


def test_one_that_is_stopped_before_it_runs_ends_at_once(huey: SqliteHuey) -> None:
    consumer = huey.create_consumer()

    consumer.stop(graceful=True)
    consumer.run()


def test_it_stops_on_a_signal(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from taskmill.huey import SqliteHuey\n"
        "huey = SqliteHuey(filename='huey.db')\n"
        "@huey.task()\n"
        "def end():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return 'ended'\n"
        "handle = end()\n"
        "huey.create_consumer().run()\n"
        "print(handle())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=45, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


def test_it_takes_only_the_jobs_of_its_huey(huey: SqliteHuey, tmp_path: Path) -> None:
    other = SqliteHuey("other", filename=tmp_path / "huey.db")
    define = [instance.task(name="one")(lambda: 1) for instance in (huey, other)]
    mine, foreign = (task() for task in define)

    with consuming(huey):
        assert wait_for(mine) == 1

    assert foreign() is None
    other.mill.close()


def test_periodic_tasks_are_enqueued_when_they_are_due(huey: SqliteHuey) -> None:
    ticks = threading.Semaphore(0)

    @huey.task()
    def beat() -> None:
        ticks.release()

    @huey.periodic_task(every(0.1))
    def clock() -> None:
        beat()

    with consuming(huey):
        assert all(ticks.acquire(timeout=45) for _ in range(3))


def test_a_consumer_without_them_enqueues_none(huey: SqliteHuey) -> None:
    has_ticked = threading.Event()

    @huey.periodic_task(every(0.1))
    def clock() -> None:
        has_ticked.set()

    @huey.task()
    def wait() -> None:
        threading.Event().wait(0.3)

    with consuming(huey, periodic=False):
        wait_for(wait())
    assert not has_ticked.is_set()
    with consuming(huey, periodic=True):
        assert has_ticked.wait(45)


def test_a_crontab_is_read_in_utc_or_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    specs = []
    for utc in (True, False):
        huey = MemoryHuey(utc=utc)

        @huey.periodic_task(crontab(minute="*/30", hour="9-17"), retries=2, name="report")
        def work() -> None: ...

        specs += [periodic.schedule.spec for periodic in huey.mill.app.periodics.values()]
        assert work.settings.retries == 2

    assert specs == [f"cron 0,30 9,10,11,12,13,14,15,16,17 * * * {zone}" for zone in ("UTC", "Europe/Berlin")]


def test_a_periodic_task_can_be_called_too(huey: SqliteHuey) -> None:
    @huey.periodic_task(crontab(minute="0", hour="3"))
    def nightly() -> str:
        return "by hand"

    with consuming(huey):
        assert wait_for(nightly()) == "by hand"


@pytest.mark.parametrize("worker_type", sorted(set(WORKER_TYPES) - {WORKER_THREAD}))
def test_it_has_threads_only(huey: SqliteHuey, worker_type: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{worker_type}.*threads"):
        huey.create_consumer(worker_type=worker_type)


def test_an_unknown_option_is_named_with_those_that_there_are(huey: SqliteHuey) -> None:
    with pytest.raises(ConfigurationError, match=r"no option 'max_tasks'.*workers, worker_type, periodic"):
        huey.create_consumer(max_tasks=3)
