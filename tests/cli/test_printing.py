"""``taskmill completion`` and ``taskmill systemd``: what others read."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taskmill._cli.main import COMMANDS
from tests.cli.process import LONGEST_WAIT
from tests.cli.shell import Shell

COMPLETE = """
source completion
COMP_WORDS=({words} "{last}")
COMP_CWORD={number}
{function}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def completed(shell: Shell, folder: Path) -> object:
    """What bash proposes after some words."""
    (folder / "completion").write_text(shell("completion", "bash").out, encoding="utf-8")

    def complete(*words: str) -> set[str]:
        script = COMPLETE.format(
            words=" ".join(words[:-1]), last=words[-1], number=len(words) - 1, function="_shtab_taskmill"
        )
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=LONGEST_WAIT
        )
        return {line.strip() for line in done.stdout.splitlines()}

    return complete


class TestCompletion:
    def test_bash_proposes_commands_and_options(self, completed: object) -> None:
        assert callable(completed)
        assert completed("taskmill", "") >= set(COMMANDS)
        assert completed("taskmill", "sta") == {"status"}
        assert completed("taskmill", "jobs", "re") == {"retry"}
        assert "--follow" in completed("taskmill", "jobs", "list", "--f")
        assert completed("taskmill", "completion", "f") == {"fish"}

    @pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
    def test_the_script_is_one_that_the_shell_understands(
        self, shell: Shell, folder: Path, shell_name: str
    ) -> None:
        script = shell("completion", shell_name).out

        assert "taskmill" in script
        if shutil.which(shell_name) is not None:
            (folder / "script").write_text(script, encoding="utf-8")
            subprocess.run([shell_name, "-n", "script"], check=True, timeout=LONGEST_WAIT)

    def test_another_shell_is_refused(self, shell: Shell) -> None:
        assert shell("completion", "tcsh").status == 2

    def test_without_the_extra_it_says_which(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "shtab", None)

        assert shell("completion", "bash") == (
            2,
            "",
            "taskmill: error: completion needs shtab, which is not installed: pip install 'taskmill[cli]'\n",
        )


class TestSystemd:
    def test_the_unit_starts_this_worker_and_waits_for_its_grace(self, shell: Shell, folder: Path) -> None:
        status, out, err = shell("systemd", "shop.tasks:mill", "--grace", "60")

        assert (status, err) == (0, "")
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(out)
        service = unit["Service"]
        assert service["ExecStart"] == f"{sys.executable} -m taskmill worker shop.tasks:mill --grace 60"
        assert (service["WorkingDirectory"], service["TimeoutStopSec"]) == (str(folder), "70")
        assert (service["Restart"], service["KillMode"], service["KillSignal"]) == (
            "always",
            "mixed",
            "SIGTERM",
        )

    def test_what_systemd_would_take_for_its_own_is_escaped(self, shell: Shell, folder: Path) -> None:
        assert '"$${SHOP}:mill%%"' in shell("systemd", "${SHOP}:mill%").out.replace("'", '"')

        assert "Description=taskmill worker of a%%b" in shell("systemd", "a%b").out

    def test_a_user_without_a_name_goes_by_his_number(
        self, shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nobody() -> str:
            raise KeyError("uid not found")

        monkeypatch.setattr("taskmill._cli.person.getpass.getuser", nobody)

        assert f"User={os.getuid()}\n" in shell("systemd", "shop:mill").out

    def test_systemd_itself_finds_nothing_wrong(self, shell: Shell, folder: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("systemd-analyze is not installed")
        (folder / "shop.service").write_text(shell("systemd", "shop:mill").out, encoding="utf-8")

        done = subprocess.run(
            ["systemd-analyze", "verify", "./shop.service"],
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_WAIT,
        )

        assert (done.returncode, done.stderr) == (0, "")

    def test_it_wants_to_know_the_application(self, shell: Shell) -> None:
        assert "name the application" in shell("systemd").err
