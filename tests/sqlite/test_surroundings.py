"""What is said of the file: its SQLite, its place, who may read it, who has it open."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from taskmill._core.finding import Finding
from taskmill._storage.sqlite import filesystem, surroundings
from taskmill._storage.sqlite.checkpoint import in_use
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill._storage.sqlite.surroundings import has_reset_bug
from taskmill.errors import NotAStore, SchemaTooNew, StoreBusy, StoreError, StoreUnavailable
from tests.conformance.builders import a_job
from tests.sqlite.children import Spawn
from tests.sqlite.conftest import OpenStore

FOREIGN = (
    "c = sqlite3.connect(path); c.execute('select * from sqlite_master').fetchall(); say('open'); heard()"
)


@pytest.fixture
def used(store: SqliteStorage) -> SqliteStorage:
    store.jobs.add([a_job()])
    return store


def found(store: SqliteStorage) -> dict[str, Finding]:
    return {finding.name: finding for finding in store.health.findings()}


@pytest.fixture
def with_the_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.sqlite3, "sqlite_version_info", (3, 40, 1))


@pytest.fixture
def without_the_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.sqlite3, "sqlite_version_info", (3, 51, 3))


class TestVersion:
    @pytest.mark.parametrize(
        "version, has_it",
        [
            ((3, 6, 23), False),
            ((3, 7, 0), True),
            ((3, 40, 1), True),
            ((3, 44, 5), True),
            ((3, 44, 6), False),
            ((3, 50, 6), True),
            ((3, 50, 7), False),
            ((3, 51, 2), True),
            ((3, 51, 3), False),
            ((3, 53, 0), False),
        ],
    )
    def test_which_have_the_bug(self, version: tuple[int, int, int], has_it: bool) -> None:
        assert has_reset_bug(version) is has_it

    @pytest.mark.usefixtures("with_the_bug")
    def test_one_that_has_it_is_worth_a_note(self, used: SqliteStorage) -> None:
        assert found(used)["sqlite-version"].severity == "note"

    @pytest.mark.usefixtures("without_the_bug")
    def test_of_another_nothing_is_said(self, used: SqliteStorage) -> None:
        assert "sqlite-version" not in found(used)


class TestPlace:
    @pytest.mark.parametrize(
        "kind, severity",
        [("nfs4", "error"), ("9p", "error"), ("fuse.marvel", "warning"), ("overlay", "note")],
    )
    def test_the_file_system(
        self, kind: str, severity: str, used: SqliteStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(filesystem, "kind_of", lambda *places: kind)

        finding = found(used)["file-system"]

        assert finding.severity == severity
        assert f"a {kind} file system" in finding.found

    def test_files_that_everybody_may_read(self, used: SqliteStorage, path: Path) -> None:
        assert "permissions" not in found(used)

        path.chmod(0o644)

        finding = found(used)["permissions"]
        assert finding.severity == "warning"
        assert finding.found.startswith("every user of this host may read jobs.db, ")
        assert finding.advice == f"chmod -R o-rwx {path}*"

    def test_files_that_everybody_may_write(self, used: SqliteStorage, path: Path) -> None:
        path.chmod(0o666)
        Path(f"{path}-wal").chmod(0o606)

        finding = found(used)["permissions"]

        assert finding.severity == "error"
        assert "may write to jobs.db, jobs.db-wal" in finding.found

    def test_a_folder_that_everybody_may_write(self, used: SqliteStorage, path: Path) -> None:
        path.parent.chmod(0o777)
        assert found(used)["folder-permissions"].severity == "warning"

        path.parent.chmod(0o1777)
        assert "folder-permissions" not in found(used)

    def test_a_disk_that_is_nearly_full(self, used: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = surroundings.shutil.disk_usage("/")._replace(free=100 << 20)
        monkeypatch.setattr(surroundings.shutil, "disk_usage", lambda place: usage)

        assert found(used)["disk-space"].found == "100.0 MiB are left on the disk"

    def test_durability(self, used: SqliteStorage, open_store: OpenStore) -> None:
        assert found(used)["durability"].severity == "note"
        assert "durability" not in found(open_store())


class TestLog:
    def test_how_much_of_it_is_in_use(self, used: SqliteStorage, path: Path) -> None:
        log = Path(f"{path}-wal")
        assert in_use(Path(f"{path}-none")) == 0
        before = in_use(log)
        assert 0 < before <= log.stat().st_size

        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma wal_checkpoint(restart)")
        used.jobs.add([a_job("after")])

        # The file stays as long as it was; what is in use begins anew.
        assert 0 < in_use(log) < before
        assert log.stat().st_size >= before

    def test_who_reads_while_it_grows(
        self, used: SqliteStorage, path: Path, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(surroundings, "_LONG_LOG", 1 << 20)
        assert "wal-size" not in found(used)
        reader = spawn(
            "c = sqlite3.connect(path); c.execute('begin'); c.execute('select 1 from taskmill_job').fetchone()\n"
            "say('reads'); heard()"
        )
        reader.hear()
        used.jobs.add([a_job(args='["' + "x" * 3_000 + '"]') for _ in range(1_000)])

        finding = found(used)["wal-size"]

        assert finding.severity == "warning"
        assert f"process {reader.pid} (python" in finding.found

    def test_a_long_file_of_which_little_is_in_use(
        self, used: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        used.jobs.add([a_job(args='["' + "x" * 3_000 + '"]') for _ in range(1_000)])
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma wal_checkpoint(restart)")
        used.jobs.add([a_job()])
        monkeypatch.setattr(surroundings, "_LONG_LOG", 1 << 20)

        assert found(used)["wal-size"].severity == "note"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell who has a file open")
class TestProcesses:
    @pytest.mark.usefixtures("with_the_bug")
    def test_a_foreign_connection(self, used: SqliteStorage, spawn: Spawn) -> None:
        assert "foreign-connections" not in found(used)
        foreign = spawn(FOREIGN)
        foreign.hear()

        finding = found(used)["foreign-connections"]

        assert finding.severity == "warning"
        assert finding.found.startswith("1 process has the file open without being taskmill's")
        assert f": process {foreign.pid} (python" in finding.found
        foreign.end()
        assert "foreign-connections" not in found(used)

    @pytest.mark.usefixtures("without_the_bug")
    def test_it_is_worth_a_note_where_checkpoints_do_no_harm(self, used: SqliteStorage, spawn: Spawn) -> None:
        spawn(FOREIGN).hear()

        assert found(used)["foreign-connections"].severity == "note"

    @pytest.mark.parametrize(
        "program",
        [
            "s = store(); s.sessions.open(kind='client', lease=30 * SECOND); say('open'); heard()",
            "s = store(); s.jobs.add([a_job()]); say('open'); heard()",
            "s = store(); s.version(); s.wake.on_end('x', lambda: None); say('open'); heard()",
        ],
        ids=["a session", "a producer", "who waits for a result"],
    )
    def test_processes_of_taskmill_are_not_foreign(
        self, program: str, used: SqliteStorage, spawn: Spawn
    ) -> None:
        spawn(program).hear()

        assert "foreign-connections" not in found(used)

    def test_another_file_with_a_similar_name_is_no_concern(
        self, used: SqliteStorage, path: Path, spawn: Spawn
    ) -> None:
        spawn(FOREIGN, place=path.with_name("jobs.db2")).hear()

        assert "foreign-connections" not in found(used)

    def test_who_works_on_a_file_that_was_replaced(
        self, used: SqliteStorage, path: Path, spawn: Spawn
    ) -> None:
        left_behind = spawn("s = store(); s.jobs.add([a_job()]); say('open'); heard()")
        left_behind.hear()
        used.close()
        copy = path.with_name("copy.db")
        used.health.backup(copy, replace=False)
        for companion in ("-wal", "-shm"):
            Path(f"{path}{companion}").unlink()
        copy.replace(path)

        finding = found(used)["replaced-file"]

        assert finding.severity == "error"
        assert f"process {left_behind.pid} (python" in finding.found

    def test_where_the_system_does_not_tell(
        self, used: SqliteStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(surroundings.procfs, "_PROC", tmp_path / "none")

        assert found(used)["foreign-connections"].severity == "note"


class TestPages:
    def test_much_free_space(self, used: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        used.jobs.add([a_job(args='["' + "x" * 3_000 + '"]') for _ in range(500)])
        assert "free-pages" not in found(used)
        used.jobs.purge(queue=None, ended=False, limit=1_000)
        monkeypatch.setattr(surroundings, "_MUCH_FREE", 1 << 20)

        assert found(used)["free-pages"].severity == "note"

    def test_a_large_file(self, used: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(surroundings, "_LARGE_FILE", 1 << 10)

        assert found(used)["file-size"].severity == "note"

    def test_a_database_of_another_program(self, path: Path, store: SqliteStorage) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("create table orders (id)")
        store.jobs.add([a_job()])

        finding = found(store)["journal-mode"]

        assert "journal_mode=delete" in finding.found


class TestWhatIsNoStore:
    def gathered(self, store: SqliteStorage) -> tuple[list[str], StoreError]:
        """What is found before the store turns out to be none."""
        names: list[str] = []
        findings = store.health.findings()
        with pytest.raises(StoreError) as caught:
            names.extend(finding.name for finding in findings)
        return names, caught.value

    def test_nothing_is_there_and_nothing_is_made(self, store: SqliteStorage, path: Path) -> None:
        names, trouble = self.gathered(store)

        assert type(trouble) is StoreUnavailable
        assert str(trouble) == (f"there is no store at {path}: name one with --url, or enqueue a first job")
        assert "durability" in names
        assert list(path.parent.iterdir()) == []

    def test_a_place_that_cannot_be_reached(self, path: Path, open_store: OpenStore) -> None:
        _, trouble = self.gathered(open_store(path.with_name("x" * 300)))

        assert type(trouble) is StoreUnavailable
        assert str(trouble).endswith(" cannot be reached: File name too long")

    def test_an_empty_file(self, store: SqliteStorage, path: Path) -> None:
        path.touch()

        assert "holds nothing, and no jobs" in str(self.gathered(store)[1])
        assert path.stat().st_size == 0

    def test_a_database_of_another_program(self, store: SqliteStorage, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("create table orders (id)")

        _, trouble = self.gathered(store)

        assert type(trouble) is NotAStore
        assert "tables of another program (orders)" in str(trouble)

    def test_no_database(self, store: SqliteStorage, path: Path) -> None:
        path.write_text("no database " * 100)

        assert type(self.gathered(store)[1]) is NotAStore

    def test_the_schema_of_a_newer_release(self, used: SqliteStorage, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("update taskmill_meta set value = '99'")
            connection.commit()

        assert type(self.gathered(used)[1]) is SchemaTooNew

    def test_one_that_is_locked_is_told_within_the_timeout(
        self, used: SqliteStorage, path: Path, open_store: OpenStore, spawn: Spawn
    ) -> None:
        used.close()
        holder = spawn(
            "c = sqlite3.connect(path, isolation_level=None); c.execute('pragma locking_mode = exclusive')\n"
            "c.execute('begin immediate'); c.execute('update taskmill_meta set value = value'); say('locked'); heard()"
        )
        holder.hear()

        _, trouble = self.gathered(open_store(timeout=0.05))

        assert type(trouble) is StoreBusy


class TestReading:
    @pytest.fixture
    def at_rest(self, used: SqliteStorage, path: Path) -> SqliteStorage:
        used.close()
        assert not Path(f"{path}-wal").exists()
        return used

    def look_at_all(self, store: SqliteStorage) -> None:
        list(store.health.findings())
        store.health.census()
        store.health.verify()

    def test_a_store_at_rest_stays_as_it_is(self, at_rest: SqliteStorage, path: Path) -> None:
        before = files_of(path.parent)

        self.look_at_all(at_rest)

        assert files_of(path.parent) == before

    def test_the_log_that_a_killed_process_has_left_stays_as_it_is(self, path: Path, spawn: Spawn) -> None:
        child = spawn("s = store(); s.jobs.add([a_job('a')]); say('stored'); heard()")
        child.hear()
        child.kill()
        before = files_of(path.parent)
        assert before["jobs.db-wal"]

        store = SqliteStorage(path)
        self.look_at_all(store)

        after = files_of(path.parent)
        assert after["jobs.db"] == before["jobs.db"]
        assert after["jobs.db-wal"] == before["jobs.db-wal"]
        assert [waiting.due for waiting in store.health.census().waiting] == [1]

    def test_it_waits_for_no_writer(self, used: SqliteStorage, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("begin immediate")

            self.look_at_all(used)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
