"""From a path to a store: what is made, with which settings, and what is left as it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskmill._core.instant import SECOND
from taskmill._storage.sqlite import opening, schema
from taskmill._storage.sqlite.jobs import insert
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import NotAStore, StoreUnavailable
from tests.conformance.builders import Worker, a_job, ids, succeeded
from tests.sqlite.children import Spawn
from tests.sqlite.conftest import OpenStore


def pragma(connection: Connection, name: str) -> Any:
    [value] = connection.execute(f"pragma {name}").fetchone()
    return value


def settings(store: SqliteStorage, name: str) -> tuple[Any, Any]:
    """A setting of the writing and of the reading connection."""
    database = store._database
    return database.write(lambda c: pragma(c, name)), database.read(lambda c: pragma(c, name))


def by_hand(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    """What another program does with the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


class TestPlace:
    def test_making_a_store_touches_nothing(self, tmp_path: Path) -> None:
        SqliteStorage(tmp_path / "new" / "jobs.db").close()

        assert list(tmp_path.iterdir()) == []

    def test_reading_a_new_store_makes_it(self, store: SqliteStorage, path: Path) -> None:
        assert store.inspection.find() == []

        assert path.exists()

    def test_asking_whether_it_exists_does_not_make_it(self, store: SqliteStorage, path: Path) -> None:
        assert not store.exists()

        assert not path.exists()

    def test_a_relative_path_is_fixed_when_the_store_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_store: OpenStore
    ) -> None:
        monkeypatch.chdir(tmp_path)
        store = open_store("jobs.db")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        store.jobs.add([a_job()])

        assert (tmp_path / "jobs.db").exists()
        assert not (tmp_path / "elsewhere" / "jobs.db").exists()

    def test_a_folder_that_is_made_belongs_to_its_owner_alone(
        self, tmp_path: Path, open_store: OpenStore
    ) -> None:
        open_store(tmp_path / "var" / "app" / "jobs.db").jobs.add([a_job()])

        assert mode(tmp_path / "var" / "app") == 0o700

    def test_the_folders_that_are_made_outlast_a_power_cut(
        self, tmp_path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[Path] = []
        fsync = os.fsync

        def noting(descriptor: int) -> None:
            synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", noting)
        open_store(tmp_path / "var" / "app" / "jobs.db").jobs.add([a_job()])

        assert set(synced) == {tmp_path, tmp_path / "var"}

    @pytest.mark.parametrize("umask", [0o022, 0o000])
    def test_the_file_and_its_companions_are_its_owners_alone(
        self, umask: int, store: SqliteStorage, path: Path
    ) -> None:
        before = os.umask(umask)
        try:
            Worker(store)
        finally:
            os.umask(before)

        assert {file.name: mode(file) for file in path.parent.glob("jobs.db*") if file.is_file()} == {
            "jobs.db": 0o600,
            "jobs.db-wal": 0o600,
            "jobs.db-shm": 0o600,
        }
        sessions = path.with_name("jobs.db-sessions")
        assert mode(sessions) == 0o700
        assert {mode(file) for file in sessions.iterdir()} == {0o600}

    def test_the_permissions_of_a_file_that_is_there_stay(self, store: SqliteStorage, path: Path) -> None:
        path.touch()
        path.chmod(0o660)

        store.jobs.add([a_job()])

        assert mode(path) == 0o660

    def test_a_symbolic_link_leads_to_the_same_store(self, tmp_path: Path, open_store: OpenStore) -> None:
        real, link = tmp_path / "real.db", tmp_path / "link.db"
        link.symlink_to(real)
        one, other = open_store(real), open_store(link)
        worker = Worker(other)

        one.jobs.add([a_job("a")])

        assert ids(worker.claim()) == ["a"]
        assert one.jobs.rescue() == []
        assert not (tmp_path / "link.db-sessions").exists()


class TestSettings:
    def test_there_is_a_write_ahead_log(self, store: SqliteStorage) -> None:
        assert settings(store, "journal_mode") == ("wal", "wal")

    @pytest.mark.parametrize("durability, level", [("full", 2), ("normal", 1)])
    def test_each_connection_has_the_durability_asked_for(
        self, durability: str, level: int, open_store: OpenStore
    ) -> None:
        assert settings(open_store(durability=durability), "synchronous") == (level, level)

    def test_full_is_the_default(self, open_store: OpenStore) -> None:
        assert settings(open_store(), "synchronous") == (2, 2)

    def test_sqlite_folds_the_log_in_on_no_connection_by_itself(self, store: SqliteStorage) -> None:
        assert settings(store, "wal_autocheckpoint") == (0, 0)
        with closing(store._database.connect()) as connection:
            assert pragma(connection, "wal_autocheckpoint") == 0

    def test_they_are_the_same_after_closing_and_using_it_again(self, store: SqliteStorage) -> None:
        store.jobs.add([a_job()])

        store.close()

        assert settings(store, "wal_autocheckpoint") == (0, 0)
        assert settings(store, "synchronous") == (1, 1)

    def test_closing_the_last_store_folds_the_log_in(self, store: SqliteStorage, path: Path) -> None:
        store.jobs.add([a_job()])

        store.close()

        assert [file.name for file in path.parent.iterdir()] == ["jobs.db"]

    def test_a_store_that_nobody_closes_is_closed_without_a_warning(self, path: Path) -> None:
        program = (
            "import sys\n"
            "from taskmill._storage.sqlite.storage import SqliteStorage\n"
            "store = SqliteStorage(sys.argv[1]); store.jobs.add([]); store.inspection.find()\n"
        )

        # Python warns of an unclosed connection since 3.13.
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", program, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stderr == ""
        assert [file.name for file in path.parent.iterdir()] == ["jobs.db"]


class TestVersion:
    def test_it_stays_while_nothing_changes(self, store: SqliteStorage) -> None:
        store.jobs.add([a_job()])
        before = store.version()

        store.jobs.cancel("nobody")

        assert store.version() == before

    def test_it_changes_with_this_stores_own_writes(self, store: SqliteStorage) -> None:
        before = store.version()

        store.jobs.add([a_job()])

        assert store.version() != before

    def test_it_is_never_what_it_was_before_a_change_that_came_while_the_store_was_closed(
        self, store: SqliteStorage, open_store: OpenStore
    ) -> None:
        other = open_store()
        seen = {store.version()}
        for _ in range(5):
            other.jobs.add([a_job()])
            seen.add(store.version())
        store.close()
        other.jobs.add([a_job()])

        now = store.version()

        assert now not in seen


class TestOthersTables:
    """A database that another program made, and goes on using."""

    @pytest.fixture
    def foreign(self, path: Path) -> Path:
        by_hand(path, "create table book (title text)", "insert into book values ('Emma')")
        path.chmod(0o640)
        return path

    def test_they_stay_as_they_are(self, foreign: Path, store: SqliteStorage) -> None:
        worker = Worker(store)
        store.jobs.add([a_job("a")])
        worker.settle(worker.claim_one(), succeeded())
        store.close()

        assert by_hand(foreign, "select title from book") == [("Emma",)]
        assert by_hand(foreign, "pragma journal_mode") == [("delete",)]
        assert mode(foreign) == 0o640
        assert by_hand(foreign, "pragma integrity_check") == [("ok",)]

    def test_no_commit_is_undone_by_a_power_cut_without_a_log_either(
        self, foreign: Path, open_store: OpenStore
    ) -> None:
        # EXTRA: FULL leaves the folder unsynced after the journal was deleted.
        assert settings(open_store(), "synchronous") == (3, 3)
        assert settings(open_store(durability="normal"), "synchronous") == (1, 1)

    def test_a_reader_of_the_other_program_delays_a_commit_and_does_not_refuse_it(
        self, foreign: Path, store: SqliteStorage, spawn: Spawn
    ) -> None:
        store.jobs.add([a_job("a")])
        reader = spawn(
            "connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)\n"
            "connection.execute('begin')\n"
            "say(*connection.execute('select * from book').fetchone())\n"
            "heard()\n"
            "threading.Timer(0.1, lambda: (connection.rollback(), say('done'))).start()\n",
        )
        assert reader.hear() == "Emma"
        runs: list[str] = []
        reader.tell()

        store._database.write(lambda connection: runs.append(insert(connection, [a_job("b")], 0)[0]))

        assert reader.hear() == "done"
        assert runs == ["b"]
        assert {job.job_id for job in store.inspection.find()} == {"a", "b"}

    def test_producers_and_claimers_of_several_processes_get_along_without_a_log(
        self, foreign: Path, spawn: Spawn
    ) -> None:
        producers = [
            spawn("s = store(durability='normal')\nfor _ in range(50): s.jobs.add([a_job()])")
            for _ in range(2)
        ]
        claimers = [spawn(CLAIM_ALL, "100") for _ in range(2)]

        for producer in producers:
            producer.end()
        claimed = [job_id for claimer in claimers for job_id in claimer.end().split()]

        assert len(claimed) == len(set(claimed)) == 100
        assert by_hand(foreign, "pragma integrity_check") == [("ok",)]


CLAIM_ALL = """
s = store(durability='normal')
worker, done, wanted = Worker(s), [], int(sys.argv[2])
while True:
    claimed = worker.claim(7)
    for job in claimed:
        worker.settle(job, succeeded())
    done += [job.job_id for job in claimed]
    if [count.states.get('succeeded') for count in s.inspection.queues()] == [wanted]:
        break
say(*done)
s.close()
"""


class TestMigrations:
    def test_a_new_file_gets_the_newest_schema(self, store: SqliteStorage) -> None:
        assert store._database.read(schema.version) == schema.known_version()

    @pytest.mark.parametrize(
        "damage",
        ["delete from taskmill_meta", "update taskmill_meta set value = 'x'"],
    )
    def test_a_store_that_does_not_tell_its_schema_is_refused(
        self, damage: str, store: SqliteStorage, path: Path
    ) -> None:
        store.jobs.add([a_job()])
        store.close()
        by_hand(path, damage)

        with pytest.raises(NotAStore, match="does not say which schema"):
            store.jobs.add([a_job()])

    def test_two_processes_that_open_a_new_file_at_once_both_get_it(
        self, tmp_path: Path, spawn: Spawn
    ) -> None:
        opener = (
            "for number in range(20):\n"
            "    heard()\n"
            "    s = SqliteStorage(f'{path}{number}'); s.jobs.add([a_job()])\n"
            "    say(len(s.inspection.find()) in (1, 2)); s.close()\n"
        )
        pair = [spawn(opener, place=tmp_path / "race"), spawn(opener, place=tmp_path / "race")]

        for number in range(20):
            for child in pair:
                child.tell()
            assert [child.hear() for child in pair] == ["True", "True"]
            assert by_hand(tmp_path / f"race{number}", "select count(*) from taskmill_job") == [(2,)]


class TestOldSqlite:
    def test_it_is_refused_with_what_to_do(
        self, store: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(opening.sqlite3, "sqlite_version_info", (3, 34, 1))
        monkeypatch.setattr(opening.sqlite3, "sqlite_version", "3.34.1")

        with pytest.raises(StoreUnavailable) as caught:
            store.jobs.add([a_job()])

        assert str(caught.value) == (
            "this Python has SQLite 3.34.1, taskmill needs 3.37 or newer: use a newer Python"
        )
        assert not path.exists()


class TestSessionsFolder:
    def test_a_session_that_cannot_be_stored_leaves_no_files(
        self, store: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.jobs.add([])
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("begin immediate")
        store._database.timeout = 0

        with closing(blocker), pytest.raises(Exception, match="locked"):
            store.sessions.open(kind="worker", lease=SECOND)

        assert list(path.with_name("jobs.db-sessions").iterdir()) == []
