"""A folder with an application in it, and the two ways to call the command line: in this process, in one of its own."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from taskmill import Mill
from tests.cli.process import Meeting, Programs
from tests.cli.shell import Shell

APP = """
    import logging
    import os
    import time
    from concurrent.futures import ThreadPoolExecutor

    from taskmill import Mill, every

    mill = Mill("sqlite:///jobs.db?durability=normal")

    def meet():
        "Tell the test that the job has begun, then wait for its word."
        os.write(os.open("begun", os.O_RDWR), b"x")
        os.read(os.open("go", os.O_RDWR), 1)

    @mill.task
    def add(a, b):
        return a + b

    @mill.task(retries=1, retry_delay=0)
    def fail(message):
        raise ValueError(message)

    @mill.task
    def block():
        meet()

    @mill.task
    def logs():
        logging.getLogger("app").info("begun")
        meet()
        logging.getLogger("app").info("ended")

    @mill.task
    def block_in_a_pool():
        with ThreadPoolExecutor() as pool:
            pool.submit(meet).result()

    @mill.task
    async def block_the_loop():
        meet()

    @mill.periodic(every(3600))
    def tidy():
        pass
"""


_SETTINGS = {"COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTHONPATH", "PYTHONSAFEPATH"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("TASKMILL_") or name in _SETTINGS:
            monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def app(folder: Path) -> Iterator[ModuleType]:
    """The application above: app.py in the current folder, and here as a producer has it."""
    path = folder / "app.py"
    path.write_text(dedent(APP), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    module.mill.close()


@pytest.fixture
def meeting(folder: Path) -> Iterator[Meeting]:
    """With a job of the application."""
    meeting = Meeting(folder)
    yield meeting
    meeting.close()


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Processes of their own; none of them outlives the test."""
    with Programs() as programs:
        yield programs


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """The command line in this process; what it imports, and how loud it made the log, is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before, log = set(sys.modules), logging.getLogger("taskmill")
    level = log.level
    yield Shell(capsys)
    log.setLevel(level)
    for name in set(sys.modules) - before:
        if not name.startswith("taskmill"):
            del sys.modules[name]


@pytest.fixture
def mill(folder: Path) -> Iterator[Mill]:
    """One whose store is where the command line looks if nobody says anything."""
    mill = Mill("sqlite:///taskmill.db?durability=normal")
    yield mill
    mill.close()
