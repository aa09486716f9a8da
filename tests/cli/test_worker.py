"""A worker process, from its start to its end."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest

from taskmill import State
from taskmill._cli.logs import CleanFormatter
from taskmill._cli.main import build_parser
from tests.cli.process import Meeting, Programs
from tests.cli.shell import Shell


class TestStart:
    def test_it_says_what_it_is(self, programs: Programs, app: ModuleType, folder: Path) -> None:
        program = programs.start(
            "worker", "app:mill", "-c", "3", "--process-slots", "2", "-q", "mail,default", "--burst"
        )

        line = program.start_line()

        assert f" worker on sqlite:///{folder / 'jobs.db'}: " in line
        assert (
            "7 tasks; 1 schedule; queues: mail, default; 3 threads; 1,000 coroutines; 2 process slots; process "
            in line
        )
        status, out, err = program.end()
        assert (status, out) == (0, "")
        assert err.endswith(" INFO taskmill.supervisor: stopped\n")
        assert err.count("\n") == 1

    @pytest.mark.parametrize("flags", ["-um", "-uBm", "-Wignore -um"])
    def test_flags_of_python_may_stand_in_one_word_with_its_m(
        self, programs: Programs, app: ModuleType, flags: str
    ) -> None:
        result = app.add.enqueue(2, 3)
        command = (sys.executable, *flags.split(), "taskmill")

        status, _, err = programs.run("worker", "app", "--burst", command=command)

        assert (status, result.state) == (0, State.SUCCEEDED), err

    def test_burst_runs_what_is_due_and_ends(self, programs: Programs, app: ModuleType) -> None:
        results = [app.add.enqueue(n, n) for n in range(5)]
        later = app.add.using(delay=60).enqueue(1, 1)

        assert programs.run("worker", "app", "--burst")[0] == 0
        assert [result.get(timeout=0) for result in results] == [0, 2, 4, 6, 8]
        assert later.state is State.QUEUED

    def test_only_the_queues_that_it_is_told(self, programs: Programs, app: ModuleType) -> None:
        ours, others = app.add.using(queue="mail").enqueue(1, 2), app.add.enqueue(1, 2)

        assert programs.run("worker", "app", "--burst", "--queues", "mail")[0] == 0
        assert (ours.state, others.state) == (State.SUCCEEDED, State.QUEUED)

    def test_a_factory_and_modules_beside_it(self, programs: Programs, app: ModuleType, folder: Path) -> None:
        (folder / "site.cfg").touch()
        (folder / "factory.py").write_text("def create():\n    import app\n    return app.mill\n")
        (folder / "more.py").write_text("from app import mill\n@mill.task\ndef more(): pass\n")

        program = programs.start("worker", "factory:create()", "--import", "more", "--burst")

        assert "8 tasks" in program.start_line()

    def test_a_store_and_an_application_that_nobody_can_use_are_warned_of(
        self, programs: Programs, folder: Path
    ) -> None:
        (folder / "app.py").write_text("import taskmill\nmill = taskmill.Mill('memory://')\n")

        status, _, err = programs.run("worker", "app", "--burst")

        assert status == 0
        assert "no tasks are defined" in err
        assert "memory:// lives in one process" in err

    def test_an_on_start_handler_that_fails_ends_it(self, programs: Programs, app: ModuleType) -> None:
        with Path("app.py").open("a", encoding="utf-8") as file:
            file.write("\n@mill.on_start\ndef connect():\n    raise OSError('no route')\n")

        status, _, err = programs.run("worker", "app")

        assert status == 1
        assert "in connect" in err
        assert err.endswith("OSError: no route\n")

    def test_an_import_error_ends_it(self, programs: Programs, folder: Path) -> None:
        (folder / "app.py").write_text("import nowhere_to_be_found\n")

        status, _, err = programs.run("worker", "app")

        assert status == 2
        assert "\ntaskmill: error: app cannot be imported: ModuleNotFoundError: No module named 'nowh" in err

    def test_a_store_that_cannot_be_reached_ends_it(
        self, programs: Programs, app: ModuleType, folder: Path
    ) -> None:
        (folder / "jobs.db").mkdir()

        status, _, err = programs.run("worker", "app")

        assert status == 3
        assert err.startswith(f"taskmill: error: {folder / 'jobs.db'} is a folder")


class TestGracefulStop:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_what_runs_may_finish(
        self, programs: Programs, app: ModuleType, meeting: Meeting, number: signal.Signals
    ) -> None:
        result = app.block.enqueue()
        program = programs.start("worker", "app")
        meeting.await_begin()

        program.signal(number)
        meeting.let_go()

        status, _, err = program.end()
        assert status == 0
        assert "Traceback" not in err
        assert result.state is State.SUCCEEDED

    @pytest.mark.parametrize("task", ["block", "block_in_a_pool", "block_the_loop"])
    def test_what_outlasts_the_grace_goes_back_unburnt_and_the_process_ends(
        self, programs: Programs, app: ModuleType, meeting: Meeting, task: str
    ) -> None:
        result = getattr(app, task).enqueue()
        waiting = app.add.enqueue(1, 2)
        program = programs.start("worker", "app", "--grace", "0.05", "--threads", "1")
        meeting.await_begin()

        program.signal(signal.SIGTERM)

        status, _, err = program.end()
        assert status == 0
        assert err.endswith(" INFO taskmill.supervisor: stopped\n")
        assert "threads of jobs that go on end with this process" in err
        assert f"{task} {result.id} (attempt 1 of 1) outlasts the grace and goes back to the queue\n" in err
        assert (result.state, result.job().attempt) == (State.QUEUED, 0)
        assert waiting.state in {State.QUEUED, State.SUCCEEDED}

    def test_a_second_signal_ends_the_grace(
        self, programs: Programs, app: ModuleType, meeting: Meeting
    ) -> None:
        result = app.block.enqueue()
        program = programs.start("worker", "app", "--grace", "1000")
        meeting.await_begin()

        # Two kinds: the second of one kind may come before the first was seen, and count as one with it.
        program.signal(signal.SIGTERM)
        program.signal(signal.SIGINT)

        assert program.end()[0] == 0
        assert (result.state, result.job().attempt) == (State.QUEUED, 0)

    def test_the_next_worker_runs_what_went_back(
        self, programs: Programs, app: ModuleType, meeting: Meeting
    ) -> None:
        result = app.block.enqueue()
        first = programs.start("worker", "app", "--grace", "0")
        meeting.await_begin()
        first.signal(signal.SIGTERM)
        first.end()
        meeting.let_go()

        assert programs.run("worker", "app", "--burst")[0] == 0
        assert (result.state, result.job().attempt) == (State.SUCCEEDED, 1)


class TestLog:
    def test_errors_of_jobs_are_on_standard_error(self, programs: Programs, app: ModuleType) -> None:
        app.fail.enqueue("first line\nERROR taskmill.worker: \x1b[31mforged")

        _, out, err = programs.run("worker", "app", "--burst")

        assert out == ""
        assert r"ValueError: first line\nERROR taskmill.worker: \x1b[31mforged" in err
        assert "\x1b" not in err

    def test_a_level_leaves_out_what_is_below(self, programs: Programs, app: ModuleType) -> None:
        app.fail.enqueue("no")

        _, _, err = programs.run("worker", "app", "--burst", "--log-level", "error")

        assert "ERROR" in err
        assert "WARNING" not in err

    def test_the_application_that_has_set_up_its_own_keeps_it(
        self, programs: Programs, app: ModuleType
    ) -> None:
        with Path("app.py").open("a", encoding="utf-8") as file:
            file.write("\nimport logging\nlogging.basicConfig(filename='app.log', level='WARNING')\n")
        app.fail.enqueue("no")

        program = programs.start("worker", "app", "--burst")

        program.start_line()
        status, out, err = program.end()
        assert (status, out) == (0, "")
        # The supervising process does not import the application, and knows nothing of its log.
        assert err.endswith(" INFO taskmill.supervisor: stopped\n")
        assert err.count("\n") == 1
        assert "ValueError: no" in Path("app.log").read_text(encoding="utf-8")

    def test_only_records_of_taskmill_are_cleaned(self) -> None:
        formatter = CleanFormatter("%(name)s: %(message)s")

        def said(name: str) -> str:
            record = logging.LogRecord(name, logging.INFO, "", 0, "two\nlines", None, None)
            return formatter.format(record)

        assert said("taskmill.worker") == r"taskmill.worker: two\nlines"
        assert said("shop") == "shop: two\nlines"

    def test_a_traceback_stays_readable_and_indented(self) -> None:
        formatter = CleanFormatter("%(message)s")
        with pytest.raises(ValueError, match="forged") as caught:
            int("\x1b[31m\nforged line")
        info = (caught.type, ValueError("\x1b[31m\nforged line"), caught.tb)
        record = logging.LogRecord("taskmill", logging.ERROR, "", 0, "it broke", None, info)

        first, *rest = formatter.format(record).splitlines()

        assert first == "it broke"
        assert rest[0] == "    Traceback (most recent call last):"
        assert rest[-1] == "    forged line"
        assert rest[-2] == r"    ValueError: \x1b[31m"


class TestSettings:
    def test_the_command_line_goes_before_the_environment_and_that_before_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TASKMILL_WORKER_THREADS", "8")
        monkeypatch.setenv("TASKMILL_WORKER_QUEUES", "mail,default")
        monkeypatch.setenv("TASKMILL_WORKER_IMPORT", "one,two")
        monkeypatch.setenv("TASKMILL_WORKER_BURST", "yes")
        monkeypatch.setenv("TASKMILL_WORKER_VERBOSE", "0")
        monkeypatch.setenv("TASKMILL_WORKER_GRACE", "")

        found = build_parser(["worker"]).parse_args(["worker", "app", "-q", "a", "--queues", "b,c"])

        assert (found.threads, found.coroutines, found.grace) == (8, 1000, 25.0)
        assert (found.queues, found.imports) == (["a", "b", "c"], ["one", "two"])
        assert (found.burst, found.verbose, found.log_level) == (True, False, None)

    @pytest.mark.parametrize(
        "variable, value", [("THREADS", "x"), ("BURST", "maybe"), ("GRACE", "-1"), ("LOG_LEVEL", "loud")]
    )
    def test_a_wrong_variable_is_named(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        monkeypatch.setenv(f"TASKMILL_WORKER_{variable}", value)

        status, _, err = shell("worker", "app")

        assert status == 2
        assert f"(from TASKMILL_WORKER_{variable})" in err
        assert value in err

    def test_every_option_has_a_variable_that_its_help_names(self, shell: Shell) -> None:
        said = " ".join(shell("worker", "--help").out.split())

        for option in (
            "threads",
            "coroutines",
            "process-slots",
            "queues",
            "grace",
            "burst",
            "import",
            "log-level",
            "verbose",
        ):
            assert f"--{option}" in said
            assert f"TASKMILL_WORKER_{option.upper().replace('-', '_')})" in said

    def test_the_application_can_come_from_the_environment(self, programs: Programs, app: ModuleType) -> None:
        assert programs.run("worker", "--burst", env={"TASKMILL_APP": "app:mill"})[0] == 0
        assert programs.run("queues", "list", env={"TASKMILL_APP": "app:mill"})[0] == 0
