"""The commands that show how things stand."""

from __future__ import annotations

import json
import os
import socket
from datetime import timedelta
from types import ModuleType

import pytest

from taskmill import Mill, Task, cron, every
from tests.cli.process import Programs
from tests.cli.shell import Shell


@pytest.fixture
def charge(mill: Mill) -> Task[[str], None]:
    @mill.task(name="shop.charge")
    def charge(card: str) -> None:
        raise ValueError(f"card {card} was refused")

    return charge


@pytest.fixture
def nothing(mill: Mill) -> Task[[], None]:
    @mill.task(name="shop.nothing", lock="desk")
    def nothing() -> None: ...

    return nothing


def work(mill: Mill) -> None:
    with mill.worker(burst=True, threads=1):
        pass


class TestStatus:
    def test_an_empty_store(self, shell: Shell, mill: Mill) -> None:
        assert mill.events() == []

        lines = shell("status").out.splitlines()

        assert lines[0].startswith("Store      sqlite:///")
        assert lines[2:4] == ["Workers    none alive", "Last hour  no attempt ended"]
        assert "blocked 0  queued 0  running 0  succeeded 0  failed 0  cancelled 0" in lines

    def test_jobs_queues_and_what_is_wrong(
        self, shell: Shell, mill: Mill, charge: Task[[str], None], nothing: Task[[], None]
    ) -> None:
        charge.enqueue("1")
        work(mill)
        nothing.using(queue="mail").enqueue()

        status, out, err = shell("status")

        assert (status, err) == (0, "")
        assert "Last hour  1 attempt, 1 failed (100.0 %)" in out
        rows = [line.split() for line in out.splitlines()]
        assert ["default", "0", "0", "0", "1", "-", "0"] in rows
        assert ["error:", "no-worker"] in rows
        told = shell("status", "--json").json
        assert (told["due"], told["states"]["queued"], told["states"]["failed"]) == (1, 1, 1)
        assert told["workers"] == 0
        assert [queue["queue"] for queue in told["queues"]] == ["default", "mail"]
        assert "no-worker" in [finding["name"] for finding in told["findings"]]

    def test_it_fits_a_narrow_terminal(
        self, shell: Shell, nothing: Task[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nothing.using(queue="a-queue-with-a-rather-long-name" * 3).enqueue()
        monkeypatch.setenv("COLUMNS", "72")

        assert max(map(len, shell("status").out.splitlines())) <= 72
        assert max(map(len, shell("queues").out.splitlines())) <= 72


class TestErrors:
    def test_those_that_differ_in_their_figures_are_one(
        self, shell: Shell, mill: Mill, charge: Task[[str], None]
    ) -> None:
        for card in ("1", "22", "333"):
            charge.enqueue(card)
        work(mill)

        status, out, err = shell("errors")

        assert (status, err) == (0, "")
        [head, line] = out.splitlines()
        assert head.split() == ["KIND", "JOBS", "LATEST", "TASK", "ERROR", "IN"]
        assert "ValueError: card <n> was refused" in line
        [told] = shell("errors", "--json").json["errors"]
        assert (told["jobs"], told["task"], told["kind"]) == (3, "shop.charge", line.split()[0])

    def test_a_kind_can_be_run_again(self, shell: Shell, mill: Mill, charge: Task[[str], None]) -> None:
        charge.enqueue("1")
        work(mill)
        [told] = shell("errors", "--json").json["errors"]

        assert shell("jobs", "--kind", told["kind"], "--json").json["jobs"][0]["job_id"] == told["latest"]
        assert shell("jobs", "retry", "--kind", "0" * 16, "--yes").err.startswith(
            "no jobs with an error of kind"
        )
        assert shell("jobs", "retry", "--kind", told["kind"], "--yes").out == "1 job queued again.\n"

    def test_none(self, shell: Shell, mill: Mill, charge: Task[[str], None]) -> None:
        charge.enqueue("1")

        assert shell("errors") == (0, "", "no failed jobs\n")
        assert "(did you mean 'shop.charge'?)" in shell("errors", "--task", "shop.chrage").err
        assert shell("errors", "--json").json == {"errors": [], "looked_at": 0, "is_all": True}


class TestExplain:
    def test_why_a_job_waits(self, shell: Shell, mill: Mill, nothing: Task[[], None]) -> None:
        job_id = nothing.using(delay=timedelta(minutes=5)).enqueue().id
        mill.app.storage.jobs.pause("default")

        status, out, err = shell("explain", job_id)

        assert (status, err) == (0, "")
        assert out.splitlines()[0] == f"shop.nothing {job_id} is scheduled"
        assert "its queue 'default' has been paused" in out
        told = shell("explain", job_id, "--json").json
        assert [cause["name"] for cause in told["causes"]] == ["paused", "delay", "no-worker"]

    def test_a_step_waits_for_the_one_before(
        self, shell: Shell, nothing: Task[[], None], charge: Task[[str], None]
    ) -> None:
        result = (nothing.s() | charge.s()).enqueue()

        assert f"({result.steps[0].id})" in shell("explain", result.id).out

    def test_of_one_that_has_ended_it_says_that(
        self, shell: Shell, mill: Mill, charge: Task[[str], None]
    ) -> None:
        job_id = charge.enqueue("1").id
        work(mill)

        told = shell("explain", job_id).out
        assert ": ValueError: card 1 was refused" in told
        assert f"taskmill jobs show {job_id} has the traceback, jobs retry queues it again" in told

    def test_of_none_it_says_where_to_look(self, shell: Shell, nothing: Task[[], None]) -> None:
        nothing.enqueue()

        assert shell("explain", "x") == (
            1,
            "",
            "taskmill: error: there is no job 'x'; `taskmill jobs list` prints whole ids\n",
        )


class TestWorkersAndLocks:
    def test_who_works_and_who_holds_what(self, shell: Shell, mill: Mill, nothing: Task[[], None]) -> None:
        with mill.worker(queues=["default"], coroutines=0, process_slots=0), mill.lock("desk"):
            nothing.using(queue="other").enqueue()

            told = shell("workers", "--json").json["workers"]
            worker = next(each for each in told if each["kind"] == "worker")
            assert (worker["pid"], worker["life"], worker["queues"]) == (os.getpid(), "alive", ["default"])
            assert worker["executors"] == ["thread"]
            assert any(line.split()[1] == "worker" for line in shell("workers").out.splitlines())

            [lock] = shell("locks", "--json").json["locks"]
            assert (lock["name"], lock["job_id"]) == ("desk", None)
            assert lock["process"] == f"{socket.gethostname()}:{os.getpid()}"
            assert shell("locks").out.splitlines()[1].split()[0] == "desk"

    def test_nobody_and_nothing(self, shell: Shell, mill: Mill) -> None:
        assert mill.events() == []

        assert shell("workers") == (0, "", "no worker is alive\n")
        assert shell("locks") == (0, "", "no lock is held\n")


class TestSchedules:
    def test_when_they_fire(self, shell: Shell, mill: Mill) -> None:
        mill.periodic(every(3600), name="shop.tidy")(lambda: None)
        mill.periodic(cron("0 3 * * *"), name="shop.nightly")(lambda: None)
        work(mill)

        status, out, err = shell("schedules")

        assert (status, err) == (0, "")
        [head, nightly, tidy] = out.splitlines()
        assert head.split() == ["SCHEDULE", "WHEN", "NEXT", "LAST", "FIRED", "SKIPPED"]
        assert nightly.startswith("shop.nightly  At 03:00 every day")
        assert tidy.split()[-2:] == ["0", "0"]
        told = shell("schedules", "--json").json["schedules"]
        assert [(each["name"], each["last_slot"]) for each in told] == [
            ("shop.nightly", None),
            ("shop.tidy", None),
        ]

    def test_one_is_run_now(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        job_id = shell("schedules", "run", "app.tidy", "--app", "app").out.strip()

        assert shell("jobs", "show", job_id, "--app", "app", "--json").json["task"] == "app.tidy"
        told = shell("schedules", "run", "app.tdiy", "--app", "app")
        assert (told.status, told.out) == (1, "")
        assert "(did you mean 'app.tidy'?)" in told.err


class TestFollow:
    def test_kinds_of_errors_cannot_be_followed(self, shell: Shell, charge: Task[[str], None]) -> None:
        charge.enqueue("1")

        told = shell("jobs", "--follow", "--kind", "1a2b3c")

        assert (told.status, told.out) == (2, "")
        assert "--state failed" in told.err

    def test_each_change_is_a_line(self, programs: Programs, mill: Mill, charge: Task[[str], None]) -> None:
        before = charge.enqueue("1")
        program = programs.start("jobs", "--task", "shop.charge", "--follow", "--json")
        assert json.loads(program.stdout.readline())["job_id"] == before.id

        after = charge.using(queue="mail").enqueue("2")
        seen = []
        while ("failed", after.id) not in seen:
            told = json.loads(program.stdout.readline())
            seen.append((told["state"], told["job_id"]))
            if seen[-1] == ("queued", after.id):
                work(mill)

        assert ("failed", before.id) in seen
        program.kill()
