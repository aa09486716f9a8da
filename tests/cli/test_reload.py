"""``taskmill worker --reload``, with watchfiles and without."""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from taskmill import Mill
from taskmill._worker.reload import Changes
from tests.cli.process import Program, Programs

APP = """
    from taskmill import Mill

    mill = Mill("sqlite:///jobs.db?durability=normal")

    number = {version}

    @mill.task(name="version")
    def version():
        return number
"""
LONGEST_LOOK = 20
# What is not installed, as Python sees it.
WITHOUT = """
    import sys
    sys.modules["watchfiles"] = None
"""


def write(folder: Path, version: object) -> None:
    # At once, as editors do it.
    (folder / "new").write_text(dedent(APP.format(version=version)), encoding="utf-8")
    (folder / "new").replace(folder / "app.py")


def until(program: Program, words: str) -> str:
    """The line of the log that has them."""
    for line in program.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


def test_a_name_that_is_no_text_changes_like_any_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with closing(Changes([folder])) as changes:
        path = Path(os.fsdecode(b"\xff.py"))
        moments = iter(range(LONGEST_LOOK))
        # It may not have begun to look.
        while not select.select([changes], [], [], 1)[0]:
            path.write_text(f"moment = {next(moments)}")

        assert changes.read() == r"\udcff.py"


@pytest.mark.parametrize("is_installed", [True, False])
def test_it_starts_anew_when_a_file_changes_and_a_broken_one_does_not_end_it(
    programs: Programs, folder: Path, *, is_installed: bool
) -> None:
    write(folder, "first")
    (folder / "path").mkdir()
    if not is_installed:
        (folder / "path" / "sitecustomize.py").write_text(dedent(WITHOUT), encoding="utf-8")
    program = programs.start(
        "worker", "app", "--reload", "--coroutines", "0", "--process-slots", "0", env={"PYTHONPATH": "path"}
    )
    assert "NameError: name 'first' is not defined" in until(program, "NameError")
    until(program, "the next one is started when a file changes")

    write(folder, 1)
    until(program, " worker on ")
    mill = Mill("sqlite:///jobs.db?durability=normal")
    version = mill.task(name="version")(lambda: None)

    write(folder, "(")
    until(program, "the next one is started when a file changes")
    # It goes on with what it has; the error is of a file that was never in use.
    assert version.enqueue().get(timeout=45) == 1

    write(folder, 2)
    until(program, " is ready")
    results = iter(lambda: version.enqueue().get(timeout=45), 2)
    assert set(results) <= {1}

    mill.close()
    program.signal(signal.SIGTERM)
    assert program.end()[0] == 0
