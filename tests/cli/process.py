"""The command line in processes of its own, and the pipes over which tests and jobs wait for each other."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

LONGEST_WAIT = 45.0
MODULE = (sys.executable, "-W", "error", "-m", "taskmill")
SCRIPT = (str(Path(sys.executable).with_name("taskmill")),)


class Program:
    """A process under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._early = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def stderr(self) -> IO[str]:
        assert self._process.stderr is not None
        return self._process.stderr

    def start_line(self) -> str:
        """Wait until the worker says that it is ready; its processes may have warned of something before."""
        while " worker on " not in (line := self.stderr.readline()):
            self._early += line
            assert line, self._early
        return line

    def first_word(self) -> str:
        """Wait for the first line on standard error."""
        return self.stderr.readline()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; its status, and what it wrote, but for what was read."""
        out, err = self._process.communicate(timeout=LONGEST_WAIT)
        return self._process.returncode, out, self._early + err

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Programs:
    def __init__(self) -> None:
        self._started: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._started:
            program.kill()

    def start(
        self,
        *words: str,
        command: tuple[str, ...] = MODULE,
        env: dict[str, str] | None = None,
        stdout: int | IO[str] = subprocess.PIPE,
    ) -> Program:
        process = subprocess.Popen(
            [*command, *words],
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        program = Program(process)
        self._started.append(program)
        return program

    def run(
        self, *words: str, command: tuple[str, ...] = MODULE, env: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Start and wait for the end."""
        return self.start(*words, command=command, env=env).end()


class Meeting:
    """The test's end of the pipes over which a job says that it has begun, and waits for the test's word."""

    def __init__(self, folder: Path) -> None:
        os.mkfifo(folder / "begun")
        os.mkfifo(folder / "go")
        # Held open both ways, so that nobody waits for the other to come, and nothing is lost.
        self._begun = os.open(folder / "begun", os.O_RDWR)
        self._go = os.open(folder / "go", os.O_RDWR)

    def await_begin(self) -> None:
        readable, _, _ = select.select([self._begun], [], [], LONGEST_WAIT)
        assert readable, "no job began"
        os.read(self._begun, 1)

    def let_go(self) -> None:
        os.write(self._go, b"x")

    def close(self) -> None:
        os.close(self._begun)
        os.close(self._go)
