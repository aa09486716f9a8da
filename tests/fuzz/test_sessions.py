"""The folder of sessions: whatever somebody writes there, or sends to a bell, ends nobody and frees no living job."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskmill._core.instant import HOUR
from taskmill._storage.sqlite.storage import SqliteStorage
from tests.conformance.builders import CRASH, Worker, a_job
from tests.fuzz.damage import damaged_bytes

SOON = 10


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions") / "jobs.db"


@pytest.fixture(scope="module")
def folder(path: Path) -> Path:
    return path.with_name("jobs.db-sessions")


@pytest.fixture(scope="module")
def store(path: Path) -> Iterator[SqliteStorage]:
    store = SqliteStorage(path, durability="normal")
    yield store
    store.close()


@pytest.fixture(scope="module")
def worker(store: SqliteStorage) -> Worker:
    """One that lives, and holds a job."""
    store.jobs.add([a_job("held")])
    worker = Worker(store, lease=HOUR)
    worker.claim()
    return worker


contents = st.binary(max_size=80) | damaged_bytes(st.binary(min_size=16, max_size=16))
integers = st.integers(-(2**63), 2**63 - 1).map(lambda number: number.to_bytes(8, "little", signed=True))


@settings(deadline=None)
@given(contents | st.lists(integers, max_size=5).map(b"".join))
@example(b"")
@example(bytes(16))
@example(b"\0" * 15)
def test_a_damaged_lease_frees_no_job_of_a_living_session(
    path: Path, store: SqliteStorage, worker: Worker, folder: Path, content: bytes
) -> None:
    [file] = folder.glob("*.lease")
    file.write_bytes(content)
    other = SqliteStorage(path, durability="normal")

    assert other.jobs.rescue() == []

    assert store.sessions.renew(worker.session)
    assert other.jobs.rescue() == []
    job = store.inspection.job("held")
    assert job is not None
    assert job.state == "running"
    other.close()


@settings(deadline=None)
@given(contents | st.lists(integers, max_size=9).map(b"".join))
def test_damaged_slots_of_a_process_that_crashed_blame_nobody_who_did_not_run(
    store: SqliteStorage, folder: Path, content: bytes
) -> None:
    store.jobs.add([a_job()])
    before = set(folder.glob("*.lease"))
    dying = Worker(store, lease=HOUR)
    [file] = set(folder.glob("*.lease")) - before
    [claimed] = dying.claim()
    file.write_bytes(file.read_bytes()[:16] + content)

    [notice] = store.jobs.bury(dying.session, CRASH, alone=False)

    assert notice.job_id == claimed.job_id
    assert store.jobs.purge(queue=None, ended=False, limit=10) == 1


names = st.from_regex(r"[0-9a-f\-]{1,12}\.(lock|lease|bell|asks)", fullmatch=True) | st.from_regex(
    r"\.?[a-z0-9\-]{1,9}(\.[a-z]{1,5})?", fullmatch=True
)


@settings(deadline=None, max_examples=settings.default.max_examples // 2)
@given(names, st.none() | contents)
@example("1-0.asks", b"\x02\x01")
@example("1-1.bell", None)
def test_strange_files_and_folders_beside_them_are_in_nobodys_way(
    path: Path, worker: Worker, name: str, content: bytes | None
) -> None:
    folder = path.with_name("jobs.db-sessions")
    strange = folder / name
    if strange.exists():
        return
    if content is None:
        strange.mkdir()
    else:
        strange.write_bytes(content)
    other = SqliteStorage(path, durability="normal")

    assert other.jobs.rescue() == []
    other.jobs.add([a_job("beside", delay=HOUR)])
    other.jobs.cancel("beside")
    assert worker.storage.sessions.renew(worker.session)
    assert other.jobs.purge(queue=None, ended=True, limit=10) == 1
    other.close()
    if content is None:
        strange.rmdir()
    else:
        strange.unlink(missing_ok=True)


@settings(deadline=None, max_examples=settings.default.max_examples // 2)
@given(st.lists(st.binary(max_size=100) | st.sampled_from([b"jobs", b"", b"\xff" * 9_000]), max_size=5))
@example([b""])
def test_strange_datagrams_do_not_deafen_a_bell(
    store: SqliteStorage, folder: Path, messages: list[bytes]
) -> None:
    rang = threading.Event()
    forget = store.wake.on_end("job", rang.set)
    descriptor = os.open(folder, os.O_RDONLY)
    [bell] = folder.glob(f"{os.getpid()}-*.bell")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        for message in [*messages, b"job"]:
            caller.sendto(message, f"/proc/self/fd/{descriptor}/{bell.name}")

    assert rang.wait(SOON)
    forget()
    os.close(descriptor)
