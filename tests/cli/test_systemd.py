"""A worker under a service manager that waits for what it says."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.cli.process import LONGEST_WAIT, Meeting, Programs
from tests.crash.site import children_of, name_of


@pytest.fixture(params=["path"])
def manager(request: pytest.FixtureRequest, folder: Path) -> Iterator[socket.socket]:
    """The socket, under a name of that kind."""
    address = "notify" if request.param == "path" else f"\0taskmill-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(address)
        end.settimeout(LONGEST_WAIT)
        yield end


def environment(manager: socket.socket) -> dict[str, str]:
    name = manager.getsockname()
    address = f"@{name[1:].decode()}" if isinstance(name, bytes) else str(Path(name).resolve())
    return {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"}


def heard_until(manager: socket.socket, awaited: str) -> list[str]:
    """The lines until one that begins so, with that."""
    found: list[str] = []
    while not any(line.startswith(awaited) for line in found):
        found += manager.recv(4096).decode().splitlines()
    return found


@pytest.mark.parametrize("manager", ["abstract"], indirect=True)
def test_from_its_start_to_its_end(
    programs: Programs, app: ModuleType, meeting: Meeting, manager: socket.socket
) -> None:
    app.block.enqueue()
    worker = programs.start("worker", "app", "--grace", "7", env=environment(manager))

    begin = heard_until(manager, "STATUS=processes at work: 1 of 1")
    assert [line for line in begin if line != "WATCHDOG=1"] == [
        "STATUS=starting",
        "READY=1",
        "STATUS=processes at work: 1 of 1",
    ]
    assert "WATCHDOG=1" in heard_until(manager, "WATCHDOG=1")
    meeting.await_begin()
    worker.signal(signal.SIGTERM)
    end = heard_until(manager, "STATUS=stopping")
    assert {"STOPPING=1", "STATUS=stopping: running jobs may finish within 7 s"} < set(end)
    assert [line for line in end if line.startswith("EXTEND_TIMEOUT_USEC=")] == [
        "EXTEND_TIMEOUT_USEC=21250000"
    ]
    # The end of a job is no reason to think that it hangs.
    heard_until(manager, "WATCHDOG=1")
    meeting.let_go()
    assert worker.end()[0] == 0


def test_one_whose_process_hangs_does_not_say_that_it_is_alive(
    programs: Programs, app: ModuleType, manager: socket.socket, folder: Path
) -> None:
    (folder / "hasty.py").write_text("from taskmill import Mill\nmill = Mill('sqlite:///jobs.db', lease=2)\n")
    worker = programs.start("worker", "hasty", env=environment(manager))
    heard_until(manager, "STATUS=processes at work: 1 of 1")
    [child] = [pid for pid in children_of(worker.pid) if name_of(pid) == "taskmill worker"]

    os.kill(child, signal.SIGSTOP)
    heard_until(manager, f"STATUS=process {child} has given no sign of life for 2 s")
    os.kill(child, signal.SIGCONT)

    heard = heard_until(manager, "STATUS=processes at work")
    assert "WATCHDOG=1" not in heard[: heard.index("STATUS=processes at work: 1 of 1")]
    heard_until(manager, "WATCHDOG=1")
