"""What every library under measurement is asked to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from subprocess import Popen
from typing import Any, Protocol, cast

THREADS = 4
ROOT = Path(__file__).parents[2]

Work = Callable[[float], float]
"""The body of the one task: it is given when it was enqueued, and returns that."""


def unchanged(sent: float) -> float:
    """The body of the task in a process that only enqueues."""
    return sent


class Adapter(Protocol):
    """One library with one task, in a store in a folder of its own; made anew in each process."""

    def enqueue(self, sent: float, *, delay: float = 0.0) -> Any:
        """Store a job, as a user does: one by one."""

    def get(self, handle: Any) -> None:
        """Wait for the result of a job."""

    def serve(self) -> None:
        """Run one worker process's worth of threads in this process, until it is killed."""

    def await_results(self) -> None:
        """Return when the results of all jobs that have started are stored."""

    def close(self) -> None:
        """Leave nothing behind on a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A library as it is set up here.

    - `adapter`: ``module:callable``, imported only where the subject is measured.
    - `python`: the interpreter that has the library.
    - `needs`: the variable of the environment with the URL of its server, if it needs one.
    - `share`: which part of the jobs is enough, for a slow one.
    """

    title: str
    adapter: str
    python: Path = Path(sys.executable)
    needs: str | None = None
    share: float = 1.0
    has_results: bool = True

    def open(self, folder: Path, work: Work) -> Adapter:
        module, _, name = self.adapter.partition(":")
        return cast(Adapter, getattr(import_module(module), name)(folder, work))

    def start(self, arguments: Sequence[str], **options: Any) -> Popen[str]:
        """Run ``python -m ARGUMENTS`` with that interpreter."""
        return Popen([self.python, "-m", *arguments], cwd=ROOT, text=True, **options)

    def is_at_hand(self) -> bool:
        """Whether the server that it needs is there."""
        return self.needs is None or self.needs in os.environ
