"""The demo as people run it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from taskmill._cli import exit_code
from taskmill._cli.demo import command
from taskmill._cli.demo.story import Show, step
from taskmill._cli.main import main
from taskmill._core.job import State

DEMO = [sys.executable, "-W", "error", "-m", "taskmill", "demo"]
LONGEST = 100
CLAIMS = len(command.STEPS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def killed_child(folder: Path) -> int:
    """A process of a demo that was killed there, with a job waiting for what this process held."""
    demo = subprocess.Popen(DEMO, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "and a job waits for it" in line:
            break
    demo.kill()
    demo.communicate()
    return next(int(word) for word in line.split() if word.isdecimal())


@pytest.fixture(scope="module")
def told(folder: Path, killed_child: int) -> subprocess.CompletedProcess[str]:
    """A whole demo, where another one was killed before it."""
    return run(folder)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *words], cwd=folder, capture_output=True, text=True, timeout=LONGEST, check=False
    )


def test_every_promise_is_kept(told: subprocess.CompletedProcess[str]) -> None:
    assert (told.returncode, told.stderr) == (exit_code.OK, ""), told.stdout
    assert f"All {CLAIMS} promises kept" in told.stdout
    assert "BROKEN" not in told.stdout


def test_all_claims_of_the_tutorial_are_there_and_two_more() -> None:
    assert CLAIMS == 18


def test_it_reads_well_in_80_columns_and_without_colours(told: subprocess.CompletedProcess[str]) -> None:
    assert max(map(len, told.stdout.splitlines())) <= 80
    assert told.stdout.isascii()
    assert "\033" not in told.stdout


def test_nothing_is_left_to_do_in_the_file(told: subprocess.CompletedProcess[str], folder: Path) -> None:
    with closing(sqlite3.connect(folder / "taskmill-demo.db")) as connection:
        states = {state for (state,) in connection.execute("select distinct state from taskmill_job")}
        sessions = connection.execute("select count(*) from taskmill_session").fetchone()

    assert states == {State.SUCCEEDED, State.FAILED, State.CANCELLED}
    assert sessions == (0,)


def test_the_commands_that_it_ends_with_work(told: subprocess.CompletedProcess[str], folder: Path) -> None:
    last = told.stdout.partition("for you to look at:\n")[2].replace("\\\n", "")
    commands = [line.split() for line in last.splitlines() if line.startswith("  taskmill ")]
    assert [words[1:3] for words in commands] == [["jobs", "list"], ["jobs", "show"], ["dashboard", "--url"]]

    # The last one serves until it is told to stop.
    for words in commands[:2]:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=folder,
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

        assert (done.returncode, done.stderr) == (exit_code.OK, "")
        assert "demo:" in done.stdout


def test_a_killed_demo_leaves_no_process_and_no_obstacle_behind(
    killed_child: int, told: subprocess.CompletedProcess[str]
) -> None:
    assert told.returncode == exit_code.OK, told.stdout + told.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(killed_child, 0)


def test_ctrl_c_ends_it_with_a_sentence(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        DEMO, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "delay=1:" in line:
            break
    os.killpg(demo.pid, signal.SIGINT)
    out, err = demo.communicate(timeout=LONGEST)

    assert (demo.returncode, err) == (exit_code.INTERRUPTED, "")
    assert out.endswith("Interrupted; taskmill-demo.db is left as it is.\n")


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.db").write_text("my thesis")

    done = run(tmp_path, "--file", "thesis.db")

    assert (done.returncode, done.stdout) == (exit_code.USAGE, "")
    assert done.stderr.startswith("taskmill: error: thesis.db is no SQLite database; it is left alone")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "thesis.db").read_text() == "my thesis"


def test_a_broken_promise_ends_it_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @step("Arithmetic")
    def arithmetic(show: Show) -> None:
        """Two and two are five."""
        show.expect(2 + 2 == 5, "it was 4")

    monkeypatch.setattr(command, "STEPS", (*command.STEPS[:1], arithmetic))

    status = main(["demo", "--file", str(tmp_path / "demo.db")])

    out = capsys.readouterr().out
    assert status == exit_code.FAILURE
    assert "BROKEN: it was 4" in out
    assert "BROKEN: 1 of 2 promises" in out
