"""The file is deleted, moved or replaced, or its log is, under those who have it open: nothing is lost in silence."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskmill._core.instant import SECOND
from taskmill._storage.sqlite import opening
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import StoreUnavailable
from tests.conformance.builders import LEASE, Worker, a_job, ids
from tests.sqlite.children import Spawn
from tests.sqlite.conftest import OpenStore
from tests.sqlite.test_liveness import TurnedClock
from tests.worker.builders import wait_for

GONE = (
    "{path} is gone: it was deleted or moved away while this program had it open; "
    "put it back, or restart the program to begin with an empty store"
)


@pytest.fixture
def used(store: SqliteStorage) -> SqliteStorage:
    """A store that this process reads and writes."""
    store.jobs.add([a_job("before")])
    assert ids(store.inspection.find()) == ["before"]
    return store


def delete(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        if file.is_file() and not file.name.endswith("-copy"):
            file.unlink()


def jobs_in(path: Path) -> set[str]:
    """What another process finds there."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        return {job_id for (job_id,) in connection.execute("select job_id from taskmill_job")}


def test_a_file_that_is_replaced_while_it_is_opened(
    path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = path.with_name("another.db")
    for each in (path, another):
        store = open_store(each)
        store.jobs.add([a_job(each.stem)])
        store.close()
    open_it = opening.open_store

    def open_and_replace(*place: Any) -> sqlite3.Connection:
        connection = open_it(*place)
        if another.exists():
            another.replace(path)
        return connection

    monkeypatch.setattr(opening, "open_store", open_and_replace)
    store = open_store(path)
    store.jobs.add([a_job("after")])

    assert jobs_in(path) == {"another", "after"}
    assert set(ids(store.inspection.find())) == {"another", "after"}


class TestDeleted:
    def test_nothing_is_acknowledged_and_no_empty_store_takes_its_place(
        self, used: SqliteStorage, path: Path
    ) -> None:
        delete(path)

        with pytest.raises(StoreUnavailable) as writing:
            used.jobs.add([a_job("lost")])
        with pytest.raises(StoreUnavailable) as again:
            used.jobs.add([a_job("lost")])

        assert str(writing.value) == str(again.value) == GONE.format(path=path)
        assert not path.exists()

    def test_one_that_only_reads_is_told_within_a_second(self, used: SqliteStorage, path: Path) -> None:
        delete(path)

        def told() -> str:
            try:
                used.version()
            except StoreUnavailable as error:
                return str(error)
            return ""

        assert wait_for(told, "it is told") == GONE.format(path=path)

    def test_so_it_is_when_its_folder_is_deleted(self, tmp_path: Path, open_store: OpenStore) -> None:
        path = tmp_path / "var" / "jobs.db"
        store = open_store(path)
        worker = Worker(store)
        shutil.rmtree(path.parent)

        with pytest.raises(StoreUnavailable, match="is gone"):
            store.jobs.add([a_job()])
        with pytest.raises(StoreUnavailable):
            store.sessions.renew(worker.session)

        assert not path.parent.exists()

    def test_what_is_put_back_is_used_again(self, used: SqliteStorage, path: Path) -> None:
        away = path.with_name("away")
        away.mkdir()
        for file in path.parent.glob("jobs.db*"):
            file.rename(away / file.name)
        with pytest.raises(StoreUnavailable, match="is gone"):
            used.jobs.add([a_job("meanwhile")])

        for file in away.iterdir():
            file.rename(path.with_name(file.name))
        used.jobs.add([a_job("after")])

        assert {"before", "after"} <= set(ids(used.inspection.find()))
        used.close()
        assert {"before", "after"} <= jobs_in(path)

    def test_a_program_that_has_closed_its_store_begins_a_new_one(
        self, used: SqliteStorage, path: Path
    ) -> None:
        used.close()
        delete(path)

        used.jobs.add([a_job("new")])

        assert jobs_in(path) == {"new"}


class TestReplaced:
    @pytest.fixture
    def another(self, tmp_path: Path) -> Path:
        """A store that waits to take the place, with its log folded in."""
        file = tmp_path / "another.db"
        other = SqliteStorage(file)
        other.jobs.add([a_job("restored")])
        other.close()
        return file

    def test_what_is_written_goes_into_the_new_file(
        self, used: SqliteStorage, path: Path, another: Path
    ) -> None:
        delete(path)
        another.rename(path)

        used.jobs.add([a_job("after")])

        assert set(ids(used.inspection.find())) == {"restored", "after"}
        assert jobs_in(path) == {"restored", "after"}
        used.close()
        assert jobs_in(path) == {"restored", "after"}

    def test_closing_what_was_replaced_does_not_touch_what_others_wrote_since(
        self, used: SqliteStorage, path: Path, another: Path, spawn: Spawn
    ) -> None:
        delete(path)
        another.rename(path)
        other = spawn("s = store(); s.jobs.add([a_job('theirs')]); say('stored'); heard(); os._exit(0)")
        assert other.hear() == "stored"

        used.close()
        other.tell()
        other.end()

        assert jobs_in(path) == {"restored", "theirs"}

    def test_a_session_of_before_holds_nothing_any_more(
        self, used: SqliteStorage, path: Path, another: Path
    ) -> None:
        worker = Worker(used)
        delete(path)
        another.rename(path)

        with pytest.raises(StoreUnavailable, match="was replaced by another file: try it again"):
            worker.claim()
        assert worker.claim() == []
        assert not used.sessions.renew(worker.session)
        assert used.limits.acquire("lock", worker.session) is None
        assert ids(Worker(used).claim()) == ["restored"]

    def test_what_it_held_in_a_backup_goes_back_when_its_lease_is_over(
        self, path: Path, open_store: OpenStore
    ) -> None:
        clock = TurnedClock()
        used = open_store(clock=clock)
        used.jobs.add([a_job("before")])
        worker = Worker(used)
        assert ids(worker.claim()) == ["before"]
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(f"{path}-copy")) as copy:
            live.backup(copy)
        delete(path)
        path.with_name("jobs.db-copy").rename(path)

        used.jobs.add([])
        assert not used.sessions.renew(worker.session)
        used.sessions.end(worker.session)
        assert used.jobs.rescue() == []
        clock.ahead = LEASE + SECOND
        used.jobs.rescue()

        assert ids(Worker(used).claim()) == ["before"]

    def test_the_log_of_the_old_file_is_not_read_into_the_new_one(
        self, used: SqliteStorage, path: Path, another: Path
    ) -> None:
        content = another.read_bytes()
        another.rename(path)

        with pytest.raises(StoreUnavailable) as caught:
            used.jobs.add([a_job("after")])
        with pytest.raises(StoreUnavailable):
            used.jobs.add([a_job("after")])

        assert str(caught.value) == (
            f"{path} was replaced, and {path}-wal is still the log of the file that was there before: "
            "stop all programs that use the store, delete the files ending in -wal and -shm, and start them again"
        )
        assert path.read_bytes() == content


# A program that has dropped its own locks, as anybody does who opens and closes the database beside SQLite.
STRAY = """
from pathlib import Path
s = store()
s.jobs.add([a_job('first')]); s.inspection.find()
Path(path).read_bytes()
say('copied')
while command := heard():
    try:
        if command == 'read': s.version()
        elif command == 'open another': store().version()
        else: s.jobs.add([a_job(command)])
        say('stored')
    except errors.StoreSevered as error:
        say(error)
"""


class TestStrayDescriptor:
    def test_nothing_is_acknowledged_once_the_log_was_deleted_and_nothing_before_is_lost(
        self, path: Path, spawn: Spawn, open_store: OpenStore
    ) -> None:
        child = spawn(STRAY)
        assert child.hear() == "copied"
        child.tell("second")
        assert child.hear() == "stored"

        # It takes itself for the last one, and deletes the log.
        passer_by = spawn("s = store(); say(len(s.inspection.find())); s.close()")
        assert passer_by.end() == "2"
        child.tell("third")

        assert child.hear() == (
            f"{path}-wal was deleted while this program had it open: restart the program. It happens when a program "
            "itself opens and closes the file, to copy it for example: use `taskmill backup` for that"
        )
        store = open_store()
        store.jobs.add([a_job("theirs")])
        child.tell("fourth")
        assert "restart the program" in child.hear()
        for command in ("read", "open another"):
            child.tell(command)
            assert "restart the program" in child.hear()
        # Its end leaves alone what others wrote.
        child.end()
        assert set(ids(store.inspection.find())) == {"first", "second", "theirs"}
        store.close()
        assert jobs_in(path) == {"first", "second", "theirs"}

    def test_its_end_does_not_undo_what_others_wrote_and_folded_in(self, path: Path, spawn: Spawn) -> None:
        child = spawn(STRAY)
        assert child.hear() == "copied"
        for name in ("theirs", "and theirs"):
            spawn(f"s = store(); s.jobs.add([a_job({name!r})]); s.close()").end()

        child.end()

        assert jobs_in(path) == {"first", "theirs", "and theirs"}
