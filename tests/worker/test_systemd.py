"""What a service manager is told, over a real socket, of a supervisor that is driven by hand."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskmill._core.instant import SECOND
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._worker.messages import Pulse
from taskmill._worker.systemd import Systemd
from taskmill.testing import FakeClock
from tests.worker.builders import Faults, FaultyStorage
from tests.worker.house import House

WATCHDOG = {"WATCHDOG_USEC": str(20 * SECOND)}


class Manager:
    """The end of the socket that a service manager has."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@taskmill-{os.getpid()}")
    yield manager
    manager.close()


class Watched:
    """A supervisor and what speaks for it; after a step, what was said."""

    def __init__(self, clock: FakeClock, manager: Manager, environment: dict[str, str]) -> None:
        self.faults = Faults()
        self.house = House(FaultyStorage(MemoryStorage(clock), self.faults), clock)
        self._manager = manager
        environment["NOTIFY_SOCKET"] = manager.address
        self._systemd = Systemd(environment, self.house.supervisor)

    def step(self, seconds: float = 0) -> list[str]:
        self.house.step(seconds)
        self.rest = self._systemd.step(self.house.clock.monotonic() / SECOND)
        return self._manager.heard()


@pytest.fixture
def watched(clock: FakeClock, manager: Manager) -> Callable[..., Watched]:
    return lambda **environment: Watched(clock, manager, environment)


def test_it_starts_is_ready_and_stops(watched: Callable[..., Watched]) -> None:
    there = watched()
    assert there.step() == ["STATUS=starting"]

    there.house.start()
    assert there.step() == ["READY=1", "STATUS=processes at work: 1 of 1"]
    assert there.step() == []
    assert there.rest == math.inf

    there.house.supervisor.ask_to_stop()
    assert there.step() == [
        "STOPPING=1",
        f"EXTEND_TIMEOUT_USEC={round((25 + 4.25 + 10) * SECOND)}",
        "STATUS=stopping: running jobs may finish within 25 s",
    ]


def test_it_says_twice_in_the_time_that_it_is_alive(watched: Callable[..., Watched]) -> None:
    there = watched(**WATCHDOG)
    process = there.house.start()
    assert "WATCHDOG=1" in there.step()
    assert there.rest == 10

    there.house.hear(process, Pulse(is_sure=True))
    assert there.step(9.9) == []
    assert there.rest == pytest.approx(0.1)
    assert there.step(0.1) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {**WATCHDOG, "WATCHDOG_PID": "1"}],
)
def test_who_does_not_wait_for_it_does_not_hear_it(
    watched: Callable[..., Watched], environment: dict[str, str]
) -> None:
    there = watched(**environment)
    there.house.start()

    assert "WATCHDOG=1" not in [*there.step(), *there.step(100)]


@pytest.mark.parametrize("pulse", [None, Pulse(is_sure=False)], ids=["nothing", "that it is not sure"])
def test_it_does_not_while_a_child_says_nothing_good(
    watched: Callable[..., Watched], pulse: Pulse | None
) -> None:
    there = watched(**WATCHDOG)
    process = there.house.start()
    there.step()

    if pulse is not None:
        there.house.hear(process, pulse)
    [told] = there.step(31)
    assert told == f"STATUS=process {process.pid} has given no sign of life for 30 s"
    assert there.rest == 1

    there.house.hear(process, Pulse(is_sure=True))
    assert there.step(1) == ["STATUS=processes at work: 1 of 1", "WATCHDOG=1"]


def test_it_does_not_while_the_store_takes_no_heartbeat(watched: Callable[..., Watched]) -> None:
    there = watched(**WATCHDOG)
    process = there.house.start()
    there.step()

    there.faults.break_down("sessions.renew")
    there.house.step(11)
    there.house.hear(process, Pulse(is_sure=True))
    there.house.step(11)
    there.house.hear(process, Pulse(is_sure=True))

    assert there.step(11) == ["STATUS=the store has given no sign of life for 30 s"]


def test_nobody_else_is_told_where_to_speak(manager: Manager, clock: FakeClock) -> None:
    environment = {"NOTIFY_SOCKET": manager.address, **WATCHDOG, "WATCHDOG_PID": "7", "HOME": "/"}

    Systemd(environment, House(MemoryStorage(clock), clock).supervisor)

    assert environment == {"HOME": "/"}


def test_a_manager_that_is_gone_is_warned_of(
    watched: Callable[..., Watched], manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    there = watched()
    manager.close()
    Path(manager.address).unlink(missing_ok=True)
    there._systemd.step(0)

    assert "was not told ['STATUS=starting']" in caplog.text
