"""Which process is meant, and whether it is gone, as far as this host can tell."""

from __future__ import annotations

import os
import socket
from functools import cache, lru_cache
from pathlib import Path


def host_name() -> str:
    return socket.gethostname()


@cache
def boot_id() -> str:
    """A name of this boot of the machine: leases of another one are void."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def process_identity() -> str:
    """A name of this process that no other process of this boot had, in whatever container."""
    return _own_identity(os.getpid())


@lru_cache(maxsize=1)
def _own_identity(pid: int) -> str:
    # Asked for anew after a fork.
    return identity_of(pid)


def identity_of(pid: int) -> str:
    """Number, start and container, where the system tells; the container is this process's own."""
    try:
        return f"{pid}:{_stat(pid)[19]}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return str(pid)


def _stat(pid: int) -> list[str]:
    """What Linux tells of it, from its state on (proc_pid_stat(5)); its name, which may be anything, comes before."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _is_zombie(pid: int) -> bool:
    """Whether it has ended and only waits for its parent to take notice, who may never do."""
    try:
        state, threads = _stat(pid)[0], int(_stat(pid)[17])
    except OSError:
        return False
    return state == "Z" and threads <= 1


def has_ended(process: str) -> bool:
    """Whether the process of that identity is gone for certain; of another container's nothing is known."""
    pid, _, rest = process.partition(":")
    if rest.partition(":")[2] != process_identity().partition(":")[2].partition(":")[2]:
        return False
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return identity_of(int(pid)) not in (pid, process) or _is_zombie(int(pid))
