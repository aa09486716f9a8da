"""``taskmill top`` at a real terminal, that of tmux; and in lines for programs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskmill import Mill
from tests.cli.process import LONGEST_WAIT, MODULE, Programs
from tests.cli.shell import Shell

WITHOUT_RICH = "import sys\nsys.modules['rich.console'] = None\n"


class Terminal:
    """One of tmux, with a server of its own."""

    def __init__(self, folder: Path, command: str, *, width: int, height: int) -> None:
        self._tmux = ("tmux", "-L", f"taskmill-{os.getpid()}-{folder.name}", "-f", os.devnull)
        size = ("-x", str(width), "-y", str(height))
        # What it ends with is left on the screen.
        script = f'{command}; echo "ended with $?"; cat'
        self._run("new-session", "-d", *size, "-c", str(folder), script)

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def colours(self) -> str:
        return self._run("capture-pane", "-p", "-e")

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def until(self, is_there: Callable[[str], bool]) -> str:
        """The screen as soon as that is so."""
        give_up_at = time.monotonic() + LONGEST_WAIT
        while not is_there(seen := self.screen()):
            assert time.monotonic() < give_up_at, seen
        return seen

    def close(self) -> None:
        self._run("kill-server")

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=True, timeout=LONGEST_WAIT
        )
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    if shutil.which("tmux") is None:
        assert not os.environ.get("CI"), "tmux is not installed"
        pytest.skip("tmux is not installed")
    opened: list[Terminal] = []

    def open_one(
        *, width: int = 100, height: int = 30, env: tuple[str, ...] = (), words: tuple[str, ...] = ()
    ) -> Terminal:
        command = shlex.join(
            ["env", "-u", "LINES", "-u", "COLUMNS", *env, *MODULE, "top", "--every", "0.1", *words]
        )
        opened.append(Terminal(tmp_path, command, width=width, height=height))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def shop(mill: Mill) -> Mill:
    @mill.task(name="shop.charge")
    def charge(card: str) -> None:
        raise ValueError(f"card {card} was \x1b[2Jrefused")

    charge.enqueue("1")
    with mill.worker(burst=True, threads=1):
        pass
    return mill


def rows(screen: str) -> list[list[str]]:
    return [line.split() for line in screen.splitlines()]


def test_it_shows_what_happens_until_q(terminal: Callable[..., Terminal], shop: Mill) -> None:
    top = terminal()
    seen = top.until(lambda screen: "q: quit" in screen)
    assert ["default", "0", "0", "0", "1", "-", "0"] in rows(seen)
    assert r"ValueError: card 1 was \x1b[2Jrefused" in seen
    assert "\x1b[31mfailed" in top.colours()

    top.press("F2")  # sends a Q, too
    shop.app.tasks["shop.charge"].using(queue="mail").enqueue("2")
    top.until(lambda screen: any(row[:3] == ["mail", "1", "1"] for row in rows(screen)))

    top.press("x")
    top.press("q")
    # The other screen is gone, and so is what was on it.
    ended = top.until(lambda screen: "ended with" in screen)
    assert ended.split("\n")[0] == "ended with 0"


def test_ctrl_c_ends_it_too_and_the_terminal_is_as_it_was(
    terminal: Callable[..., Terminal], shop: Mill
) -> None:
    top = terminal()
    top.until(lambda screen: "q: quit" in screen)

    top.press("C-c")
    top.until(lambda screen: "ended with 130" in screen)
    # Keys are shown again.
    top.press("hello")
    top.until(lambda screen: "hello" in screen)


@pytest.mark.parametrize("env", [("NO_COLOR=1",), ("PYTHONPATH=without",)])
def test_without_colours_or_rich_it_is_the_same(
    terminal: Callable[..., Terminal], shop: Mill, folder: Path, env: tuple[str, ...]
) -> None:
    (folder / "without").mkdir()
    (folder / "without" / "sitecustomize.py").write_text(WITHOUT_RICH, encoding="utf-8")
    top = terminal(env=env)

    seen = top.until(lambda screen: "q: quit" in screen)
    assert ["default", "0", "0", "0", "1", "-", "0"] in rows(seen)
    assert "\x1b[31m" not in top.colours()

    top.press("q")
    assert top.until(lambda screen: "ended with" in screen).split("\n")[0] == "ended with 0"


def test_it_follows_the_size_of_the_terminal(terminal: Callable[..., Terminal], shop: Mill) -> None:
    for number in range(30):
        shop.app.tasks["shop.charge"].using(queue=f"queue-with-a-long-name-{number}").enqueue("1")
    top = terminal(width=60, height=15)
    top.until(lambda screen: "q: quit" in screen.splitlines()[-1] or "q: quit" in screen.splitlines()[-2])

    top.resize(100, 50)
    top.until(lambda screen: "queue-with-a-long-name-29" in screen and "q: quit" in screen)


def test_a_store_in_trouble_is_told_there_and_looked_for_again(
    terminal: Callable[..., Terminal], shop: Mill, folder: Path
) -> None:
    top = terminal()
    top.until(lambda screen: "shop.charge" in screen)
    shop.close()
    (folder / "taskmill.db").rename(folder / "away")

    top.until(lambda screen: "error: " in screen)
    (folder / "away").rename(folder / "taskmill.db")

    top.until(lambda screen: "shop.charge" in screen)


def test_without_a_terminal_it_says_what_to_use(shell: Shell, shop: Mill) -> None:
    assert shell("top").err.startswith(
        "taskmill: error: top needs a terminal: `taskmill status` says it once"
    )


def test_for_programs_it_is_a_line_for_each_look(programs: Programs, shop: Mill) -> None:
    program = programs.start("top", "--json", "--every", "0.1")

    looks = [json.loads(program.stdout.readline()) for _ in range(2)]

    assert [look["states"]["failed"] for look in looks] == [1, 1]
    program.kill()
