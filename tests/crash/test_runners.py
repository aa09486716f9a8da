"""The processes of executor "process" belong to their worker: they end with it, however it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from taskmill._core.job import State
from tests.crash.site import SOON, Site, _elsewhere, is_gone

MORE = """
@mill.task(name="process", executor="process")
def process(number):
    note("start", number)
    while not os.path.exists("go"):
        time.sleep(0.005)
    note("end", number)
    return os.getpid()
"""


@pytest.fixture
def process(site: Site) -> Any:
    """A task that runs until it is told to go."""
    site.add_to_app(MORE)
    return site.mill.task(name="process", executor="process")(_elsewhere)


def test_it_dies_with_a_worker_that_is_killed_and_its_job_runs_again(site: Site, process: Any) -> None:
    first, second = site.worker(), site.worker()
    result = process.enqueue(1)
    [start] = site.wait_for_starts(1)
    worker, other = (first, second) if parent_of(start.pid) == first.child else (second, first)

    worker.kill()

    site.wait(lambda: is_gone(start.pid), "the process is gone")
    again = site.wait_for_starts(2)[1]
    assert parent_of(again.pid) == other.child
    (site.folder / "go").touch()
    site.wait_until_done(1)
    assert (result.get(timeout=0), result.job().attempt) == (again.pid, 1)


def test_it_needs_no_standard_error(site: Site, process: Any) -> None:
    result = process.enqueue(1)
    (site.folder / "go").touch()
    script = """
        import os, subprocess, app

        # Only its processes have none: a file of this one must not get that number.
        begin = subprocess.Popen
        subprocess.Popen = lambda *args, **kwargs: begin(*args, preexec_fn=lambda: os.close(2), **kwargs)
        app.mill.worker(burst=True).run()
    """

    assert site.script(script).wait(SOON) == 0
    assert result.state is State.SUCCEEDED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_all_leaves_it_to_its_worker(site: Site, process: Any, number: signal.Signals) -> None:
    """As a terminal sends for Ctrl-C, and a service manager when it stops a service."""
    worker = site.worker()
    result = process.enqueue(1)
    [start] = site.wait_for_starts(1)

    os.kill(start.pid, number)
    worker.send_signal(number)
    (site.folder / "go").touch()

    assert worker.wait(SOON) == 0
    assert result.state is State.SUCCEEDED
    site.wait(lambda: is_gone(start.pid), "the process is gone")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


SCRAWLS = """
@mill.task(name="scrawls")
def scrawls():
    for descriptor in range(3, 256):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                os.write(descriptor, b'\\xff\\n["Hello"]\\n[[[\\n["Mallory", 1]\\n')
        except OSError:
            pass
    return os.getpid()

@mill.task(name="scrawls_apart", executor="process")
def scrawls_apart():
    return scrawls()
"""


def test_a_task_that_writes_rubbish_to_those_around_it_ends_nobody(site: Site) -> None:
    site.add_to_app(SCRAWLS)
    scrawls = site.mill.task(name="scrawls")(_elsewhere)
    apart = site.mill.task(name="scrawls_apart", executor="process")(_elsewhere)
    worker = site.worker()

    pids = [task.enqueue().get(timeout=SOON) for task in (scrawls, apart, scrawls, apart)]

    assert pids == [worker.child, pids[1]] * 2
    assert site.stop(worker) == [0]
    assert "no message between two processes" in site.output()
