"""The command line: any words and any environment end in a status and a sentence, never in a traceback."""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from taskmill import Mill
from taskmill._cli import exit_code
from taskmill._cli.main import build_parser, main
from tests.fuzz.damage import damaged

STATUSES = {exit_code.OK, exit_code.FAILURE, exit_code.USAGE, exit_code.STORE_UNREACHABLE}

looks = st.sampled_from(
    ["jobs", "queues", "--version", "--help", "jobs list", "jobs show", "jobs cancel", "jobs retry"]
)
options = st.sampled_from(
    [
        *(
            "--json",
            "--url",
            "--app",
            "--state",
            "--queue",
            "--task",
            "--limit",
            "-n",
            "--yes",
            "--help",
            "--",
            "-",
            "-q",
        ),
        *("--url=sqlite:///jobs.db", "--state=failed", "--limit=3", "--app=no.such:mill", "--url="),
    ]
)
values = damaged(
    st.sampled_from(
        ["sqlite:///jobs.db", "memory://", "failed,queued", "7", "good", "shop:mill", "os:path", "a.b:c()"]
    ),
    ["--", "-1", "=", ":", "()", ".", "..", "/", "1e400", "1_000", "None", "os:environ", "os:_exit"],
).filter(lambda text: "()" not in text and "/etc" not in text)
words = st.tuples(looks.map(str.split), st.lists(options | values, max_size=5)).map(
    lambda both: both[0] + both[1]
)
variables = st.dictionaries(
    st.sampled_from(["TASKMILL_URL", "TASKMILL_APP", "COLUMNS", "NO_COLOR", "TASKMILL_WORKER_THREADS"]),
    values.filter(lambda text: "\0" not in text and "\ud800" not in text),
    max_size=2,
)

WORKER = (
    "THREADS",
    "COROUTINES",
    "PROCESSES",
    "PROCESS_SLOTS",
    "QUEUES",
    "GRACE",
    "BURST",
    "IMPORT",
    "MAX_JOBS",
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here")
    mill = Mill(f"sqlite:///{folder}/jobs.db")
    mill.task(name="good")(lambda: None).enqueue()
    mill.close()
    return folder


def status_of(given_words: list[str]) -> int:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as complaints:
        status = main(given_words)
    assert "Traceback" not in complaints.getvalue() or "cannot be imported" in complaints.getvalue()
    return status


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words, variables)
@example(["jobs", "list"], {"COLUMNS": "9" * 5000})
@example(["jobs", "list"], {"COLUMNS": "-5"})
@example(["jobs", "list", "--url", "sqlite:///\x00"], {})
@example(["jobs", "list", "--app", "os:environ"], {})
@example(["jobs", "show", "\ud800"], {})
@example(["jobs", "list", "--limit", "999999999"], {})
def test_any_words_end_in_a_status(
    here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], variables: dict[str, str]
) -> None:
    monkeypatch.chdir(here)
    with patch.dict(os.environ, {"TASKMILL_URL": "sqlite:///jobs.db"} | variables):
        assert status_of(words) in STATUSES


numbers = damaged(
    st.sampled_from(["0", "1", "25", "0.5", "1e3", "a,b", "yes"]), ["nan", "inf", "1e300", "-", ","]
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(WORKER), numbers.filter(lambda text: "\0" not in text), max_size=3),
    st.lists(st.sampled_from(WORKER), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries(dict.fromkeys(names, numbers))
    ),
)
@example({"GRACE": "nan"}, {"THREADS": "²"})
def test_any_setting_of_a_worker_is_refused_or_read(
    by_environment: dict[str, str], by_words: dict[str, str]
) -> None:
    environment = {
        f"TASKMILL_WORKER_{name}": value for name, value in by_environment.items() if "\ud800" not in value
    }
    given_words = [f"--{name.lower().replace('_', '-')}={value}" for name, value in by_words.items()]
    with patch.dict(os.environ, environment), redirect_stderr(StringIO()) as complaints:
        try:
            found = build_parser(["worker"]).parse_args(["worker", "shop:mill", *given_words])
        except SystemExit as end:
            status = end.code
        else:
            status = exit_code.OK
            assert found.grace >= 0
            assert found.processes >= 1

    assert (status, complaints.getvalue().count("\n")) in {(exit_code.OK, 0), (exit_code.USAGE, 1)}
