"""Machines, as far as servers and workers can tell: each has a network, a name and a boot of its own.

A hub, where the servers listen, and a cable from it to each machine: network namespaces, so that nothing of it is in
the network of this host, and nothing leaves it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.servers import ip_program

# A mount over the boot's id, and a name, that only the command and its children see.
_AS_A_MACHINE = 'hostname "$0" && mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'
_NETWORK = 0x40000000


class Machine:
    """The end of a cable, and all that was started there."""

    def __init__(self, number: int, boot: Path) -> None:
        self.number = number
        self.name = f"machine{number}"
        self.address, self.hub_address = f"10.83.{number}.2", f"10.83.{number}.1"
        self.namespace = _namespace(self.name)
        self._cable = f"to{number}"
        self._boot = boot
        boot.write_text(f"{uuid.uuid4()}\n")

    @property
    def before(self) -> Sequence[str]:
        """What a command is preceded by, to be carried out here."""
        here = [ip_program(), "netns", "exec", self.namespace, "unshare", "--uts", "--mount"]
        return [*here, "sh", "-c", _AS_A_MACHINE, self.name, str(self._boot)]

    def plug_in(self) -> None:
        """Lay the cable."""
        hub = _namespace("hub")
        _ip(
            "-n",
            hub,
            "link",
            "add",
            self._cable,
            "type",
            "veth",
            "peer",
            "name",
            "hub",
            "netns",
            self.namespace,
        )
        for place, link, address in (
            (hub, self._cable, self.hub_address),
            (self.namespace, "hub", self.address),
        ):
            _ip("-n", place, "address", "add", f"{address}/24", "dev", link)
            _ip("-n", place, "link", "set", link, "up")

    def cut_off(self) -> None:
        """Let nothing through any more; connections are not ended by that."""
        _ip("-n", _namespace("hub"), "link", "set", self._cable, "down")

    def reconnect(self) -> None:
        _ip("-n", _namespace("hub"), "link", "set", self._cable, "up")

    def pause(self) -> None:
        """Let all stand still that runs here, as on a host that is suspended."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def switch_off(self) -> None:
        """Take the power from it: nobody there can say goodbye."""
        self.cut_off()
        self._send(signal.SIGKILL)

    def reset(self) -> None:
        """As at first: nothing runs there, and the cable lets everything through."""
        self._send(signal.SIGKILL)
        self.reconnect()

    def _send(self, number: int) -> None:
        _send_to_all(self.namespace, number)


def are_allowed() -> bool:
    """Whether this user may make such things: root, unless it is in a container that may not."""
    probe = ["unshare", "--net", "--uts", "--mount", "true"]
    return os.geteuid() == 0 and subprocess.run(probe, check=False, capture_output=True).returncode == 0


@contextmanager
def network(folder: Path) -> Iterator[Sequence[Machine]]:
    """Two machines at a hub, in which the caller is meanwhile: what it starts, listens and connects there."""
    with ExitStack() as stack:
        machines = [Machine(number, folder / f"boot{number}") for number in (1, 2)]
        for namespace in (_namespace("hub"), *(machine.namespace for machine in machines)):
            stack.enter_context(_made(namespace))
        for machine in machines:
            machine.plug_in()
        stack.enter_context(_inside(_namespace("hub")))
        yield machines


def _namespace(name: str) -> str:
    # Another run of these tests has others.
    return f"taskmill-{os.getpid()}-{name}"


@contextmanager
def _made(namespace: str) -> Iterator[None]:
    _ip("netns", "add", namespace)
    try:
        _ip("-n", namespace, "link", "set", "lo", "up")
        yield
    finally:
        _send_to_all(namespace, signal.SIGKILL)
        # With it go its ends of cables.
        _ip("netns", "delete", namespace)


def _send_to_all(namespace: str, number: int) -> None:
    for pid in _ip("netns", "pids", namespace).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), number)


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Be in that namespace: this thread, and the processes and threads that it begins."""
    place = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(os.open(f"/run/netns/{namespace}", os.O_RDONLY))
        yield
    finally:
        _enter(place)


def _enter(place: int) -> None:
    # Python 3.11 has no os.setns.
    failed = ctypes.CDLL(None, use_errno=True).setns(place, _NETWORK)
    os.close(place)
    if failed:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> str:
    done = subprocess.run([ip_program(), *arguments], capture_output=True, text=True, check=False)
    assert not done.returncode, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout
