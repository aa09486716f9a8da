"""``taskmill logs``: what a job has logged, to the end or as it is now."""

from __future__ import annotations

import json
from types import ModuleType

from taskmill import Mill
from taskmill._core.job import Claimed
from taskmill._core.journal import PROGRESS, line_text, progress_text
from taskmill._storage.base import Writing
from tests.cli.process import Meeting, Programs
from tests.cli.shell import Shell
from tests.conformance.builders import Worker, a_job, retrying, succeeded


def line(message: str, at: int = 1_000_000, level: str = "INFO") -> str:
    return line_text(at, level, "app", message)


def say(worker: Worker, claimed: Claimed, *sheets: tuple[int, str]) -> None:
    worker.storage.journals.write(worker.session, [Writing(claimed, sheets, [])])


def two_attempts(mill: Mill) -> None:
    storage = mill.app.storage
    storage.jobs.add([a_job("j", max_attempts=2)])
    worker = Worker(storage)
    first = worker.claim_one()
    say(worker, first, (1, line("first")), (4, line("two\nlines \x1b[31m", level="ERROR")))
    worker.settle(first, retrying())
    second = worker.claim_one()
    say(worker, second, (PROGRESS, progress_text(1, 4, "at work", 2)), (1, line("second", 2_000_000)))
    worker.settle(second, succeeded())
    storage.sessions.end(worker.session)


def test_the_lines_of_all_attempts(shell: Shell, mill: Mill) -> None:
    two_attempts(mill)

    status, out, err = shell("logs", "j")

    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "1970-01-01T00:00:01.000Z INFO app: first",
        "[... 2 lines left out ...]",
        "1970-01-01T00:00:01.000Z ERROR app: two",
        "    lines \\x1b[31m",
        "1970-01-01T00:00:02.000Z INFO app: second",
    ]


def test_those_of_one_attempt_for_programs(shell: Shell, mill: Mill) -> None:
    two_attempts(mill)

    answer = shell("logs", "j", "--attempt", "2", "--json")

    assert answer.json == {
        "lines": [
            {
                "attempt": 2,
                "fence": 2,
                "at": "1970-01-01T00:00:02.000000+00:00",
                "level": "INFO",
                "logger": "app",
                "message": "second",
            }
        ]
    }


def test_a_job_that_has_ended_is_followed_to_its_end(shell: Shell, mill: Mill) -> None:
    two_attempts(mill)

    told = [json.loads(text) for text in shell("logs", "j", "--follow", "--json").out.splitlines()]

    assert [each["message"] for each in told][::3] == ["first", "second"]


def test_a_job_that_is_not_there(shell: Shell, mill: Mill) -> None:
    mill.app.storage.jobs.add([])

    status, out, err = shell("logs", "nobody")

    assert (status, out) == (1, "")
    assert "there is no job 'nobody'" in err


def test_how_far_a_job_is_is_shown_with_it(shell: Shell, mill: Mill) -> None:
    two_attempts(mill)

    assert "Progress  1 of 4, 25%: at work" in shell("jobs", "show", "j").out
    assert shell("jobs", "show", "j", "--json").json["progress"]["done"] == 1


def test_a_job_that_runs_is_followed_while_it_runs(
    app: ModuleType, meeting: Meeting, programs: Programs
) -> None:
    result = app.logs.enqueue()
    worker = programs.start("worker", "app:mill")
    worker.start_line()
    follower = programs.start("logs", result.id, "--follow", "--app", "app:mill")

    assert follower.stdout.readline().endswith(" INFO app: begun\n")
    meeting.await_begin()
    meeting.let_go()
    status, out, err = follower.end()

    assert (status, err) == (0, "")
    assert out.endswith(" INFO app: ended\n")
    assert len(out.splitlines()) == 1
