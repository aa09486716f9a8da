"""Options that the environment and pyproject.toml give."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskmill import Mill
from taskmill._cli import configuration
from taskmill._cli.main import COMMANDS, build_parser
from tests.cli.shell import Shell
from tests.cli.test_main import all_parsers


def write(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def understood(*words: str) -> dict[str, object]:
    return dict(vars(build_parser(words).parse_args(words)))


class TestOrder:
    def test_the_command_line_the_environment_the_file_the_default(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert understood("worker")["threads"] == 4

        write(folder, "[tool.taskmill.worker]\nthreads = 5")
        assert understood("worker")["threads"] == 5

        monkeypatch.setenv("TASKMILL_WORKER_THREADS", "6")
        assert understood("worker")["threads"] == 6

        assert understood("worker", "--threads", "7")["threads"] == 7

    def test_an_empty_variable_says_nothing(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TASKMILL_WORKER_THREADS", "")

        assert understood("worker")["threads"] == 4

    def test_the_store_of_an_application_goes_before_what_is_said_for_all_commands(
        self, shell: Shell, mill: Mill, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert mill.events() == []
        (folder / "app.py").write_text("import taskmill\nmill = taskmill.Mill('sqlite:///taskmill.db')\n")
        write(folder, "[tool.taskmill]\nurl = 'sqlite:///missing.db'")

        assert shell("queues").status == 3
        assert shell("queues", "--app", "app").status == 0
        monkeypatch.setenv("TASKMILL_APP", "app")
        assert shell("queues").status == 0


class TestFile:
    def test_every_kind_of_value(self, folder: Path) -> None:
        write(
            folder,
            """
            [tool.taskmill]
            app = "shop:mill"
            json = true
            [tool.taskmill.worker]
            grace = 2.5
            burst = true
            queues = ["mail", "default"]
            import = "a,b"
            log-level = "debug"
            [tool.taskmill.jobs.list]
            state = ["failed"]
            """,
        )

        worker = understood("worker")
        assert (worker["app"], worker["grace"], worker["burst"]) == ("shop:mill", 2.5, True)
        assert (worker["queues"], worker["imports"]) == (["mail", "default"], ["a", "b"])
        assert worker["log_level"] == "debug"
        listing = understood("jobs", "list")
        assert (listing["state"], listing["json"], listing["app"]) == (["failed"], True, "shop:mill")

    def test_the_nearest_one_that_speaks_of_taskmill(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, "[tool.taskmill.worker]\nthreads = 5")
        inner = folder / "src" / "shop"
        inner.mkdir(parents=True)
        write(folder / "src", "[tool.other]\nthreads = 9")
        monkeypatch.chdir(inner)

        assert understood("worker")["threads"] == 5

    def test_one_that_everybody_may_write_is_not_believed(self, folder: Path) -> None:
        write(folder, "[tool.taskmill.worker]\nthreads = 5")
        (folder / "pyproject.toml").chmod(0o666)

        assert understood("worker")["threads"] == 4

    def test_a_broken_one_about_something_else_is_nobodys_business(self, folder: Path) -> None:
        write(folder, "[[[")

        assert understood("worker")["threads"] == 4


class TestMistakes:
    @pytest.mark.parametrize(
        "text, sentence",
        [
            (
                "[tool.taskmill.worker]\nthread = 5",
                "[tool.taskmill.worker] in {file}: there is no option 'thread' ",
            ),
            (
                "[tool.taskmill]\nthreads = 5",
                "[tool.taskmill] in {file}: there is no option 'threads': it is on",
            ),
            ("[tool.taskmill.wroker]\n", "there is no command 'wroker' (did you mean 'worker'?)"),
            ("[tool.taskmill.worker.more]\n", "there is no command 'more'"),
            (
                "[tool.taskmill.worker]\nthreads = 'many'",
                "-c/--threads: 'many' is no whole number from 0 up (from tool.taskmill.worker.threads in {file})",
            ),
            (
                "[tool.taskmill.worker]\nburst = 'yes'",
                "--burst: 'yes' is not true or false (from tool.taskmill.w",
            ),
            (
                "[tool.taskmill.worker]\nthreads = true",
                "--threads: True is not a text, a number or a list of texts",
            ),
            ("[tool.taskmill.worker]\nqueues = [1]", "--queues: [1] is not a text"),
            ("[tool.taskmill", "{file} is no TOML"),
        ],
    )
    def test_of_the_file_are_one_sentence_that_names_the_place(
        self, shell: Shell, folder: Path, text: str, sentence: str
    ) -> None:
        write(folder, text)

        status, out, err = shell("worker")

        assert (status, out, err.count("\n")) == (2, "", 1)
        assert sentence.format(file=folder / "pyproject.toml") in err

    @pytest.mark.parametrize(
        "option, value, sentence",
        [
            ("THREADS", "x", "-c/--threads: 'x' is no whole number from 0 up (from TASKMILL_WORKER_THREADS)"),
            ("BURST", "maybe", "--burst: 'maybe' is neither 1 nor 0 (from TASKMILL_WORKER_BURST)"),
        ],
    )
    def test_of_the_environment_name_the_variable(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch, option: str, value: str, sentence: str
    ) -> None:
        monkeypatch.setenv(f"TASKMILL_WORKER_{option}", value)

        status, out, err = shell("worker")

        assert (status, out, err.count("\n")) == (2, "", 1)
        assert sentence in err

    def test_what_must_be_given_may_be_given_elsewhere(
        self, shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "--from URL is missing" in shell("move", "--to", "sqlite:///b.db").err

        monkeypatch.setenv("TASKMILL_MOVE_FROM", "sqlite:///a.db")
        assert "there is no store at sqlite:///" in shell("move", "--to", "sqlite:///b.db").err


def test_every_option_of_every_command_is_a_variable_that_its_help_names() -> None:
    variables: dict[str, str] = {}
    for parser in all_parsers(build_parser([*COMMANDS])):
        told = " ".join(parser.format_help().split())
        for name in parser.options:
            variable = configuration.variable_of(parser.words, name)
            assert f"{variable})" in told
            is_own = configuration.home_of(parser.words, name) == parser.words
            assert not is_own or variable not in variables, variables[variable]
            variables[variable] = parser.prog
        flags = {
            flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")
        }
        assert flags - {f"--{name}" for name in parser.options} <= {"--help", "--version"}
