"""Copies of a store that is in use, and what becomes of them when they are put in its place."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from taskmill import Mill, State
from taskmill._core.instant import HOUR
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import BackupFailed
from tests.cli.process import Program, Programs
from tests.cli.shell import Shell
from tests.conformance.builders import Worker, a_job, job_of, retrying, succeeded
from tests.worker.builders import wait_for

URL = ("--url", "sqlite:///jobs.db")

PRODUCER = """
import os, sys
from app import add
acked = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while True:
    os.write(acked, (add.enqueue(1, 2).id + "\\n").encode())
"""


@pytest.fixture
def store(folder: Path) -> SqliteStorage:
    return SqliteStorage("jobs.db", durability="normal")


def refusal(shell: Shell, target: str, *words: str) -> str:
    """What is said where no copy is made."""
    before = names()
    status, out, err = shell("backup", target, *URL, *words)
    assert (status, out) == (1, "")
    assert names() == before
    return err.removeprefix("taskmill: error: ").rstrip("\n")


def names() -> set[str]:
    return {str(file) for file in Path().rglob("*")}


class TestBackup:
    def test_it_says_what_it_has_made(self, shell: Shell, app: ModuleType, folder: Path) -> None:
        for number in range(3):
            app.add.enqueue(number, 1)
        before = names()

        status, out, err = shell("backup", "copy.db", *URL)

        assert (status, err) == (0, "")
        assert re.fullmatch(rf"{folder}/copy\.db: \d+\.\d KiB, 3 jobs, verified, in \d+\.\d s\n", out)
        assert names() - before == {"copy.db"}
        assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600

    def test_json(self, shell: Shell, app: ModuleType, folder: Path) -> None:
        app.add.enqueue(1, 2)

        said = shell("backup", "copy.db", *URL, "--json").json

        assert said.keys() == {"path", "size", "jobs", "seconds", "violations"}
        assert (said["path"], said["jobs"], said["violations"]) == (str(folder / "copy.db"), 1, [])
        assert said["size"] == (folder / "copy.db").stat().st_size

    def test_the_store_stays_as_it_is(self, shell: Shell, app: ModuleType, folder: Path) -> None:
        app.add.enqueue(1, 2)
        app.mill.close()
        before = (folder / "jobs.db").read_bytes()

        assert shell("backup", "copy.db", *URL).status == 0

        assert (folder / "jobs.db").read_bytes() == before
        assert names() == {"app.py", "jobs.db", "copy.db"}

    def test_a_program_backs_up_its_own_store(self, mill: Mill, folder: Path) -> None:
        mill.task(name="nothing")(print).enqueue()

        assert mill.backup(folder / "copy.db").jobs == 1
        with pytest.raises(BackupFailed):
            mill.backup("copy.db")
        assert mill.backup("copy.db", replace=True).path == folder / "copy.db"


class TestTarget:
    def test_one_that_is_there_is_replaced_only_if_asked(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        assert shell("backup", "copy.db", *URL).status == 0
        precious = Path("copy.db").read_bytes()
        app.add.enqueue(3, 4)

        assert "copy.db is there already: name another file, or add --force" in refusal(shell, "copy.db")
        assert Path("copy.db").read_bytes() == precious
        assert shell("backup", "copy.db", *URL, "--force").status == 0
        assert Path("copy.db").read_bytes() != precious
        assert Mill("sqlite:///copy.db").doctor()

    @pytest.mark.parametrize("place", ["jobs.db", "jobs.db-wal", "link.db", "hard.db", "../{}/jobs.db"])
    def test_the_store_itself(self, shell: Shell, app: ModuleType, folder: Path, place: str) -> None:
        app.add.enqueue(1, 2)
        Path("link.db").symlink_to("jobs.db")
        Path("hard.db").hardlink_to("jobs.db")

        assert "is the store itself: name another file" in refusal(
            shell, place.format(folder.name), "--force"
        )

    def test_a_store_in_use(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        other = Mill("sqlite:///other.db")
        other.task(name="nothing")(print).enqueue()

        said = refusal(shell, "other.db", "--force")

        assert "other.db-wal lies there, so " in said
        assert other.result(other.app.storage.inspection.find()[0].job_id).state == "queued"
        other.close()

    @pytest.mark.parametrize(
        "target, said",
        [
            (".", "is a folder: name a file in it"),
            ("no/where.db", "there is no folder "),
            ("x" * 300, "cannot be written: File name too long"),
        ],
    )
    def test_no_place_for_a_file(self, shell: Shell, app: ModuleType, target: str, said: str) -> None:
        app.add.enqueue(1, 2)

        assert said in refusal(shell, target)

    def test_a_full_disk(self, programs: Programs, app: ModuleType) -> None:
        app.mill.enqueue_many(app.add.s(n, n) for n in range(2_000))
        before = names()
        limited = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))\n"
            "from taskmill._cli.main import main; sys.exit(main())"
        )

        status, out, err = programs.run("backup", "copy.db", *URL, command=(sys.executable, "-c", limited))

        assert (status, out) == (1, "")
        assert "make room in its folder" in err
        assert "Traceback" not in err
        assert names() == before

    def test_what_is_no_database_is_not_replaced(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        Path("notes.txt").write_text("hello")
        os.mkfifo("pipe")

        for name in ("notes.txt", "pipe"):
            assert "is no SQLite database" in refusal(shell, name, "--force")
        assert Path("notes.txt").read_text() == "hello"

    def test_a_folder_that_takes_no_files(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)

        # Root may write to any folder that a test could make.
        assert "cannot be written: " in refusal(shell, "/proc/self/copy.db")


class TestSource:
    def test_none(self, shell: Shell, folder: Path) -> None:
        status, _, err = shell("backup", "copy.db", *URL)

        assert status == 3
        assert "there is no store at" in err
        assert names() == set()

    def test_a_store_in_memory(self, shell: Shell) -> None:
        assert shell("backup", "copy.db", "--url", "memory://").status == 2

    @pytest.mark.parametrize("part", ["page", "index"])
    def test_a_damaged_one_is_not_copied_over_a_good_copy(
        self, shell: Shell, app: ModuleType, part: str
    ) -> None:
        app.mill.enqueue_many(app.add.s(n, n) for n in range(1_000))
        assert shell("backup", "copy.db", *URL).status == 0
        good = Path("copy.db").read_bytes()
        app.mill.close()
        DAMAGE[part]()

        said = refusal(shell, "copy.db", "--force")

        assert "damaged" in said or "malformed" in said
        assert Path("copy.db").read_bytes() == good

    def test_one_that_breaks_a_rule_is_copied_and_told_of(self, shell: Shell, app: ModuleType) -> None:
        app.add.enqueue(1, 2)
        with closing(sqlite3.connect("jobs.db")) as connection:
            connection.execute("pragma ignore_check_constraints = 1")
            connection.execute("update taskmill_job set args = null, kept_for = 1")
            connection.commit()

        status, out, err = shell("backup", "copy.db", *URL)

        assert status == 0
        assert "1 job" in out
        assert "breaks rules of its own (impossible-job, job-without-arguments)" in err


class TestTheCopy:
    """It is a store at rest, whatever the original is at."""

    @pytest.fixture
    def copy(self, store: SqliteStorage, folder: Path) -> SqliteStorage:
        """One of a store in which everything runs and is held, by a process that lives on."""
        worker = Worker(store, lease=HOUR)
        store.jobs.add(
            [
                a_job("running", max_attempts=3),
                a_job("holding", lock="L"),
                a_job("unwanted"),
                a_job("done"),
            ]
        )
        for claimed in worker.claim():
            if claimed.job_id == "done":
                worker.settle(claimed, succeeded())
        store.jobs.add([a_job("waiting", lock="L"), a_job("later", run_at=store.now() + HOUR)])
        worker.claim()
        store.jobs.cancel("unwanted")
        store.limits.acquire("M", worker.session)
        store.schedules.register(name="tick", task="add", spec="every 3600s")
        store.health.backup(folder / "copy.db", replace=False)
        return SqliteStorage("copy.db", durability="normal")

    def test_what_ran_can_be_claimed_at_once_with_no_attempt_burnt(self, copy: SqliteStorage) -> None:
        worker = Worker(copy)

        claimed = {one.job_id: one for one in worker.claim()}

        assert claimed.keys() == {"running", "holding"}
        assert claimed["running"].attempt == 1
        assert job_of(copy, "unwanted").state is State.CANCELLED
        assert job_of(copy, "done").state is State.SUCCEEDED
        assert job_of(copy, "later").state is State.QUEUED

    def test_nothing_is_held(self, copy: SqliteStorage) -> None:
        assert list(copy.limits.list()) == []
        assert list(copy.inspection.sessions()) == []
        assert list(copy.health.verify()) == []

    def test_the_fence_of_a_job_and_the_token_of_a_lock_go_on_above_those_of_the_original(
        self, store: SqliteStorage
    ) -> None:
        original = Worker(store)
        store.jobs.add([a_job("again", max_attempts=9)])
        store.limits.acquire("before", original.session)
        store.health.backup(Path("copy.db"), replace=False)
        for _ in range(3):
            late = original.claim_one()
            original.settle(late, retrying())
        late_token = store.limits.acquire("after", original.session)
        restored = Worker(SqliteStorage("copy.db", durability="normal"))

        claimed, token = restored.claim_one(), restored.storage.limits.acquire("after", restored.session)

        assert claimed.fence > late.fence
        assert token is not None
        assert late_token is not None
        assert token > late_token

    def test_a_first_token_lies_above_those_of_the_original_too(self, store: SqliteStorage) -> None:
        store.jobs.add([a_job()])
        copied = SqliteStorage(store.health.backup(Path("copy.db"), replace=False).path)
        worker, other = Worker(copied), Worker(store)

        token, later = copied.limits.acquire("L", worker.session), store.limits.acquire("L", other.session)

        assert token is not None
        assert later is not None
        assert token > later

    def test_a_schedule_goes_on_from_the_slot_that_it_had(
        self, copy: SqliteStorage, store: SqliteStorage
    ) -> None:
        assert list(copy.schedules.list()) == list(store.schedules.list())

    def test_the_original_goes_on(self, copy: SqliteStorage, store: SqliteStorage) -> None:
        assert job_of(store, "running").state is State.RUNNING
        assert [lock.name for lock in store.limits.list()] == ["L", "M"]


class TestRestore:
    def test_all_that_was_acknowledged_before_is_there_and_ends(
        self, shell: Shell, programs: Programs, app: ModuleType, folder: Path
    ) -> None:
        """A backup under load, a crash of everything, and the way back that docs/operations.md describes."""
        worker = programs.start("worker", "app:mill")
        worker.start_line()
        files = [folder / "acked-1", folder / "acked-2"]
        producers = [
            programs.start(
                file.name, command=(sys.executable, "-c", PRODUCER), env={"PYTHONPATH": str(folder)}
            )
            for file in files
        ]
        wait_for(lambda: all(len(acknowledged(file)) > 100 for file in files), "both enqueue")

        before = [job_id for file in files for job_id in acknowledged(file)]
        said = shell("backup", "copy.db", *URL, "--json").json
        after = {file: len(acknowledged(file)) for file in files}
        wait_for(lambda: all(len(acknowledged(file)) > after[file] for file in files), "they go on")
        for program in (worker, *producers):
            kill(program)
        restore(folder)
        status, _, err = programs.run("worker", "app:mill", "--burst")

        assert said["violations"] == []
        assert status == 0, err
        states = {job.job_id: job.state for job in app.mill.app.storage.inspection.find(limit=1_000_000)}
        assert set(before) <= states.keys()
        assert len(states) == said["jobs"]
        assert set(states.values()) == {State.SUCCEEDED}
        assert list(app.mill.app.storage.health.verify()) == []


def damage_a_page() -> None:
    data = bytearray(Path("jobs.db").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4_096] = b"\xff" * 4_096
    Path("jobs.db").write_bytes(data)


def damage_an_index() -> None:
    """Let it miss the keys of jobs, which nothing notices but SQLite's own check."""
    for change in (
        "update sqlite_master set sql = replace(sql, 'key is not null', 'key is null') where name = 'taskmill_job_key'",
        "update taskmill_job set key = job_id",
        "update sqlite_master set sql = replace(sql, 'key is null', 'key is not null') where name = 'taskmill_job_key'",
    ):
        with closing(sqlite3.connect("jobs.db")) as connection:
            connection.execute("pragma writable_schema = 1")
            connection.execute(change)
            connection.commit()


DAMAGE = {"page": damage_a_page, "index": damage_an_index}


def acknowledged(file: Path) -> list[str]:
    return file.read_text(encoding="ascii").split("\n")[:-1] if file.exists() else []


def kill(program: Program) -> None:
    program.signal(signal.SIGKILL)
    program.end()


def restore(folder: Path) -> None:
    away = folder / "away"
    away.mkdir()
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-sessions"):
        if (folder / name).exists():
            (folder / name).rename(away / name)
    (folder / "jobs.db").write_bytes((folder / "copy.db").read_bytes())
    (folder / "jobs.db").chmod(0o600)
