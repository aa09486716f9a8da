from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from taskmill import Mill
from taskmill._cli.main import COMMANDS, build_parser
from taskmill._cli.parser import Parser
from tests.cli.process import MODULE, SCRIPT, Meeting, Programs
from tests.cli.shell import Shell

BLOCKED_IMPORT = """
import os
os.write(os.open("begun", os.O_RDWR), b"x")
os.read(os.open("go", os.O_RDWR), 1)
"""


def leaves(parser: Parser) -> Iterator[Parser]:
    if not parser.commands:
        yield parser
    for command in parser.commands.values():
        yield from leaves(command)


def all_parsers(parser: Parser) -> Iterator[Parser]:
    yield parser
    for command in parser.commands.values():
        yield from all_parsers(command)


class TestHelp:
    def test_every_command_says_what_it_does_and_shows_an_example(self) -> None:
        for parser in all_parsers(build_parser([*COMMANDS])):
            assert parser.description, parser.prog
            assert "example" in (parser.epilog or ""), parser.prog
            assert parser.prog in (parser.epilog or ""), parser.prog

    def test_every_option_says_what_it_does(self) -> None:
        for parser in all_parsers(build_parser([*COMMANDS])):
            for action in parser._actions:
                assert action.help or action.dest == "command", f"{parser.prog} {action.dest}"

    def test_every_command_prints_its_help(self, shell: Shell) -> None:
        for parser in all_parsers(build_parser([*COMMANDS])):
            answer = shell(*parser.prog.split()[1:], "--help")

            assert answer.status == 0
            assert answer.out.startswith(f"usage: {parser.prog} ")
            assert max(map(len, answer.out.splitlines())) <= 80

    def test_every_example_is_a_command_line_that_is_understood(self) -> None:
        for parser in all_parsers(build_parser([*COMMANDS])):
            lines = (parser.epilog or "").splitlines()
            for words in [line.replace('"', "").split() for line in lines if line.startswith("  taskmill ")]:
                if "--help" not in words:
                    build_parser([*COMMANDS]).parse_args(words[1:])

    def test_the_commands_of_the_first_release_are_there(self) -> None:
        names = {parser.prog.removeprefix("taskmill ") for parser in leaves(build_parser([*COMMANDS]))}

        assert names == {
            "worker",
            "jobs list",
            "jobs show",
            "jobs retry",
            "jobs cancel",
            "jobs delete",
            "logs",
            "status",
            "top",
            "enqueue",
            "run",
            "systemd",
            "completion",
            "errors",
            "explain",
            "workers list",
            "workers stop",
            "schedules pause",
            "schedules resume",
            "locks",
            "schedules list",
            "schedules run",
            "queues list",
            "queues pause",
            "queues resume",
            "purge",
            "doctor",
            "backup",
            "move",
            "export",
            "import",
            "bench",
            "dashboard",
            "healthcheck",
            "demo",
        }


class TestUsage:
    def test_version(self, shell: Shell) -> None:
        assert shell("--version") == (0, f"taskmill {version('taskmill')}\n", "")

    def test_without_a_command_it_shows_its_help(self, shell: Shell) -> None:
        status, out, err = shell()

        assert (status, out) == (2, "")
        assert "commands:" in err

    @pytest.mark.parametrize("group", ["jobs", "queues", "schedules", "workers"])
    def test_a_group_without_a_command_lists(self, shell: Shell, mill: Mill, group: str) -> None:
        assert mill.events() == []

        assert shell(group, "--json").json == shell(group, "list", "--json").json == {group: []}

    @pytest.mark.parametrize(
        "words, sentence",
        [
            ("wrker", "there is no command 'wrker' (did you mean 'worker'?)"),
            ("jobs lst", "there is no command 'lst' (did you mean 'list'?)"),
            ("jobs list --state faild", "there is no state 'faild' (did you mean 'failed'?)"),
            ("jobs list --limit 0", "argument --limit: 0 is too few"),
            ("jobs list --limit -1", "argument --limit: '-1' is no whole number"),
            ("jobs list --quue x", "there is no option '--quue' (did you mean '--queue'?)"),
            (
                "jobs --stat=failed",
                "there is no option '--stat' (did you mean '--state'?); see 'taskmill jobs list",
            ),
            ("jobs show one two", "'two' is one word too many"),
            ("worker app --threads many", "'many' is no whole number from 0 up"),
            ("worker app --grace -1", "'-1' is no number of seconds"),
            ("worker app --grace nan", "'nan' is no number of seconds"),
            ("worker app --queues a,,b", "'a,,b' is no list of names"),
            ("worker app --log-level inof", "(did you mean 'info'?)"),
            ("worker app --threads 0 --coroutines 0 --process-slots 0", "a worker needs at least one"),
            ("worker", "name the application"),
            ("jobs list --url jobs.db", "'jobs.db' is no store URL"),
            ("jobs list --url memory://", "cannot be seen from another one"),
            ("jobs list --\x1b[2J", r"there is no option '--\x1b[2J'"),
        ],
    )
    def test_a_mistake_is_one_sentence_and_status_2(
        self, shell: Shell, folder: Path, words: str, sentence: str
    ) -> None:
        (folder / "app.py").write_text("import taskmill\nmill = taskmill.Mill('memory://')\n")

        status, out, err = shell(*words.split())

        assert (status, out) == (2, "")
        assert err.startswith("taskmill: error: ")
        assert sentence in err
        assert err.count("\n") == 1

    def test_only_what_a_command_needs_is_imported(self) -> None:
        code = "import sys; from taskmill._cli.main import main; main(['jobs', 'list', '--help']); print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        loaded = set(done.stdout.splitlines()[-1].split())
        assert "taskmill._cli.jobs" in loaded
        assert not loaded & {"asyncio", "sqlite3", "logging", "taskmill._cli.worker", "taskmill._cli.demo"}


class TestStores:
    @pytest.mark.parametrize(
        "command",
        [
            *(
                "jobs list",
                "jobs show x",
                "jobs retry x",
                "jobs delete --all",
                "queues list",
                "queues pause x",
            ),
            *("purge --yes", "bench", "status", "errors", "explain x", "schedules", "workers", "locks"),
        ],
    )
    def test_a_store_that_is_not_there_is_not_made(self, shell: Shell, folder: Path, command: str) -> None:
        status, out, err = shell(*command.split())

        assert (status, out) == (3, "")
        assert err.startswith(f"taskmill: error: there is no store at sqlite:///{folder / 'taskmill.db'}: ")
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize(
        "command", ["jobs list", "jobs show x", "status", "explain x", "workers", "export -", "doctor"]
    )
    def test_that_there_is_none_is_told_without_the_password(
        self, shell: Shell, postgres_url: str, command: str
    ) -> None:
        parts = urlsplit(postgres_url)
        address = f"{parts.hostname}:{parts.port}/template1"

        told = shell(*command.split(), "--url", f"postgresql://{parts.username}:open-sesame@{address}")

        assert "there is no store" in told.out + told.err
        assert f"postgresql://{parts.username}:***@{address}" in told.out + told.err
        assert "open-sesame" not in told.out + told.err

    def test_an_empty_file_is_no_store_yet(self, shell: Shell, folder: Path) -> None:
        (folder / "taskmill.db").touch()

        assert shell("queues", "list").status == 3
        assert (folder / "taskmill.db").stat().st_size == 0

    def test_a_look_at_another_programs_database_leaves_it_as_it_is(self, shell: Shell, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "taskmill.db")) as connection:
            connection.execute("create table theirs (id integer)")
        before = (folder / "taskmill.db").read_bytes()

        assert shell("queues", "list").status == 3
        assert (folder / "taskmill.db").read_bytes() == before

    @pytest.mark.parametrize("command", ["jobs list", "worker app --burst"])
    def test_a_file_that_is_no_database_ends_with_3(
        self, programs: Programs, folder: Path, command: str
    ) -> None:
        (folder / "taskmill.db").write_text("nothing of the kind " * 100)
        (folder / "app.py").write_text("import taskmill\nmill = taskmill.Mill()\n")

        status, out, err = programs.run(*command.split())

        assert (status, out) == (3, "")
        assert "taskmill.db is not a SQLite database" in err
        assert err.count("\n") == 1

    @pytest.mark.parametrize("command", ["jobs list", "worker app --burst"])
    def test_a_newer_schema_ends_with_4(
        self, programs: Programs, mill: Mill, folder: Path, command: str
    ) -> None:
        assert mill.events() == []
        mill.close()
        with sqlite3.connect(folder / "taskmill.db") as connection:
            connection.execute("update taskmill_meta set value = '99'")
        connection.close()
        (folder / "app.py").write_text("import taskmill\nmill = taskmill.Mill()\n")

        status, out, err = programs.run(*command.split())

        assert (status, out) == (4, "")
        assert "has schema 99" in err

    def test_the_environment_names_the_store(
        self, shell: Shell, mill: Mill, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert mill.events() == []
        mill.close()
        (folder / "taskmill.db").rename(folder / "other.db")
        monkeypatch.setenv("TASKMILL_URL", "sqlite:///other.db")

        assert shell("jobs", "list").status == 0

    def test_url_goes_before_that_of_the_application(self, shell: Shell, mill: Mill, folder: Path) -> None:
        assert mill.events() == []
        (folder / "app.py").write_text("import taskmill\nmill = taskmill.Mill('sqlite:///missing.db')\n")

        assert shell("jobs", "list", "--app", "app", "--url", "sqlite:///taskmill.db").status == 0
        assert not (folder / "missing.db").exists()


class TestEnds:
    def test_ctrl_c_ends_with_130_and_nothing_else(
        self, programs: Programs, folder: Path, meeting: Meeting
    ) -> None:
        (folder / "app.py").write_text(BLOCKED_IMPORT)
        program = programs.start("queues", "list", "--app", "app")
        meeting.await_begin()

        program.signal(signal.SIGINT)

        assert program.end() == (130, "", "")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_worker_that_is_told_to_stop_before_it_has_started_does_so_at_once(
        self, programs: Programs, folder: Path, meeting: Meeting, number: signal.Signals
    ) -> None:
        (folder / "app.py").write_text(BLOCKED_IMPORT)
        program = programs.start("worker", "app")
        meeting.await_begin()

        program.signal(number)

        status, out, err = program.end()
        assert (status, out) == (0, "")
        assert err.endswith(" INFO taskmill.supervisor: stopped\n")
        assert err.count("\n") == 1

    def test_a_reader_that_goes_away_is_no_error(self, programs: Programs, mill: Mill) -> None:
        assert mill.events() == []
        program = programs.start("queues", "list", "--json")
        program.stdout.close()

        status, _, err = program.end()

        assert (status, err) == (141, "")

    def test_a_full_disk_is_told(self, programs: Programs, mill: Mill) -> None:
        assert mill.events() == []
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            status, _, err = programs.start("queues", "list", "--json", stdout=full).end()

        assert (status, err) == (
            1,
            "taskmill: error: the output cannot be written: No space left on device\n",
        )

    def test_the_command_and_the_module_are_the_same(self, programs: Programs) -> None:
        words = ("jobs", "list", "--limit", "x")

        assert programs.run(*words, command=MODULE) == programs.run(*words, command=SCRIPT)
