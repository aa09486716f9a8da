"""A folder with an application, a store and notes, and the processes that work on them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from taskmill import Mill
from taskmill._storage.base import Violation
from tests.worker.builders import wait_for

# Measured on the way, and never a reason to fail: pytest -o log_cli=true -o log_cli_level=INFO tests/crash
figures = logging.getLogger("figures")

SOON = 45.0
"""For what takes well below a second on a quiet machine."""

APP = """
import os, signal, sys, time
from taskmill import Context, Mill, every

mill = Mill(os.environ["STORE"], lease=float(os.environ.get("LEASE", "30")))

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
    try:
        note("start", number)
        while not os.path.exists(f"go-{os.getpid()}"):
            time.sleep(0.005)
    except BaseException as error:
        note("stopped", number, type(error).__name__)
        raise
    note("end", number)
    return os.getpid()

@mill.task(name="blocks")
async def blocks(number):
    import asyncio
    note("start", number)
    await asyncio.to_thread(time.sleep, 60)

@mill.task(name="wait_async")
async def wait_async(number):
    import asyncio
    try:
        note("start", number)
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


class Worker:
    """A ``taskmill worker``: the supervising process and its children."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid

    def children(self) -> list[int]:
        """The processes that run jobs, the oldest first; those of executor "process" are theirs."""
        return [*self.ordinary(), *self._called("taskmill alone")]

    def ordinary(self) -> list[int]:
        """Those of them that do not run suspects alone."""
        return self._called("taskmill worker")

    def spares(self) -> list[int]:
        """Those that wait to become one."""
        return self._called("taskmill spare")

    def _called(self, name: str) -> list[int]:
        return [pid for pid in children_of(self.pid) if name_of(pid) == name]

    @property
    def child(self) -> int:
        """The only one."""
        [pid] = self.children()
        return pid

    def kill(self) -> None:
        """All of it, as when the machine's memory is full or its power fails."""
        self.process.kill()

    def send_signal(self, number: int) -> None:
        """To the supervisor, as a deploy does."""
        self.process.send_signal(number)

    def send_to_all(self, number: int) -> None:
        for pid in (self.pid, *children_of(self.pid)):
            os.kill(pid, number)

    def wait(self, timeout: float | None = None) -> int:
        return self.process.wait(timeout)


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def is_gone(pid: int) -> bool:
    """Whether it has ended; its parent may not have noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Site:
    """Started processes are killed in the end; none is ever looked for by name."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/jobs.db"
        self._processes: list[subprocess.Popen[bytes]] = []
        (folder / "app.py").write_text(APP)
        # What the tests enqueue; the functions are the application's.
        self.mill = Mill(self.url)
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

    def worker(
        self,
        *options: str,
        lease: float = 30,
        warm: bool = True,
        before: Sequence[str] = (),
        **environment: str,
    ) -> Worker:
        """A worker; *warm*: return when it has begun its session; *before*: what its command is preceded by."""
        known = self.sessions()
        command = ["-m", "taskmill", "worker", "app:mill", "--log-level", "warning", *options]
        process = self.python(command, before=before, LEASE=str(lease), **environment)
        if warm:
            wait_for(lambda: self.sessions() - known, "the worker has begun its session", SOON)
        return Worker(process)

    def script(self, text: str, *arguments: str) -> subprocess.Popen[bytes]:
        file = self.folder / f"script_{len(self._processes)}.py"
        file.write_text(textwrap.dedent(text))
        return self.python([str(file), *arguments])

    def python(
        self, command: Sequence[str], *, before: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [*before, sys.executable, *command],
                cwd=self.folder,
                env={**os.environ, "STORE": self.url, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def stop(self, *workers: Worker) -> list[int]:
        """End them as a deploy does; their exit codes."""
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        return [worker.wait(SOON) for worker in workers]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.mill.close()

    # --- what can be seen

    def sessions(self) -> set[int]:
        """Those that run jobs."""
        sessions = self.mill.app.storage.inspection.sessions()
        return {session.session for session in sessions if session.kind == "worker"}

    def have_all_gone(self) -> bool:
        """Whether no session is left, also of processes that nobody was there to end."""
        self.mill.app.storage.jobs.rescue()
        return not self.sessions()

    def are_leases_over(self) -> bool:
        leases = [file.read_bytes()[:8] for file in (self.folder / "jobs.db-sessions").glob("*.lease")]
        return all(int.from_bytes(lease, "little") < time.monotonic_ns() // 1_000 for lease in leases)

    def notes(self, what: str | None = None) -> list[Note]:
        file = self.folder / "notes"
        # Of a line that goes over the end of a page, a reader can see the beginning first.
        whole, _, _ = file.read_text().rpartition("\n") if file.exists() else ("", "", "")
        found = []
        for line in whole.splitlines():
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

    def violations(self) -> Sequence[Violation]:
        """What the database, and the rules of the store, find fault with."""
        return self.mill.app.storage.health.verify()


def _elsewhere(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("this runs in the workers only")


async def _elsewhere_async(*args: Any, **kwargs: Any) -> None:
    raise AssertionError("this runs in the workers only")
