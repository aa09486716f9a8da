"""What a worker answers over HTTP to those who watch it, and `taskmill healthcheck`."""

from __future__ import annotations

import json
import re
import signal
import socket
from http.client import HTTPConnection
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.cli.process import LONGEST_WAIT, Meeting, Program, Programs
from tests.cli.shell import Shell
from tests.worker.builders import wait_for
from tests.worker.samples import Samples


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


class Watched:
    """A worker of the application that answers on a port of its own."""

    def __init__(self, programs: Programs, *words: str, target: str = "app") -> None:
        self.program: Program = programs.start("worker", target, "--http", "127.0.0.1:0", *words)
        found = re.search(r"; HTTP on 127\.0\.0\.1 port (\d+)", self.program.start_line())
        assert found is not None
        self.port = int(found[1])

    def ask(self, path: str, method: str = "GET") -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_WAIT)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
        finally:
            connection.close()

    def wait_for(self, path: str, status: int, text: str = "") -> Answer:
        def answer() -> Answer | None:
            found = self.ask(path)
            return found if found.status == status and text in found.text else None

        found: Answer = wait_for(answer, f"{path} is answered by {status} {text}", LONGEST_WAIT)
        return found


def test_a_worker_is_well_ready_and_while_it_drains_not_ready_any_more(
    programs: Programs, app: ModuleType, meeting: Meeting, shell: Shell
) -> None:
    app.block.using(queue="mail/out ä").enqueue()
    worker = Watched(programs, "--grace", "30")
    asked = f":{worker.port}"
    meeting.await_begin()
    before = worker.ask("/healthz"), worker.wait_for("/readyz", 200)
    backlog = worker.wait_for("/queues/mail/out%20%C3%A4", 200, '"backlog": 1')

    worker.program.signal(signal.SIGTERM)
    drained = worker.wait_for("/readyz", 503)
    healthy = worker.ask("/healthz")
    checks = [shell("healthcheck", "--http", asked), shell("healthcheck", "--http", asked, "--ready")]
    meeting.let_go()

    assert [answer.text for answer in before] == ["processes at work: 1 of 1\n"] * 2
    assert before[0].headers["Cache-Control"] == "no-store"
    assert json.loads(backlog.text) == {"queued": 0, "running": 1, "oldest_seconds": 0.0, "backlog": 1}
    assert backlog.headers["Content-Type"] == "application/json"
    assert drained.text == "stopping: running jobs may finish within 30 s\n"
    assert (healthy.status, healthy.text) == (200, drained.text)
    assert [check.status for check in checks] == [0, 1]
    assert worker.program.end()[0] == 0


def test_metrics_are_those_of_all_processes(programs: Programs, app: ModuleType) -> None:
    for number in range(20):
        app.add.using(queue="mail").enqueue(number, 1)
    app.fail.enqueue("on purpose")
    worker = Watched(programs, "--processes", "2")

    def ended() -> Samples | None:
        found = Samples(worker.ask("/metrics").text)
        are_both_there = (
            found.total("taskmill_worker_slots") and found("taskmill_workers", state="alive") == 2
        )
        return found if are_both_there and found.total("taskmill_jobs_finished_total") == 21 else None

    found = wait_for(ended, "both processes are at work, and all endings told", LONGEST_WAIT)
    add, fail = {"task": "app.add", "queue": "mail"}, {"task": "app.fail", "queue": "default"}
    assert found("taskmill_jobs_finished_total", **add, state="succeeded") == 20
    assert found("taskmill_jobs_finished_total", **fail, state="failed") == 1
    assert found("taskmill_jobs_retried_total", **fail) == 1
    assert found("taskmill_job_duration_seconds_count", **add) == 20
    assert found("taskmill_job_wait_seconds_count", **fail) == 2
    assert found("taskmill_worker_slots", executor="thread", state="busy") == 0


def test_who_may_ask_what(
    programs: Programs, app: ModuleType, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Watched(programs)
    worker.wait_for("/readyz", 200)

    assert "/healthz" in worker.ask("/").text
    assert (worker.ask("/").status, worker.ask("/healthz", "POST").status) == (404, 405)
    assert worker.ask("/healthz", "HEAD")[:2] == (200, "")
    # Those who say nothing keep nobody from asking.
    silent = [socket.create_connection(("127.0.0.1", worker.port)) for _ in range(4)]
    told = "processes at work: 1 of 1\n"
    assert shell("healthcheck", "--http", f":{worker.port}") == (0, told, "")
    assert shell("healthcheck", "--http", f"127.0.0.1:{worker.port}", "--ready") == (0, told, "")
    monkeypatch.setenv("TASKMILL_WORKER_HTTP", f":{worker.port}")
    assert shell("healthcheck") == (0, told, "")
    for each in silent:
        each.close()


def test_a_store_that_cannot_be_shared_is_not_asked(programs: Programs, folder: Path) -> None:
    (folder / "app.py").write_text("import taskmill\nmill = taskmill.Mill('memory://')\n")
    worker = Watched(programs)

    assert worker.wait_for("/readyz", 200).text == "processes at work: 1 of 1\n"
    assert worker.ask("/queues/default").status == 503


def test_where_nobody_answers(shell: Shell) -> None:
    with socket.socket() as taken:
        # Nobody else gets this port, and nobody listens there.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        answer = shell("healthcheck", "--http", f":{port}")

    assert answer.status == 1
    assert f"no worker answers at 127.0.0.1 port {port}" in answer.err


@pytest.mark.parametrize("host", ["no host", f"{'a' * 64}.example"])
def test_nobody_answers_at_a_name_that_no_host_can_have(shell: Shell, host: str) -> None:
    answer = shell("healthcheck", "--http", f"{host}:80")

    assert answer.status == 1
    assert f"no worker answers at {host} port 80" in answer.err


@pytest.mark.parametrize("words", [[], ["--http", "8080"], ["--http", ":99999"]])
def test_whom_to_ask_has_to_be_said(shell: Shell, words: list[str]) -> None:
    assert shell("healthcheck", *words).status == 2


def test_an_address_that_is_taken_ends_the_worker_at_once(
    programs: Programs, app: ModuleType, folder: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, _, err = programs.run("worker", "app", "--http", address)

    assert status == 2
    assert f"cannot listen on 127.0.0.1 port {address[10:]}" in err
