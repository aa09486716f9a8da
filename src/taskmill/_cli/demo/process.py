"""A child process of the demo, as the demo sees it."""

from __future__ import annotations

import subprocess
import sys
import threading
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from taskmill._cli.demo.measure import PATIENCE


class Process:
    """Runs a program of `child`; leaving the block kills it if it still runs."""

    def __init__(self, program: str, url: str) -> None:
        # -P: the user's folder may hold modules that are called like those of the standard library.
        command = [sys.executable, "-P", "-m", f"{__package__}.child", program, url]
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def line(self) -> str:
        """The next line that it says; TimeoutError if it stays silent."""
        try:
            return self._lines.get(timeout=PATIENCE)
        except Empty:
            raise TimeoutError(f"process {self.pid} said nothing for {PATIENCE:g} s") from None

    def kill(self) -> None:
        """End it with SIGKILL, as the kernel does when memory runs out."""
        self._popen.kill()
        self._popen.wait()

    def terminate(self) -> int:
        """Ask it to end with SIGTERM, as a deploy does; its exit status."""
        self._popen.terminate()
        return self._popen.wait(timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        assert self._popen.stdout is not None  # noqa: S101  (asked for above)
        for line in self._popen.stdout:
            self._lines.put(line.strip())
