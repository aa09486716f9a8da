"""What people and programs are told of jobs, and what they can do to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from taskmill import Mill, Result, State, Task
from taskmill._cli.target import load
from taskmill._core.crash import described
from taskmill._core.job import KEPT_RELEASES, NewJob
from tests.cli.process import Meeting
from tests.cli.shell import Shell, Terminal
from tests.conformance.builders import Worker, released

NASTY = "\x1b[2J\u202eevil\r\n\x9b31m"


@pytest.fixture
def add(mill: Mill) -> Task[[int, int], int]:
    @mill.task(name="shop.add")
    def add(a: int, b: int) -> int:
        return a + b

    return add


@pytest.fixture
def fail(mill: Mill) -> Task[[str], None]:
    @mill.task(name="shop.fail", retries=1, retry_delay=0)
    def fail(message: str) -> None:
        raise ValueError(message)

    return fail


def work(mill: Mill) -> None:
    with mill.worker(burst=True, threads=1):
        pass


class TestList:
    def test_newest_first(self, shell: Shell, mill: Mill, add: Task[[int, int], int]) -> None:
        first, second = add.enqueue(1, 2), add.using(queue="mail").enqueue(1, 2)

        status, out, err = shell("jobs", "list")

        assert (status, err) == (0, "")
        head, *rows = [line.split() for line in out.splitlines()]
        assert head == ["JOB", "STATE", "TASK", "WHEN", "ATTEMPT", "QUEUE"]
        assert [row[0] for row in rows] == [second.id, first.id]
        assert rows[0][1:3] == ["queued", "shop.add"]
        assert rows[0][-2:] == ["0/1", "mail"]

    def test_what_is_asked_for(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int], fail: Task[[str], None]
    ) -> None:
        done, failed = add.enqueue(1, 2), fail.enqueue("no")
        work(mill)
        queued = add.using(queue="mail").enqueue(1, 2)

        def ids(*words: str) -> list[str]:
            return [job["job_id"] for job in shell("jobs", "list", "--json", *words).json["jobs"]]

        assert ids("--state", "failed") == [failed.id]
        assert ids("--state", "failed,queued") == [queued.id, failed.id]
        assert ids("--state", "failed", "--state", "succeeded") == [failed.id, done.id]
        assert ids("--task", "shop.add") == [queued.id, done.id]
        assert ids("--queue", "mail") == [queued.id]
        assert ids("--limit", "1") == [queued.id]
        assert ids("--task", "shop.add", "--state", "failed") == []

    def test_all_that_the_dashboard_can_ask_for(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int]
    ) -> None:
        done = add.using(tags=["red"], priority=5).enqueue(1, 2)
        work(mill)
        queued = add.using(priority=-5).enqueue(30, 12)

        def ids(*words: str) -> list[str]:
            return [job["job_id"] for job in shell("jobs", "--json", *words).json["jobs"]]

        assert ids("--tag", "red") == ids("--lowest", "0") == ids("--ended-from", "5min") == [done.id]
        assert ids("--highest", "-5") == ids("--text", "[[30") == [queued.id]
        assert ids("--enqueued-from", "1h") == ids("--enqueued-before", "2999-01-01") == [queued.id, done.id]
        assert ids("--enqueued-before", "2d") == ids("--enqueued-from", "2999-01-01T00:00+01:00") == []
        assert ids("--session", "4711") == []

    def test_a_time_that_is_none_is_refused(self, shell: Shell) -> None:
        assert "'noon' is neither a time ago, such as 5min" in shell("jobs", "--ended-from", "noon").err

    def test_none_is_said_beside_the_output(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int]
    ) -> None:
        add.using(queue="mail").enqueue(1, 2)

        assert shell("jobs", "list", "--state", "failed") == (0, "", "no jobs\n")
        assert (
            shell("jobs", "list", "--queue", "mial").err == "no jobs in queue 'mial' (did you mean 'mail'?)\n"
        )

    def test_it_fits_the_terminal(self, shell: Shell, mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
        @mill.task(name="shop.warehouse.inventory.count_everything_once_more")
        def count() -> None: ...

        result = count.using(queue="a-queue-with-a-rather-long-name").enqueue()
        monkeypatch.setenv("COLUMNS", "80")

        head, row = shell("jobs", "list").out.splitlines()

        assert len(row) <= 80
        assert row.startswith(f"{result.id}  queued  ...")
        assert "_once_more" in row
        assert "QUEUE" not in head

    def test_nothing_from_the_store_steers_the_terminal(
        self, shell: Shell, mill: Mill, fail: Task[[str], None], folder: Path
    ) -> None:
        result = fail.enqueue(NASTY)
        work(mill)

        for command in (("list",), ("show", result.id), ("list", "--json"), ("show", result.id, "--json")):
            out = shell("jobs", *command).out
            assert all(char.isprintable() for char in out.replace("\n", "")), command

    @pytest.mark.parametrize(
        "make, said",
        [
            (lambda add: add.using(delay=timedelta(minutes=5)).enqueue(1, 2), " in 5 min "),
            (lambda add: add.using(delay=timedelta(hours=30)).enqueue(1, 2), " in 1 d "),
            (lambda add: add.using(run_at=datetime.now(UTC) - timedelta(hours=2)).enqueue(1, 2), " due 2 h "),
            (lambda add: (add.s(1, 2) | add.s(3)).enqueue(), "  - "),
        ],
    )
    def test_when(self, shell: Shell, add: Task[[int, int], int], make: object, said: str) -> None:
        make(add)

        assert said in shell("jobs", "list").out.splitlines()[1]


class TestShow:
    def test_a_job_that_succeeded(self, shell: Shell, mill: Mill, add: Task[[int, int], int]) -> None:
        result = add.using(tags=["red"], headers={"tenant": "7"}, key="k", priority=5).enqueue(2, b=3)
        work(mill)

        status, out, err = shell("jobs", "show", result.id)

        assert (status, err) == (0, "")
        facts = dict(line.split(maxsplit=1) for line in out.splitlines())
        assert facts["Job"] == result.id
        assert facts["Call"] == "shop.add(2, b=3)"
        assert facts["State"] == "succeeded"
        assert facts["Result"] == "5"
        assert facts["Attempt"] == "1 of 1"
        assert facts["Queue"] == "default, priority 5"
        assert facts["Ended"].startswith(result.job().ended_at.isoformat(timespec="microseconds"))
        assert (facts["Key"], facts["Tags"], facts["Headers"]) == ("k", "red", "tenant=7")

    def test_a_job_that_was_given_back_very_often(
        self, shell: Shell, mill: Mill, fail: Task[[str], None]
    ) -> None:
        result = fail.enqueue("no stock")
        worker = Worker(mill.app.storage)
        for _ in range(KEPT_RELEASES + 2):
            worker.settle(worker.claim_one(), released(), started_at=mill.app.storage.now())

        out = shell("jobs", "show", result.id).out

        assert out.count("  1  released ") == KEPT_RELEASES
        assert out.endswith("\n  and 2 runs that were given back, put off or taken over\n")

    def test_a_job_that_failed_with_all_its_attempts(
        self, shell: Shell, mill: Mill, fail: Task[[str], None]
    ) -> None:
        result = fail.enqueue("no stock")
        work(mill)

        out = shell("jobs", "show", result.id).out

        assert "State     failed (error)\n" in out
        assert "\nError     ValueError: no stock\n    Traceback" in out
        assert "\nEarlier attempts\n  1  retrying " in out
        assert out.count("\n    ValueError: no stock\n") == 2
        assert out.count("    raise ValueError(message)\n") == 2

    def test_a_pipeline(self, shell: Shell, mill: Mill, add: Task[[int, int], int]) -> None:
        pipeline = (add.s(1, 2) | add.s(3)).enqueue()
        work(mill)

        out = shell("jobs", "show", pipeline.id).out

        assert "shop.add(<result of step 1>, 3)" in out
        assert "Result    6\n" in out
        rows = [line.split() for line in out.splitlines()[-2:]]
        assert rows == [
            ["1", pipeline.steps[0].id, "succeeded", "shop.add"],
            ["2", pipeline.steps[1].id, "succeeded", "shop.add"],
        ]

    def test_without_the_application_its_classes_are_shown_as_they_are_stored(
        self, shell: Shell, folder: Path
    ) -> None:
        (folder / "site_shop.py").write_text(SHOP, encoding="utf-8")
        shop = load("site_shop").app.tasks["ship"].func.__globals__
        result = shop["ship"].enqueue(shop["Order"](7))

        without = shell("jobs", "show", result.id).out
        within = shell("jobs", "show", result.id, "--app", "site_shop").out

        assert 'Call      ship with [[{"!object":["site_shop:Order",{"number":7}]}],{}]\n' in without
        assert "Call      ship(Order(number=7))\n" in within

    def test_long_values_are_cut_for_people_only(self, shell: Shell, mill: Mill) -> None:
        @mill.task(name="echo")
        def echo(text: str) -> str:
            return text

        result = echo.enqueue("x" * 100_000)
        work(mill)

        assert len(shell("jobs", "show", result.id).out) < 10_000
        assert "more characters, all of them with --json" in shell("jobs", "show", result.id).out
        assert shell("jobs", "show", result.id, "--json").json["result"] == "x" * 100_000

    def test_json_has_stable_keys(self, shell: Shell, mill: Mill, fail: Task[[str], None]) -> None:
        result = fail.enqueue("no")
        work(mill)

        job = shell("jobs", "show", result.id, "--json").json

        listed = shell("jobs", "list", "--json").json["jobs"][0]
        assert {name: value for name, value in job.items() if name not in {"attempts", "steps"}} == listed
        assert set(job) == KEYS | {"attempts", "steps"}
        assert (job["args"], job["kwargs"], job["state"], job["reason"]) == (["no"], {}, "failed", "error")
        assert set(job["error"]) == {"type", "message", "traceback"}
        assert datetime.fromisoformat(job["ended_at"]) == result.job().ended_at
        assert job["result_ttl"] == 86_400
        [attempt] = job["attempts"]
        assert set(attempt) == {"number", "outcome", "started_at", "ended_at", "error", "session"}
        assert attempt["error"]["message"] == "no"

    def test_one_that_took_down_its_processes_says_so(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int]
    ) -> None:
        result, storage = add.enqueue(1, 2), mill.app.storage
        said = []
        for wants in ({"thread": 1}, *[{"alone": 1}] * 3):
            session = storage.sessions.open(kind="worker", lease=30_000_000)
            [claimed] = storage.jobs.turn(session, [], claim=1, wants=wants, queues=None).claimed
            storage.sessions.slots(session, 1).note(0, claimed.ref, claimed.fence)
            storage.jobs.bury(session, described(-9), alone="alone" in wants)
            said.append(shell("jobs", "show", result.id).out)

        assert "queued (runs alone after a crash)" in said[0]
        assert "failed (crashed)" in said[-1]
        assert "rescued 1 time, took down 3 of 3 processes" in said[-1]
        assert "was killed by SIGKILL" in said[-1]
        assert "1/1, crashes: 3" in shell("jobs", "list").out

    def test_one_whose_task_a_worker_did_not_know_says_so(self, shell: Shell, mill: Mill) -> None:
        mill.app.submit([NewJob(job_id="stranger", task="nowhere", args="[[],{}]")])
        work(mill)

        assert "queued (waits for a worker that knows its task)" in shell("jobs", "show", "stranger").out

    def test_an_unknown_id(self, shell: Shell, add: Task[[int, int], int]) -> None:
        add.enqueue(1, 2)

        status, out, err = shell("jobs", "show", "01\x1b[2J")

        assert (status, out) == (1, "")
        assert err.startswith(r"taskmill: error: there is no job '01\x1b[2J'")


class TestRetry:
    def test_a_failed_job_is_queued_again(self, shell: Shell, mill: Mill, fail: Task[[str], None]) -> None:
        result = fail.enqueue("no")
        work(mill)

        assert shell("jobs", "retry", result.id) == (0, f"{result.id}: queued again\n", "")
        assert result.state is State.QUEUED

    def test_those_that_cannot_be_do_not_keep_the_others_from_it(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int], fail: Task[[str], None]
    ) -> None:
        done, failed = add.enqueue(1, 2), fail.enqueue("no")
        work(mill)

        status, out, err = shell("jobs", "retry", done.id, "nowhere", failed.id)

        assert (status, out) == (1, f"{failed.id}: queued again\n")
        assert err.splitlines() == [
            f"taskmill: error: {done.id}: it is succeeded; only failed and cancelled jobs can be retried",
            "taskmill: error: nowhere: there is no such job",
        ]

    def test_json(self, shell: Shell, mill: Mill, fail: Task[[str], None]) -> None:
        result = fail.enqueue("no")
        work(mill)

        answer = shell("jobs", "retry", "--json", result.id, "nowhere")

        assert (answer.status, answer.err) == (1, "")
        assert answer.json["jobs"] == [
            {"job_id": result.id, "done": True, "answer": "queued again"},
            {"job_id": "nowhere", "done": False, "answer": "there is no such job"},
        ]

    def test_a_step_whose_step_before_failed(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int], fail: Task[[str], None]
    ) -> None:
        pipeline = (fail.s("no") | add.s(1)).enqueue()
        work(mill)

        assert "a step before it has not succeeded" in shell("jobs", "retry", pipeline.id).err


class TestCancel:
    def test_a_waiting_job(self, shell: Shell, add: Task[[int, int], int]) -> None:
        result = add.enqueue(1, 2)

        assert shell("jobs", "cancel", result.id) == (0, f"{result.id}: cancelled\n", "")
        assert result.state is State.CANCELLED

    def test_a_running_job_is_asked(self, shell: Shell, app: ModuleType, meeting: Meeting) -> None:
        with app.mill.worker():
            result = app.block.enqueue()
            meeting.await_begin()
            answer = shell("jobs", "cancel", "--url", "sqlite:///jobs.db", result.id)
            shown = shell("jobs", "show", "--url", "sqlite:///jobs.db", result.id).out
            meeting.let_go()

        assert answer == (0, f"{result.id}: asked to stop; it will not be retried\n", "")
        assert "State     running (asked to stop)\n" in shown

    def test_one_that_has_ended(self, shell: Shell, mill: Mill, add: Task[[int, int], int]) -> None:
        result = add.enqueue(1, 2)
        work(mill)

        assert shell("jobs", "cancel", result.id, result.id) == (
            1,
            "",
            f"taskmill: error: {result.id}: it has ended already\n",
        )

    def test_the_application_hears_of_it(self, shell: Shell, app: ModuleType, folder: Path) -> None:
        with (folder / "app.py").open("a", encoding="utf-8") as file:
            file.write("\n@mill.on('cancelled')\ndef tell(event):\n    print('heard of', event.job_id)\n")
        result: Result[int] = app.add.enqueue(1, 2)

        assert f"heard of {result.id}\n" in shell("jobs", "cancel", "--app", "app", result.id).out


SHOP = """
from dataclasses import dataclass
from taskmill import Mill

mill = Mill()

@dataclass
class Order:
    number: int

@mill.task(name="ship")
def ship(order: Order):
    pass
"""

KEYS = {
    "progress",
    "job_id",
    "task",
    "args",
    "kwargs",
    "state",
    "reason",
    "result",
    "error",
    "queue",
    "executor",
    "priority",
    "attempt",
    "max_attempts",
    "rescues",
    "crashes",
    "is_handed_on",
    "is_suspect",
    "enqueued_at",
    "run_at",
    "claimed_at",
    "started_at",
    "ended_at",
    "expires_at",
    "result_ttl",
    "lock",
    "waits_for",
    "key",
    "tags",
    "headers",
    "pipeline",
    "step",
    "cancel_requested",
    "session",
    "fence",
}


class TestMany:
    def test_all_that_match_are_run_again(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int], fail: Task[[str], None]
    ) -> None:
        for message in ("one", "two", "three"):
            fail.enqueue(message)
        work(mill)
        waiting = add.enqueue(1, 2)

        assert shell("jobs", "retry", "--text", "two", "--yes") == (0, "1 job queued again.\n", "")
        assert shell("jobs", "retry", "--task", "shop.fail", "--yes", "--json").json == {
            "found": 2,
            "changed": 2,
            "refused": 0,
            "left": 0,
        }
        assert waiting.state is State.QUEUED
        assert shell("jobs", "retry", "--all", "--yes") == (0, "", "no jobs\n")

    def test_all_that_match_are_cancelled_then_deleted(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int]
    ) -> None:
        stays = add.enqueue(1, 2)
        for _ in range(3):
            add.using(queue="mail").enqueue(1, 2)

        assert (
            shell("jobs", "cancel", "--queue", "mail", "--yes").out == "3 jobs cancelled, or asked to stop.\n"
        )
        assert shell("jobs", "delete", "--state", "cancelled", "--yes").out == "3 jobs deleted.\n"
        assert [job["job_id"] for job in shell("jobs", "--json").json["jobs"]] == [stays.id]

    def test_it_asks_with_how_many(
        self, shell: Shell, add: Task[[int, int], int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = add.enqueue(1, 2)
        monkeypatch.setattr("sys.stdin", Terminal("n\n"))

        status, out, err = shell("jobs", "delete", "--all")

        assert (status, out) == (1, "")
        assert err.startswith("Delete 1 job in sqlite:///")
        assert err.endswith("? [y/N] nothing was done\n")
        assert job.state is State.QUEUED

    def test_without_a_terminal_it_wants_yes(
        self, shell: Shell, add: Task[[int, int], int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add.enqueue(1, 2)
        monkeypatch.setattr("sys.stdin", None)

        assert shell("jobs", "cancel", "--all") == (
            2,
            "",
            "taskmill: error: this would cancel 1 job: add --yes where nobody can be asked\n",
        )

    @pytest.mark.parametrize(
        "words", [("retry",), ("delete", "x", "--all"), ("cancel", "x", "--queue", "mail")]
    )
    def test_either_ids_or_what_they_have_in_common(
        self, shell: Shell, add: Task[[int, int], int], words: tuple[str, ...]
    ) -> None:
        add.enqueue(1, 2)

        status, out, err = shell("jobs", *words)

        assert (status, out) == (2, "")
        assert f"say which jobs to {words[0]}: by their ids, by what they have in common (--state" in err

    def test_one_is_deleted_or_it_is_said_why_not(
        self, shell: Shell, mill: Mill, add: Task[[int, int], int]
    ) -> None:
        result = add.enqueue(1, 2)

        assert shell("jobs", "delete", result.id) == (0, f"{result.id}: deleted\n", "")
        assert (
            shell("jobs", "delete", result.id).err == f"taskmill: error: {result.id}: there is no such job\n"
        )
