"""Runs the tutorial, which is not part of this repository, with its two import lines changed and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = Path(os.environ.get("TASKMILL_TUTORIAL") or ROOT.parent / "shared/tutorial/tutorial.py")

IMPORTS = {
    "from huey import SqliteHuey, crontab": "from taskmill.huey import SqliteHuey, crontab",
    "from huey.constants import WORKER_THREAD": "from taskmill.huey.constants import WORKER_THREAD",
}

# As `python tutorial.py`; then it writes down what the tutorial itself shows only the end of.
RUNNER = """
import json, runpy, time
begun = time.monotonic()
names = runpy.run_path("tutorial.py", run_name="__main__")
seconds = time.monotonic() - begun
is_alive = names["consumer_thread"].is_alive()
with open("seen.json", "w") as file:
    json.dump({"seconds": seconds, "events": names["EVENT_LOG"], "is_consumer_alive": is_alive}, file)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of it."""

    status: int
    stdout: str
    stderr: str
    url: str
    seconds: float
    events: list[dict[str, Any]]
    is_consumer_alive: bool

    def said(self, beginning: str) -> str:
        """The rest of the only line that begins so."""
        [line] = [line for line in self.stdout.splitlines() if line.startswith(beginning)]
        return line.removeprefix(beginning).strip()

    def signals(self, job_id: str) -> list[str]:
        return [event["signal"] for event in self.events if event["id"] == job_id]


class Tutorial:
    """A run of the tutorial in the background."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="taskmill-tutorial-")
        self._path = Path(self._folder.name)
        (self._path / "tutorial.py").write_text(
            _rewritten(SOURCE.read_text(encoding="utf-8")), encoding="utf-8"
        )
        (self._path / "runner.py").write_text(RUNNER, encoding="utf-8")
        with (self._path / "stdout").open("w") as stdout, (self._path / "stderr").open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "runner.py"],
                cwd=self._path,
                stdout=stdout,
                stderr=stderr,
                env=_environment(),
            )

    def wait(self) -> Run:
        status = self._process.wait(timeout=150)
        seen = self._path / "seen.json"
        found = json.loads(seen.read_text()) if seen.exists() else {}
        return Run(
            status=status,
            stdout=(self._path / "stdout").read_text(),
            stderr=(self._path / "stderr").read_text(),
            url=f"sqlite:///{self._path}/tutorial-data/huey_demo.db",
            seconds=found.get("seconds", 0),
            events=found.get("events", []),
            is_consumer_alive=found.get("is_consumer_alive", True),
        )

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def _rewritten(source: str) -> str:
    lines = source.splitlines()
    for line in IMPORTS:
        assert lines.count(line) == 1, f"{SOURCE} has another import than {line!r}"
    return "\n".join(IMPORTS.get(line, line) for line in lines) + "\n"


def _environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name not in {"TUTORIAL_DB", "PYTHONWARNINGS"}
    }
