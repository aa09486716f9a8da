"""The doorbell between processes. Two stores on one file have a bell each, so most of it shows within one process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskmill._storage.sqlite.doorbell import Doorbell
from taskmill._storage.wake import PATIENCE

LONG = 45.0
Make = Callable[[], Doorbell]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Doorbell] = []

    def one_more() -> Doorbell:
        made.append(Doorbell(tmp_path / "jobs.db-sessions"))
        return made[-1]

    yield one_more
    for doorbell in made:
        doorbell.close()


def a_worker(doorbell: Doorbell, room: str = "all") -> threading.Event:
    """A worker that rests at *doorbell*, as the event that rings it."""
    rung = threading.Event()
    doorbell.on_jobs(rung.set)
    doorbell.rest(rung.set, room)  # type: ignore[arg-type]
    return rung


class TestJobs:
    def test_another_processes_worker_is_rung(self, make: Make) -> None:
        rung = a_worker(make())

        make().jobs_added()

        assert rung.wait(LONG)

    def test_one_that_rests_is_enough(self, make: Make) -> None:
        first, second = a_worker(make()), a_worker(make())
        producer = make()

        producer.jobs_added()
        producer.jobs_added()

        # The second ring goes to the one that the first left out: had the first gone to both, neither would say so.
        assert first.wait(LONG)
        assert second.wait(LONG)

    def test_one_that_rests_here_is_rung_rather_than_another_process(self, make: Make) -> None:
        here = make()
        near = a_worker(here)
        far = a_worker(make())

        here.jobs_added()
        here.rise(near.set)
        near_was_rung = near.is_set()
        far_was_rung = far.is_set()
        here.jobs_added()

        assert near_was_rung
        assert not far_was_rung
        assert far.wait(LONG)

    def test_where_none_has_room_for_any_job_all_with_some_room_are_rung(self, make: Make) -> None:
        first, second = a_worker(make(), "some"), a_worker(make(), "some")

        make().jobs_added()

        assert first.wait(LONG)
        assert second.wait(LONG)

    def test_jobs_that_were_left_ring_one_that_rests(self, make: Make) -> None:
        rung = a_worker(make())

        make().jobs_left()

        assert rung.wait(LONG)


class TestResults:
    def test_who_waits_for_a_result_is_rung_by_the_process_that_has_it(self, make: Make) -> None:
        rung = threading.Event()
        forget = make().on_end("job-7", rung.set)

        make().jobs_ended([f"job-{number}" for number in range(250)])

        assert rung.wait(LONG)
        forget()

    def test_a_job_with_a_damaged_id_harms_nobody(self, make: Make) -> None:
        rung = threading.Event()
        forget = make().on_end("job-7", rung.set)

        make().jobs_ended(["j\xf6b-3", "\udcff", "job-7"])

        assert rung.wait(LONG)
        forget()

    def test_who_waits_for_another_job_is_not(self, make: Make) -> None:
        wrong, right = threading.Event(), threading.Event()
        waiting = make()
        forget = [waiting.on_end("other", wrong.set), waiting.on_end("mine", right.set)]

        make().jobs_ended(["mine"])

        assert right.wait(LONG)
        assert not wrong.is_set()
        for no_longer in forget:
            no_longer()


class TestTrouble:
    def test_the_bell_of_a_killed_process_is_removed_and_the_next_is_rung(
        self, make: Make, tmp_path: Path
    ) -> None:
        program = (
            "import sys, threading; from pathlib import Path\n"
            "from taskmill._storage.sqlite.doorbell import Doorbell\n"
            "bell = Doorbell(Path(sys.argv[1])); bell.rest(print, 'all'); print('ready', flush=True); input()\n"
        )
        folder = tmp_path / "jobs.db-sessions"
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        [dead] = folder.glob("*.bell")
        child.send_signal(signal.SIGKILL)
        child.communicate()
        rung = a_worker(make())
        producer = make()

        # Twice, because the first may go to the living one.
        producer.jobs_added()
        producer.jobs_added()

        assert rung.wait(LONG)
        assert not dead.exists()

    def test_a_path_longer_than_a_sockets_name_may_be_does_not_matter(self, tmp_path: Path) -> None:
        folder = tmp_path / ("x" * 120) / "jobs.db-sessions"
        folder.mkdir(parents=True)
        waiting, ringing = Doorbell(folder), Doorbell(folder)
        rung = a_worker(waiting)

        ringing.jobs_added()

        assert rung.wait(LONG)
        waiting.close()
        ringing.close()

    def test_where_no_socket_can_be_had_it_says_so_and_those_who_wait_look_often(
        self, make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(socket.socket, "bind", refuse)

        with caplog.at_level(logging.INFO, logger="taskmill.storage"):
            patience = make().patience

        assert patience < PATIENCE
        assert "no doorbell" in caplog.text

    def test_a_forked_child_has_a_bell_of_its_own(self, make: Make, tmp_path: Path) -> None:
        doorbell = make()
        rung = a_worker(doorbell)
        child = os.fork()
        if child == 0:
            doorbell.rest(print, "some")
            os._exit(len(list((tmp_path / "jobs.db-sessions").glob("*.bell"))))

        _, status = os.waitpid(child, 0)
        make().jobs_added()

        assert os.waitstatus_to_exitcode(status) == 2
        assert rung.wait(LONG)

    def test_closing_leaves_nothing_behind(self, make: Make, tmp_path: Path) -> None:
        doorbell = make()
        a_worker(doorbell)

        doorbell.close()

        assert list((tmp_path / "jobs.db-sessions").iterdir()) == []

    def test_a_program_that_ends_without_closing_leaves_nothing_behind(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path\n"
            "from taskmill._storage.sqlite.doorbell import Doorbell\n"
            "Doorbell(Path(sys.argv[1])).rest(print, 'all')\n"
        )

        subprocess.run([sys.executable, "-c", program, str(tmp_path / "jobs.db-sessions")], check=True)

        assert list((tmp_path / "jobs.db-sessions").iterdir()) == []
