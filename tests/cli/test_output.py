"""Where answers go: colours for who sees them and has not refused, text that never steers, pipes that close."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from io import StringIO

import pytest

from taskmill import Mill
from taskmill._cli.output import put_lines, shows_colours, styled
from taskmill._cli.progress import Progress
from taskmill._cli.text import Span, word
from tests.cli.process import MODULE, Programs
from tests.cli.shell import Shell, Terminal

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
NASTY = "\x1b[2J[bold]x[/bold] :smile:\u202e"


@pytest.fixture
def jobs(mill: Mill) -> Mill:
    @mill.task(name="shop.fail")
    def fail() -> None:
        raise ValueError(NASTY)

    fail.enqueue()
    with mill.worker(burst=True, threads=1):
        pass
    return mill


@pytest.fixture
def without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)


class TestColours:
    def test_are_for_terminals_of_those_who_want_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        assert shows_colours(Terminal())
        assert not shows_colours(StringIO())

        monkeypatch.setenv("TERM", "dumb")
        assert not shows_colours(Terminal())

    def test_are_forced_into_a_pipe_and_refused_before_all_else(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert shows_colours(StringIO())

        monkeypatch.setenv("NO_COLOR", "1")
        assert not shows_colours(StringIO())
        assert not shows_colours(Terminal())

    def test_need_rich(self, without_rich: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")

        assert styled(StringIO()) is None

    def test_mark_what_stands_badly_and_change_no_word(
        self, shell: Shell, jobs: Mill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for command in ("jobs", "errors", "queues", "status"):
            plain = shell(command).out
            with monkeypatch.context() as patch:
                patch.setenv("FORCE_COLOR", "1")
                patch.setenv("TERM", "xterm")
                coloured = shell(command).out

            assert "\x1b[" in coloured
            assert steady(ESCAPE.sub("", coloured)) == steady(plain)

    @pytest.mark.usefixtures("without_rich")
    def test_without_rich_all_is_plain(
        self, shell: Shell, jobs: Mill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")

        assert "\x1b" not in shell("jobs").out


def steady(text: str) -> list[str]:
    """Without what the clock says."""
    return re.sub(r"\d+\.\d s", "now", re.sub(r" +", " ", text)).splitlines()


def test_what_a_store_says_is_text_in_colours_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    put_lines([[word("failed"), Span("  "), word(NASTY)], [], [Span("x" * 500)]])

    out = ESCAPE.sub("", capsys.readouterr().out)
    assert out == "failed  \\x1b[2J[bold]x[/bold] :smile:\\u202e\n\n" + "x" * 500 + "\n"


@pytest.mark.parametrize("refusing", [{}, {"NO_COLOR": "1"}])
def test_at_a_real_terminal(jobs: Mill, refusing: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "80"} | refusing
    subprocess.run([*MODULE, "jobs"], stdout=theirs, env=env, check=True, timeout=45)
    os.close(theirs)
    out = os.read(ours, 100_000).decode()
    os.close(ours)

    assert ("\x1b[31mfailed" in out) is not bool(refusing)
    assert max(map(len, ESCAPE.sub("", out).splitlines())) <= 80


@pytest.mark.parametrize("words", [("jobs",), ("status",), ("jobs", "--follow", "--json")])
def test_a_pipe_that_is_closed_is_no_error(programs: Programs, jobs: Mill, words: tuple[str, ...]) -> None:
    program = programs.start(*words, env={"FORCE_COLOR": "1"})
    program.stdout.close()

    assert program.end()[::2] == (141, "")


def test_long_work_says_how_far_it_is_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("deleted", of=9_000)
    progress(1_000)
    progress.told_at -= 1
    progress(2_000)
    progress(3_000)

    assert capsys.readouterr() == ("", "taskmill: 2,000 jobs of 9,000 deleted so far\n")
