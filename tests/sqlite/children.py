"""Other Python processes that use a store, for what only they can show; they speak over their pipes, line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# What every program of a child begins with.
_PRELUDE = """
import os, signal, sqlite3, sys, threading
from taskmill._core.instant import SECOND
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill import errors
from tests.conformance.builders import Worker, a_job, succeeded
path = sys.argv[1]
def store(**options):
    return SqliteStorage(path, **options)
def say(*words):
    print(*words, flush=True)
def heard():
    return sys.stdin.readline().strip()
"""


class Child:
    """A process that runs *program* on the store at *path*."""

    def __init__(self, program: str, path: Path, *arguments: str, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + program, str(path), *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self) -> str:
        """The next line that it says; empty when it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def tell(self, line: str = "go") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self, timeout: float = 60) -> str:
        """Close its input and wait; the rest of what it says, once it has ended well."""
        said, _ = self._process.communicate(timeout=timeout)
        assert self._process.returncode == 0, (self._process.returncode, said)
        return said.rstrip("\n")

    def kill(self) -> None:
        """End it by SIGKILL, whatever it is at."""
        self.signal(signal.SIGKILL)
        self._process.communicate(timeout=60)

    def signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.kill(self.pid, number)

    def wait_until_stopped(self) -> None:
        """Return once SIGSTOP has taken effect."""
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)


Spawn = Callable[..., Child]


def in_a_fork(work: Callable[[], object]) -> Callable[[], int]:
    """Fork this process and run *work* in the child; the answer waits for it and tells its exit status.

    0 is success. A child that does not end within 45 s is killed by its alarm (-14).
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(45)
            work()
            status = 0
        except BaseException:  # noqa: BLE001  (its parent sees no more of it than the status)
            traceback.print_exc()
        finally:
            os._exit(status)

    def status() -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return status
