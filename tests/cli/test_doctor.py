"""What the doctor says at a prompt, of conditions that are really there."""

from __future__ import annotations

import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskmill import Mill
from tests.cli.process import Meeting, Programs
from tests.cli.shell import Answer, Shell
from tests.worker.builders import wait_for

URL = ("--url", "sqlite:///jobs.db")


@pytest.fixture(autouse=True)
def ordinary_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine is: a SQLite with the bug, on an ordinary disk."""
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 40, 1))
    monkeypatch.setattr("taskmill._storage.sqlite.filesystem.kind_of", lambda *places: "ext4")


def by_name(answer: Answer) -> dict[str, Any]:
    return {finding["name"]: finding for finding in answer.json["findings"]}


def by_hand(*statements: str) -> None:
    with closing(sqlite3.connect("jobs.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


class TestDoctor:
    def test_nothing_needs_doing(self, shell: Shell, programs: Programs, app: ModuleType) -> None:
        programs.start("worker", "app:mill").start_line()
        app.add.enqueue(2, 3).get(timeout=45)

        status, out, err = shell("doctor", *URL)

        assert (status, err) == (0, "")
        assert re.fullmatch(
            r"sqlite:////\S+/jobs.db: 1 note\n\nnote: sqlite-version\n  SQLite .*\n  -> nothing, while .*\n",
            out,
            re.DOTALL,
        )
        assert max(map(len, out.splitlines())) <= 100

    def test_nothing_at_all(self, shell: Shell, app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 53, 0))
        app.add.using(delay=3600).enqueue(1, 2)
        app.mill.close()

        status, out, err = shell("doctor", *URL, "--verify")

        assert (status, err) == (0, "")
        assert out.endswith("/jobs.db: nothing is wrong\n")

    def test_jobs_and_no_worker(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(2, 3)

        status, out, err = shell("doctor", *URL)

        assert (status, err) == (1, "")
        lines = out.splitlines()
        assert lines[0].endswith("/jobs.db: 1 error, 1 note")
        assert lines[2] == "error: no-worker"
        assert re.fullmatch(r"  1 due job waits, the oldest for \d+\.\d s, and no worker is alive", lines[3])
        assert lines[4] == "  -> start one: taskmill worker MODULE:MILL"

    def test_json(self, shell: Shell, app: ModuleType, folder: Path) -> None:
        app.add.enqueue(2, 3)

        answer = shell("doctor", *URL, "--json")

        assert answer.status == 1
        assert answer.json["store"] == f"sqlite:///{folder}/jobs.db"
        assert [set(finding) for finding in answer.json["findings"]] == [
            {"name", "severity", "found", "advice"}
        ] * 2
        assert [finding["severity"] for finding in answer.json["findings"]] == ["error", "note"]

    def test_the_store_of_an_application(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(2, 3)

        found = by_name(shell("doctor", "--app", "app:mill", "--json"))

        assert found.keys() == {"no-worker", "durability", "sqlite-version"}

    def test_work_that_nobody_takes(self, shell: Shell, programs: Programs, app: ModuleType) -> None:
        programs.start("worker", "app:mill", "--queues", "default", "--coroutines", "0").start_line()
        app.add.using(queue="mail").enqueue(1, 2)
        app.block_the_loop.enqueue()
        stranger = Mill(app.mill.url)
        stranger.task(name="nowhere")(print).enqueue()
        stranger.close()

        def look() -> dict[str, Any]:
            # While the worker looks at the job whose task it does not know, that one does not wait.
            found = by_name(shell("doctor", *URL, "--json"))
            return found if "unknown-task" in found else {}

        found = wait_for(look, "all three wait")

        assert {name for name, finding in found.items() if finding["severity"] == "error"} == {
            "unserved-queue",
            "unserved-executor",
            "unknown-task",
        }
        assert "of queue 'mail'" in found["unserved-queue"]["found"]
        assert "for executor 'asyncio' of queue 'default'" in found["unserved-executor"]["found"]
        assert "of task 'nowhere'" in found["unknown-task"]["found"]

    def test_a_worker_that_was_killed(
        self, shell: Shell, programs: Programs, app: ModuleType, meeting: Meeting
    ) -> None:
        worker = programs.start("worker", "app:mill")
        worker.start_line()
        app.block.enqueue()
        meeting.await_begin()
        worker.signal(signal.SIGKILL)
        worker.end()

        def look() -> dict[str, Any]:
            found = by_name(shell("doctor", *URL, "--json"))
            return found if "hold 1 job" in found.get("dead-sessions", {}).get("found", "") else {}

        found = wait_for(look, "both processes are gone")

        assert found["dead-sessions"]["severity"] == "warning"
        assert re.match(
            r"2 sessions of processes that are gone: supervisor \d+ on ", found["dead-sessions"]["found"]
        )

    def test_a_schedule_that_nobody_keeps(self, shell: Shell, programs: Programs, app: ModuleType) -> None:
        assert programs.run("worker", "app:mill", "--burst")[0] == 0
        by_hand("update taskmill_schedule set last_slot = last_slot - 7200000000")

        found = by_name(shell("doctor", *URL, "--json"))

        assert "'app.tidy' for " in found["missed-schedules"]["found"]

    def test_a_clock_that_went_back(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        by_hand("update taskmill_job set enqueued_at = enqueued_at + 7200000000")

        assert "2 h behind" in by_name(shell("doctor", *URL, "--json"))["clock"]["found"]

    def test_verify(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        by_hand("delete from taskmill_payload", "update taskmill_job set args = null")

        assert "job-without-arguments" not in by_name(shell("doctor", *URL, "--json"))
        found = by_name(shell("doctor", *URL, "--json", "--verify"))
        assert found["job-without-arguments"]["severity"] == "error"
        assert found["job-without-arguments"]["found"].startswith("1 fault: ")

    def test_a_damaged_page(self, shell: Shell, app: ModuleType, folder: Path) -> None:
        app.mill.enqueue_many(app.add.s(n, n) for n in range(1_000))
        app.mill.close()
        data = bytearray((folder / "jobs.db").read_bytes())
        data[len(data) // 2 : len(data) // 2 + 4_096] = b"\xff" * 4_096
        (folder / "jobs.db").write_bytes(data)

        answer = shell("doctor", *URL, "--verify", "--json")

        assert (answer.status, answer.err) == (1, "")
        assert {"integrity", "not-a-store"} & by_name(answer).keys()


class TestNoStore:
    def test_nothing_is_there(self, shell: Shell, folder: Path) -> None:
        status, out, err = shell("doctor")

        assert (status, err) == (1, "")
        assert "error: store-unavailable\n  there is no store at " in out
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("content", [b"", b"no database" * 1_000])
    def test_another_file(self, shell: Shell, folder: Path, content: bytes) -> None:
        (folder / "jobs.db").write_bytes(content)

        answer = shell("doctor", *URL, "--json")

        assert (answer.status, answer.err) == (1, "")
        assert "not-a-store" in by_name(answer)
        assert (folder / "jobs.db").read_bytes() == content

    def test_a_newer_schema(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        by_hand("update taskmill_meta set value = '99'")

        answer = shell("doctor", *URL, "--json")

        assert answer.status == 1
        assert "schema 99" in by_name(answer)["newer-schema"]["found"]

    def test_one_that_is_locked(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        app.mill.close()
        with closing(sqlite3.connect("jobs.db", isolation_level=None)) as holder:
            holder.execute("pragma locking_mode = exclusive")
            holder.execute("begin immediate")
            holder.execute("update taskmill_meta set value = value")

            answer = shell("doctor", "--url", "sqlite:///jobs.db?timeout=0.05", "--json")

        assert answer.status == 1
        assert "stayed locked for 0.1 s" in by_name(answer)["store-busy"]["found"]

    def test_a_store_in_memory(self, shell: Shell) -> None:
        status, _, err = shell("doctor", "--url", "memory://")

        assert status == 2
        assert "lives in the process that made it" in err


class TestMill:
    def test_a_program_asks_its_own_store(self) -> None:
        mill = Mill("memory://")
        mill.task(name="nothing")(print).enqueue()

        assert [finding.name for finding in mill.doctor(verify=True)] == ["no-worker"]
        with mill.worker():
            assert mill.doctor() == []


def test_the_docs_name_every_finding() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs/operations.md").read_text(encoding="utf-8")
    places = ("_core/diagnosis.py", "_storage/sqlite/surroundings.py", "_app/doctor.py")
    sources = "".join((root / "src/taskmill" / place).read_text(encoding="utf-8") for place in places)
    names = set(re.findall(r'(?:error|warning|note|return)\(?\s*"([a-z]+(?:-[a-z]+)*)"', sources))

    assert {"unserved-queue", "backlog", "sqlite-version", "newer-schema", "clock"} <= names
    assert {name for name in names if f"`{name}`" not in page} == set()
