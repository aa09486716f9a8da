"""A child process as its supervisor has it: how it is started, talked to, looked at and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from taskmill._worker.bond import signals_held
from taskmill._worker.line import Line
from taskmill._worker.messages import LANGUAGE, FromParent

# From the descriptor of its end of the line to the words of the command line.
Command = Callable[[int], Sequence[str]]

_PAGE = os.sysconf("SC_PAGE_SIZE")


class ChildProcess:
    """Belongs to the thread that started it, which alone may wait for its end.

    Started anew and never forked off: a fork would take half of what its parent is in the middle of along.
    Making one raises OSError, and leaves nothing behind, where the system has no room for another process.
    """

    def __init__(self, command: Command) -> None:
        ours, theirs = socket.socketpair()
        self.line = Line(ours, LANGUAGE)
        with theirs, signals_held():
            try:
                self._popen = subprocess.Popen(command(theirs.fileno()), pass_fds=[theirs.fileno()])
            except OSError:
                self.line.close()
                raise

    @property
    def pid(self) -> int:
        return self._popen.pid

    def say(self, message: FromParent) -> None:
        self.line.say(message)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def dump(self) -> None:
        self._signal(signal.SIGUSR1)

    def is_stopped(self) -> bool:
        # After the name, which may contain anything: the state (proc_pid_stat(5)).
        return self._read("stat").rpartition(")")[2].split()[:1] in (["T"], ["t"])

    def memory(self) -> int:
        fields = self._read("statm").split()
        return int(fields[1]) * _PAGE if fields else 0

    def end(self) -> None:
        """Kill it, and see it off."""
        self.kill()
        self._popen.wait()
        self.line.close()

    def note_end(self, status: int) -> None:
        """It has been waited for."""
        self._popen.returncode = status
        self.line.close()

    def _signal(self, number: signal.Signals) -> None:
        # Until it has been waited for, its number is nobody else's.
        if self._popen.returncode is None:
            os.kill(self.pid, number)

    def _read(self, name: str) -> str:
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/{name}").read_text(encoding="utf-8", errors="replace")
        return ""
