"""A folder with an application, a store and notes, and the processes that work on them."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from taskmill import Mill
from tests.worker.builders import wait_for

# Measured on the way, and never a reason to fail: pytest -o log_cli=true -o log_cli_level=INFO tests/crash
figures = logging.getLogger("figures")

SOON = 15.0
"""For what takes well below a second on a quiet machine."""

APP = """
import os, signal, sys, time
from taskmill import Context, Mill, every

mill = Mill("sqlite:///jobs.db", lease=float(os.environ.get("LEASE", "30")))

def note(*words):
    # One write with O_APPEND is not torn, and it survives SIGKILL.
    descriptor = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (" ".join(map(str, (time.monotonic_ns(), os.getpid(), *words))) + "\\n").encode())
    os.close(descriptor)

@mill.task(name="work")
def work(number, seconds=0.0):
    note("start", number)
    time.sleep(seconds)
    note("end", number)
    return number

@mill.task(name="locked", lock="serial")
def locked(number, seconds=0.0):
    note("start", number)
    time.sleep(seconds)
    note("end", number)

@mill.task(name="holds")
def holds(number):
    with mill.lock("serial"):
        note("start", number)
        time.sleep(60)

@mill.task(name="wait")
def wait(context: Context, number):
    note("start", number)
    while not os.path.exists(f"go-{os.getpid()}"):
        time.sleep(0.005)
    note("end", number, context.lost)
    return os.getpid()

@mill.task(name="blocks")
async def blocks(number):
    import asyncio
    note("start", number)
    await asyncio.to_thread(time.sleep, 60)

@mill.task(name="wait_async")
async def wait_async(number):
    import asyncio
    note("start", number)
    try:
        await asyncio.sleep(60)
    finally:
        note("cleanup", number)
"""


class Note(NamedTuple):
    """What a task wrote: when on the clock that all processes share, in which process, what."""

    at: int
    pid: int
    what: str
    number: int
    more: str


class Site:
    """Started processes are killed in the end; none is ever looked for by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        (folder / "app.py").write_text(APP)
        # What the tests enqueue; the functions are the application's.
        self.mill = Mill(f"sqlite:///{folder}/jobs.db")
        self._tasks: dict[str, Any] = {
            name: self.mill.task(name=name, lock="serial" if name == "locked" else None)(_elsewhere)
            for name in ("work", "locked", "holds", "wait")
        }
        for name in ("wait_async", "blocks"):
            self._tasks[name] = self.mill.task(name=name)(_elsewhere_async)

    def __getitem__(self, task: str) -> Any:
        return self._tasks[task]

    def add_to_app(self, text: str) -> None:
        with (self.folder / "app.py").open("a") as file:
            file.write(textwrap.dedent(text))

    def worker(self, *options: str, lease: float = 30, warm: bool = True) -> subprocess.Popen[bytes]:
        """A worker process; *warm*: return when it has begun its session."""
        before = self.sessions()
        command = ["-m", "taskmill", "worker", "app:mill", "--log-level", "warning", *options]
        process = self.python(command, LEASE=str(lease))
        if warm:
            wait_for(lambda: self.sessions() - before, "the worker has begun its session", SOON)
        return process

    def script(self, text: str, *arguments: str) -> subprocess.Popen[bytes]:
        file = self.folder / f"script_{len(self._processes)}.py"
        file.write_text(textwrap.dedent(text))
        return self.python([str(file), *arguments])

    def python(self, command: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def stop(self, *processes: subprocess.Popen[bytes]) -> list[int]:
        """End them as a deploy does; their exit codes."""
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(SOON) for process in processes]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.mill.close()

    # --- what can be seen

    def sessions(self) -> set[int]:
        return {session.session for session in self.mill.app.storage.inspection.sessions()}

    def are_leases_over(self) -> bool:
        leases = [file.read_bytes() for file in (self.folder / "jobs.db-sessions").glob("*.lease")]
        return all(int.from_bytes(lease, "little") < time.monotonic_ns() // 1_000 for lease in leases)

    def notes(self, what: str | None = None) -> list[Note]:
        file = self.folder / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        found = []
        for line in lines:
            at, pid, kind, number, *more = line.split()
            if what in {None, kind}:
                found.append(Note(int(at), int(pid), kind, int(number), " ".join(more)))
        return found

    def counts(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for queue in self.mill.app.storage.inspection.queues():
            for state, count in queue.states.items():
                if count:
                    totals[str(state)] = totals.get(str(state), 0) + count
        return totals

    def wait_for_starts(self, count: int) -> list[Note]:
        return list(
            self.wait(lambda: self.notes("start")[count - 1 :] and self.notes("start"), f"{count} starts")
        )

    def wait_until_done(self, count: int, timeout: float = SOON) -> None:
        wait_for(lambda: self.counts() == {"succeeded": count}, f"{count} jobs have succeeded", timeout)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        return wait_for(condition, what, SOON)

    def output(self) -> str:
        file = self.folder / "output"
        return file.read_text(errors="replace") if file.exists() else ""

    def integrity(self) -> str:
        """What SQLite itself says of the file."""
        connection = sqlite3.connect(self.folder / "jobs.db")
        try:
            [answer] = connection.execute("pragma integrity_check").fetchone()
            return str(answer)
        finally:
            connection.close()


def _elsewhere(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("this runs in the workers only")


async def _elsewhere_async(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("this runs in the workers only")
