"""What `import taskmill` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import taskmill


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_public_names_are_these() -> None:
    assert taskmill.__all__ == [
        "Cancel",
        "CancelRequested",
        "Context",
        "CoroutineTask",
        "Event",
        "Job",
        "LogLine",
        "Mill",
        "Outgoing",
        "Pipeline",
        "Progress",
        "Result",
        "Retry",
        "Signature",
        "Snooze",
        "SoftTimeout",
        "State",
        "Task",
        "Visitor",
        "cron",
        "current_job",
        "errors",
        "every",
    ]
    assert all(getattr(taskmill, name) for name in taskmill.__all__)


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="module 'taskmill' has no attribute 'crom'"):
        taskmill.crom  # noqa: B018


@pytest.mark.parametrize(
    "module", ["asyncio", "sqlite3", "logging", "cronsim", "zoneinfo", "urllib", "difflib"]
)
def test_importing_it_does_not_load(module: str, tmp_path: Path) -> None:
    assert run(f"import taskmill, sys; print({module!r} in sys.modules)", tmp_path) == "False"


def test_defining_tasks_touches_no_file(tmp_path: Path) -> None:
    code = """
from taskmill import Mill, every
mill = Mill()
@mill.task
def add(a, b): ...
@mill.periodic(every(15))
def beat(): ...
lock = mill.lock("daily")
call = add.s(1, 2)
"""
    run(code, tmp_path)

    assert list(tmp_path.iterdir()) == []
