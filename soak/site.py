"""The processes of a run, and what is done to them."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from soak import LEASE

ROOT = Path(__file__).resolve().parent.parent
_PAUSE = 2 * LEASE
# In seconds: for what takes well below one on a quiet machine.
_PATIENCE = 60
# The first process of the steady tree and one producer are let live, so that what grows has the time to show.
_STEADY = ["--processes", "2", "--threads", "4", "--process-slots", "1"]
_VICTIM = ["--processes", "1", "--threads", "4", "--process-slots", "1", "--grace", "5"]


_EXPECTED = re.compile(r"it always fails|was killed by SIGKILL|^taskmill [0-9.]+ worker on")


class Site:
    """Two trees of ``taskmill worker`` and two producers, in one folder; all are ended by `close`."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.harms: dict[str, int] = {}
        self._rng = random.Random(seed)
        self._started: list[subprocess.Popen[bytes]] = []
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._ahead: list[Callable[[], bool]] = []
        self._paused: list[int] = []
        self._go_on_at = 0.0
        self.steady = self._worker(_STEADY)
        self._victim = self._worker(_VICTIM)
        self.producer = self._producer()
        self._second_producer = self._producer()

    # --- what is done to them

    def harm(self) -> None:
        """Do one of the things that happen to processes; all of them come in turn, in an order by chance."""
        if time.monotonic() > self._go_on_at:
            self._go_on()
        if not self._ahead:
            self._ahead = [
                self.kill_process,
                self.kill_tree,
                self.deploy,
                self.pause,
                self.kill_producer,
                self.kill_runner,
            ]
            self._rng.shuffle(self._ahead)
        harm = self._ahead.pop()
        if harm():
            self.harms[harm.__name__] = self.harms.get(harm.__name__, 0) + 1

    def kill_process(self) -> bool:
        """SIGKILL for a process that runs jobs; never for the first, and never for one that runs suspects."""
        victims = workers_of(self.steady.pid)[1:]
        return bool(victims) and _send(self._rng.choice(victims), signal.SIGKILL)

    def kill_tree(self) -> bool:
        """SIGKILL for a supervisor, and the kernel ends the rest."""
        self._victim.kill()
        self._leaving.append(self._victim)
        self._victim = self._worker(_VICTIM)
        return True

    def deploy(self) -> bool:
        """SIGTERM, with a successor."""
        if self._paused:
            return False
        old, self._victim = self._victim, self._worker(_VICTIM)
        self._leaving.append(old)
        return _send(old.pid, signal.SIGTERM)

    def pause(self) -> bool:
        """SIGSTOP for a whole tree, past its lease."""
        if self._paused:
            return False
        self._paused = [self._victim.pid, *descendants_of(self._victim.pid)]
        self._go_on_at = time.monotonic() + _PAUSE
        for pid in self._paused:
            _send(pid, signal.SIGSTOP)
        return True

    def kill_producer(self) -> bool:
        """SIGKILL in the middle of whatever it enqueues."""
        self._second_producer.kill()
        self._second_producer.wait()
        self._second_producer = self._producer()
        return True

    def kill_runner(self) -> bool:
        """SIGKILL for a process of executor "process"."""
        runners = [runner for worker in workers_of(self.steady.pid)[1:] for runner in children_of(worker)]
        return bool(runners) and _send(self._rng.choice(runners), signal.SIGKILL)

    def _go_on(self) -> None:
        for pid in self._paused:
            _send(pid, signal.SIGCONT)
        self._paused = []

    # --- the end

    def stop_producers(self) -> None:
        """No more work; what is stopped goes on."""
        self._go_on()
        (self.folder / "stop").touch()
        for producer in (self.producer, self._second_producer):
            producer.wait(_PATIENCE)

    def stop_workers(self) -> list[int]:
        """Their exit statuses."""
        # SIGTERM ends one that has not begun.
        until(lambda: workers_of(self._victim.pid), _PATIENCE)
        for worker in (self.steady, self._victim):
            _send(worker.pid, signal.SIGTERM)
        return [worker.wait(_PATIENCE) for worker in (self.steady, self._victim)]

    def output(self) -> str:
        """What they wrote to their terminal last, without what they had to write."""
        lines = (self.folder / "output").read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if not _EXPECTED.search(line)][-50:])

    def close(self) -> None:
        self._go_on()
        for process in self._started:
            process.kill()
            process.wait()

    # --- how they are started

    def _worker(self, options: list[str]) -> subprocess.Popen[bytes]:
        return self._start("taskmill", "worker", "soak.tasks:mill", "--log-level", "error", *options)

    def _producer(self) -> subprocess.Popen[bytes]:
        return self._start("soak.producer", str(self._rng.randrange(2**32)))

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        for ended in [process for process in self._leaving if process.poll() is not None]:
            self._leaving.remove(ended)
            self._started.remove(ended)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": path},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process


def until(condition: Callable[[], object], patience: float) -> bool:
    """Wait for it, so many seconds at most; whether it came."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def workers_of(supervisor: int) -> list[int]:
    """Its processes that run jobs, the oldest first; not the spare, nor one that runs suspects."""
    return [
        pid
        for pid in children_of(supervisor)
        if _read(Path(f"/proc/{pid}/comm")).strip() == "taskmill worker"
    ]


def children_of(pid: int) -> list[int]:
    """Those that any of its threads started; of each thread the oldest first."""
    threads = sorted(Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for file in threads for child in _read(file).split()]


def descendants_of(pid: int) -> list[int]:
    """Its children, and theirs."""
    return [each for child in children_of(pid) for each in (child, *descendants_of(child))]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
