"""What goes wrong around a store is told in one sentence that says what to do, and is over when its cause is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill._core.instant import SECOND
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import NotAStore, StoreError, StoreRefused, StoreUnavailable
from tests.conformance.builders import Worker, a_job, ids, succeeded
from tests.sqlite.children import Spawn
from tests.sqlite.conftest import OpenStore


def enqueue(store: SqliteStorage) -> None:
    store.jobs.add([a_job()])


def a_filled_file(path: Path, jobs: int = 300) -> None:
    store = SqliteStorage(path, durability="normal")
    store.jobs.add([a_job(str(number), args="x" * 900) for number in range(jobs)])
    store.close()


def told(store: SqliteStorage, kind: type[StoreError]) -> str:
    """What a write and a read are answered, which is the same."""
    with pytest.raises(kind) as writing:
        enqueue(store)
    with pytest.raises(kind) as reading:
        store.inspection.find()
    assert str(writing.value) == str(reading.value)
    return str(writing.value)


class TestWrongFile:
    def test_a_file_that_is_no_database(self, path: Path, store: SqliteStorage) -> None:
        path.write_text("Dear diary, " * 100)

        assert told(store, NotAStore) == (
            f"{path} is not a SQLite database: move it away, or use another path"
        )
        assert path.read_text().startswith("Dear diary")

    def test_a_file_that_was_cut(self, path: Path, store: SqliteStorage) -> None:
        a_filled_file(path)
        with path.open("r+b") as file:
            file.truncate(100_000)

        message = told(store, NotAStore)

        assert message == (
            f"{path} is damaged (database disk image is malformed): stop all programs and restore a backup, "
            "see docs/operations.md, or use another path"
        )

    def test_a_file_with_a_damaged_page(self, path: Path, store: SqliteStorage) -> None:
        a_filled_file(path)
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))

        with pytest.raises(NotAStore, match="is damaged"):
            store.inspection.find()
        with pytest.raises(NotAStore, match="is damaged"):
            enqueue(store)

    def test_a_folder(self, path: Path, store: SqliteStorage) -> None:
        path.mkdir()

        assert told(store, StoreUnavailable) == (
            f"{path} is a folder: name a file in it, for example sqlite:///{path}/jobs.db"
        )

    def test_what_was_wrong_and_is_right_again_is_usable(self, path: Path, store: SqliteStorage) -> None:
        path.write_text("Dear diary, " * 100)
        told(store, NotAStore)
        path.unlink()

        enqueue(store)

        assert len(store.inspection.find()) == 1


class TestNoPlace:
    def test_a_folder_that_cannot_be_made(self, tmp_path: Path, open_store: OpenStore) -> None:
        (tmp_path / "file").touch()

        message = told(open_store(tmp_path / "file" / "jobs.db"), StoreUnavailable)

        assert message == (
            f"the folder {tmp_path / 'file'} cannot be made: File exists; make it, or use another path"
        )

    def test_a_folder_below_a_file(self, tmp_path: Path, open_store: OpenStore) -> None:
        (tmp_path / "file").touch()

        message = told(open_store(tmp_path / "file" / "var" / "jobs.db"), StoreUnavailable)

        assert message == (
            f"the folder {tmp_path / 'file' / 'var'} cannot be made: Not a directory; make it, or use another path"
        )

    def test_a_symbolic_link_that_leads_in_circles(self, tmp_path: Path, open_store: OpenStore) -> None:
        (tmp_path / "jobs.db").symlink_to(tmp_path / "jobs.db")

        assert "cannot be opened" in told(open_store(tmp_path / "jobs.db"), StoreUnavailable)

    def test_asking_whether_there_is_a_store_in_a_place_that_cannot_be(
        self, tmp_path: Path, open_store: OpenStore
    ) -> None:
        (tmp_path / "file").touch()

        assert not open_store(tmp_path / "file" / "jobs.db").exists()


# What the child of a root does, to be refused like anybody else.
AS_NOBODY = """
from taskmill._storage.sqlite import schema
schema.known_version()
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
def told(work):
    try:
        work()
        say('nothing')
    except errors.StoreError as error:
        say(type(error).__name__, error)
s = store()
"""


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user can reach, which is not so of pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="taskmill-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


class TestPermissions:
    @pytest.fixture
    def store_of_another(self, open_place: Path) -> Path:
        path = open_place / "jobs.db"
        a_filled_file(path, 1)
        return path

    @pytest.mark.parametrize("is_open", [False, True])
    def test_a_file_that_may_only_be_read(
        self, is_open: bool, store_of_another: Path, spawn: Spawn, open_store: OpenStore
    ) -> None:
        store_of_another.chmod(0o444)
        store_of_another.parent.chmod(0o777)
        if is_open:
            enqueue(open_store(store_of_another))

        child = spawn(AS_NOBODY + "told(lambda: s.jobs.add([a_job()]))", place=store_of_another)

        assert child.end() in {
            f"StoreUnavailable {store_of_another} is read-only: make it and its folder writable for this user",
            (
                f"StoreUnavailable {store_of_another} cannot be opened: "
                "check that this user may read and write it and its folder"
            ),
        }

    def test_a_folder_that_may_only_be_read(self, open_place: Path, spawn: Spawn) -> None:
        path = open_place / "jobs.db"
        open_place.chmod(0o555)

        child = spawn(AS_NOBODY + "told(lambda: s.jobs.add([a_job()]))\ntold(s.inspection.find)", place=path)

        assert child.end().splitlines() == 2 * [
            f"StoreUnavailable {path} cannot be opened: check that this user may read and write it and its folder"
        ]

    def test_a_writable_file_in_a_folder_that_may_only_be_read(
        self, store_of_another: Path, spawn: Spawn
    ) -> None:
        # There is no place for the log.
        store_of_another.chmod(0o666)
        store_of_another.parent.chmod(0o555)

        child = spawn(AS_NOBODY + "told(lambda: s.jobs.add([a_job()]))", place=store_of_another)

        assert child.end() in {
            f"StoreUnavailable {store_of_another} is read-only: make it and its folder writable for this user",
            (
                f"StoreUnavailable {store_of_another} cannot be opened: "
                "check that this user may read and write it and its folder"
            ),
        }

    def test_a_folder_that_may_not_be_looked_into(self, open_place: Path, spawn: Spawn) -> None:
        path = open_place / "jobs.db"
        open_place.chmod(0o000)

        child = spawn(AS_NOBODY + "told(lambda: s.jobs.add([a_job()]))\ntold(s.exists)", place=path)

        assert child.end().splitlines() == [
            f"StoreUnavailable {path} cannot be opened: check that this user may read and write it and its folder",
            f"StoreUnavailable {path} cannot be reached: Permission denied",
        ]

    def test_a_folder_in_which_none_may_be_made(self, open_place: Path, spawn: Spawn) -> None:
        path = open_place / "var" / "jobs.db"
        open_place.chmod(0o555)

        child = spawn(AS_NOBODY + "told(lambda: s.jobs.add([a_job()]))", place=path)

        assert child.end() == (
            f"StoreUnavailable the folder {path.parent} cannot be made: Permission denied; make it, or use another path"
        )

    def test_a_folder_in_which_no_session_files_may_be_made(self, open_place: Path, spawn: Spawn) -> None:
        path = open_place / "jobs.db"
        a_filled_file(path, 1)
        path.chmod(0o666)
        open_place.chmod(0o777)
        path.with_name("jobs.db-sessions").mkdir(0o700)
        if os.getuid() != 0:
            path.with_name("jobs.db-sessions").chmod(0o500)

        child = spawn(AS_NOBODY + "told(lambda: s.sessions.open(kind='worker', lease=SECOND))", place=path)

        assert child.end() == (
            f"StoreUnavailable the session files in {path}-sessions cannot be used: Permission denied; "
            "make room, or make the folder writable for this user"
        )


# A disk of 2 MiB in a mount namespace of the child's own.
ON_A_SMALL_DISK = """
import ctypes, subprocess
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x00020000) == 0
subprocess.run(['mount', '--make-rprivate', '/'], check=True)
subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'small', os.path.dirname(path)], check=True)
s = store()
def told(work):
    try:
        work()
        return 'nothing'
    except errors.StoreError as error:
        return f'{type(error).__name__} {error}'
"""


def can_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None and _unshare_works()


def _unshare_works() -> bool:
    return os.system("unshare -m mount --make-rprivate / 2>/dev/null") == 0  # noqa: S605


class TestFullDisk:
    """Really full where there may be mounts; everywhere else by SQLite's own limit on the size of the file."""

    @pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")
    def test_it_says_so_keeps_what_it_has_and_goes_on_when_there_is_room(
        self, path: Path, spawn: Spawn
    ) -> None:
        child = spawn(
            ON_A_SMALL_DISK + "answer, stored = 'nothing', 0\n"
            "while answer == 'nothing':\n"
            "    answer = told(lambda: s.jobs.add([a_job(str(stored), args='x' * 20_000)]))\n"
            "    stored += answer == 'nothing'\n"
            "say(answer)\n"
            "say(told(lambda: s.jobs.add([a_job(args='x' * 20_000)])) == answer)\n"
            "say({job.job_id for job in s.inspection.find(limit=1000)} == {str(n) for n in range(stored)})\n"
            "subprocess.run(['mount', '-o', 'remount,size=20m', os.path.dirname(path)], check=True)\n"
            "say(told(lambda: s.jobs.add([a_job('later', args='x' * 20_000)])))\n"
            "say(s.inspection.job('later').state)\n"
            "s.close()\n"
            "say(*sqlite3.connect(path).execute('pragma integrity_check').fetchone())\n"
        )

        assert child.end().splitlines() == [
            f"StoreUnavailable the disk that holds {path} is full: make room, then try again",
            *["True", "True", "nothing", "queued", "ok"],
        ]

    @pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")
    def test_a_store_that_is_opened_on_a_full_disk(self, path: Path, spawn: Spawn) -> None:
        child = spawn(
            ON_A_SMALL_DISK + "from pathlib import Path\n"
            "filler = Path(path).with_name('filler')\n"
            "try:\n"
            "    filler.write_bytes(b'x' * 3_000_000)\n"
            "except OSError: pass\n"
            "say(told(lambda: s.jobs.add([a_job()])))\n"
            "filler.unlink()\n"
            "say(told(lambda: s.jobs.add([a_job()])), len(s.inspection.find()))\n"
        )

        first, second = child.end().splitlines()
        assert first.startswith("StoreUnavailable")
        assert second == "nothing 1"

    @pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk")
    def test_a_session_goes_on_being_renewed_on_a_full_disk_and_a_new_one_is_refused(
        self, path: Path, spawn: Spawn
    ) -> None:
        child = spawn(
            ON_A_SMALL_DISK + "from pathlib import Path\n"
            "session = s.sessions.open(kind='worker', lease=SECOND)\n"
            "try:\n"
            "    Path(path).with_name('filler').write_bytes(b'x' * 3_000_000)\n"
            "except OSError: pass\n"
            "say(s.sessions.renew(session))\n"
            "say(told(lambda: s.sessions.open(kind='worker', lease=SECOND)))\n"
            "say(len([f for f in os.listdir(path + '-sessions') if not f.startswith('.')]))\n"
        )

        assert child.end().splitlines() == [
            "True",
            (
                f"StoreUnavailable the session files in {path}-sessions cannot be used: No space left on device; "
                "make room, or make the folder writable for this user"
            ),
            "2",
        ]

    def test_a_file_that_may_not_grow_any_more(self, path: Path, store: SqliteStorage) -> None:
        store.jobs.add([a_job("before")])
        store._database.write(lambda c: c.execute("pragma max_page_count = 60").fetchone())

        with pytest.raises(StoreUnavailable) as caught:
            store.jobs.add([a_job(args="x" * 500_000)])
        store._database.write(lambda c: c.execute("pragma max_page_count = 1000000").fetchone())
        store.jobs.add([a_job("after", args="x" * 500_000)])

        assert str(caught.value) == f"the disk that holds {path} is full: make room, then try again"
        assert set(ids(store.inspection.find())) == {"before", "after"}


class TestValues:
    """What SQLite cannot hold is refused, and nothing else suffers."""

    @pytest.mark.parametrize(
        "options",
        [
            {"args": "\ud800"},
            {"args": "x" * 2_000 + "\udfff"},
            {"queue": "\ud800"},
            {"lock": "\ud800"},
            {"run_at": 1 << 63},
            {"delay": 1 << 63},
            {"priority": 101},
            {"max_attempts": 0},
            {"result_ttl": -1},
            {"run_at": "soon"},
        ],
        ids=repr,
    )
    def test_a_job_is_refused_with_the_reason(
        self, options: dict[str, object], store: SqliteStorage, path: Path
    ) -> None:
        with pytest.raises(StoreRefused, match=f"{path} cannot hold this value: .+"):
            store.jobs.add([a_job("fine"), a_job("bad", **options)])

        store.jobs.add([a_job("next")])
        assert ids(store.inspection.find()) == ["next"]

    def test_a_result_is_refused_and_the_job_can_still_be_settled(self, store: SqliteStorage) -> None:
        worker = Worker(store)
        store.jobs.add([a_job("a")])
        claimed = worker.claim_one()

        with pytest.raises(StoreRefused):
            worker.settle(claimed, succeeded("\ud800"))

        assert worker.settle(claimed, succeeded("fine")).stale == []

    def test_so_is_what_is_only_looked_for(self, store: SqliteStorage) -> None:
        with pytest.raises(StoreRefused):
            store.inspection.job("\ud800")
        with pytest.raises(StoreRefused):
            store.inspection.find(limit=1 << 64)

        assert store.inspection.find() == []

    def test_a_step_of_a_pipeline_whose_place_is_taken_is_refused_and_not_lost(
        self, store: SqliteStorage
    ) -> None:
        store.jobs.add([a_job("a", pipeline="p", step=1)])

        with pytest.raises(StoreRefused):
            store.jobs.add([a_job("b", pipeline="p", step=1)])

    def test_a_session_without_a_lease(self, store: SqliteStorage) -> None:
        with pytest.raises(StoreRefused):
            store.sessions.open(kind="worker", lease=0)

        assert store.sessions.open(kind="worker", lease=SECOND) > 0


def test_a_job_whose_id_is_stored_is_not_stored_again_under_a_key(store: SqliteStorage) -> None:
    store.jobs.add([a_job("a")])

    assert store.jobs.add([a_job("a", key="monday")]) == ["a"]
