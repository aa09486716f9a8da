"""Trouble around the file while real workers and producers use it: the same processes go on when it is over."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from taskmill import Mill, errors
from tests.crash.site import SOON, Site, Worker, figures
from tests.worker.builders import wait_for

PATIENCE = 0.5
URL = f"sqlite:///jobs.db?timeout={PATIENCE}"


@pytest.fixture
def site(site: Site) -> Site:
    """One where nobody waits for long."""
    site.add_to_app(f"mill.configure({URL!r})\n")
    site.mill.configure(URL.replace("jobs.db", f"{site.folder}/jobs.db"))
    return site


class Watch:
    """A worker whose processes are to be the same before and after."""

    def __init__(self, site: Site, *options: str) -> None:
        self.site = site
        self.worker: Worker = site.worker(*options)
        self._before = self.worker.children()
        self._enqueued = 0

    def run(self, count: int) -> None:
        """Enqueue so many jobs, and wait until all so far have ended well."""
        for _ in range(count):
            self.enqueue()
        self.site.wait_until_done(self._enqueued)

    def enqueue(self) -> None:
        self.site["work"].enqueue(self._enqueued)
        self._enqueued += 1

    @contextmanager
    def refused(self, message: str) -> Iterator[None]:
        """What is enqueued within the block is refused, in time."""
        began = time.monotonic()
        with pytest.raises(errors.StoreError, match=message):
            yield
        assert time.monotonic() - began < PATIENCE + SOON

    def cpu(self) -> float:
        """The seconds that all its processes have computed."""
        return sum(cpu_of(pid) for pid in (self.worker.pid, *self._before))

    def share(self) -> float:
        """Of a processor, what they compute with in a second; of a worker in trouble, there is nothing to wait for."""
        before, began = self.cpu(), time.monotonic()
        time.sleep(1)
        return (self.cpu() - before) / (time.monotonic() - began)

    def check(self) -> None:
        """All ran once, in the processes of the beginning, and the file is in order."""
        starts = Counter(note.number for note in self.site.notes("start"))
        assert starts == Counter(range(self._enqueued))
        assert self.worker.children() == self._before
        assert self.site.stop(self.worker) == [0]
        assert self.site.violations() == []
        assert "Traceback" not in self.site.output()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until_it_is_told(site: Site, text: str) -> None:
    site.wait(lambda: text in site.output(), f"the worker says {text!r}")


def test_a_process_that_holds_the_lock_until_it_is_killed(site: Site) -> None:
    watch = Watch(site)
    watch.run(5)
    hog = site.script(
        """
        import sqlite3, time
        connection = sqlite3.connect("jobs.db", isolation_level=None)
        connection.execute("begin exclusive")
        open("held", "w").close()
        time.sleep(600)
        """
    )
    site.wait((site.folder / "held").exists, "the lock is held")
    before = watch.cpu()

    for _ in range(2):
        with watch.refused(f"stayed locked for 0.5 s by process {hog.pid}"):
            site["work"].enqueue(-1)
    spent = watch.cpu() - before
    hog.kill()
    began = time.monotonic()
    watch.run(5)

    figures.info(
        f"the lock held for 1 s: the worker computed {spent:.2f} s meanwhile, "
        f"5 jobs were done {time.monotonic() - began:.2f} s after"
    )
    watch.check()


def test_what_ends_while_the_lock_is_held_is_recorded_afterwards(site: Site) -> None:
    watch = Watch(site)
    job = site["wait"].enqueue(1)
    [note] = site.wait_for_starts(1)
    with closing(sqlite3.connect(site.folder / "jobs.db", isolation_level=None)) as hog:
        hog.execute("begin immediate")
        (site.folder / f"go-{note.pid}").touch()
        site.wait(lambda: site.notes("end"), "it has ended")
        until_it_is_told(site, "stayed locked")

    assert job.get(timeout=SOON) == note.pid
    assert len(site.notes("end")) == 1
    assert site.stop(watch.worker) == [0]


def limit_files(pids: list[int], size: int) -> None:
    """Let their writes behind *size* bytes fail."""
    for pid in pids:
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))


def test_writes_that_fail_in_all_of_its_processes_until_there_is_room(site: Site) -> None:
    watch = Watch(site)
    watch.run(5)
    pids = [watch.worker.pid, *watch.worker.children()]
    # The log goes on behind this, so no commit gets through.
    limit_files(pids, 4096)
    for _ in range(10):
        watch.enqueue()
    until_it_is_told(site, "check the disk")
    spent = watch.share()

    limit_files(pids, resource.RLIM_INFINITY)
    began = time.monotonic()
    watch.run(5)

    figures.info(
        f"no write gets through: {100 * spent:.0f} % of a processor; "
        f"15 jobs done {time.monotonic() - began:.2f} s after"
    )
    watch.check()


def test_a_producer_whose_writes_fail_keeps_what_was_acknowledged(site: Site) -> None:
    producer = site.script(
        """
        import resource
        from app import mill, work
        from taskmill.errors import StoreUnavailable

        def limit(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        stored = 0
        work.enqueue(stored); stored += 1
        limit(400_000)
        refused = 0
        while refused < 5:
            try:
                work.enqueue(stored)
                stored += 1
            except StoreUnavailable:
                refused += 1
        limit(resource.RLIM_INFINITY)
        work.enqueue(stored)
        print("STORED", stored + 1, flush=True)
        """
    )
    assert producer.wait(SOON) == 0
    stored = int(site.output().partition("STORED ")[2].split()[0])

    worker = site.worker()
    site.wait_until_done(stored)

    assert Counter(note.number for note in site.notes("start")) == Counter(range(stored))
    assert site.stop(worker) == [0]
    assert site.violations() == []


def can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


FULL_DISK = """
    import ctypes, os, subprocess, sys, time
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x00020000) == 0
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    os.mkdir("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "small", "disk"], check=True)
    import app
    from taskmill.errors import StoreUnavailable
    worker = subprocess.Popen([sys.executable, "-m", "taskmill", "worker", "app:mill", "--log-level", "warning"])
    for _ in range(3):
        app.padded.enqueue("x" * 20_000).get(timeout=45)
    children = open(f"/proc/{worker.pid}/task/{worker.pid}/children").read()
    results = []
    try:
        while True:
            results.append(app.padded.using(delay=0.5).enqueue("x" * 20_000))
    except StoreUnavailable as error:
        assert "is full" in str(error), error
    # All that is left of it, too.
    with open("disk/filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
    while "is full" not in open("output").read():
        time.sleep(0.01)
    os.remove("disk/filler")
    subprocess.run(["mount", "-o", "remount,size=20m", "disk"], check=True)
    freed = time.monotonic()
    for result in results:
        assert result.get(timeout=45) == 20_000
    took = time.monotonic() - freed
    assert open(f"/proc/{worker.pid}/task/{worker.pid}/children").read() == children
    worker.terminate()
    assert worker.wait(45) == 0
    import sqlite3
    assert sqlite3.connect("disk/jobs.db").execute("pragma integrity_check").fetchall() == [("ok",)]
    print(f"FIGURE a full disk: {len(results)} jobs done {took:.2f} s after it was freed", flush=True)
"""


@pytest.mark.skipif(not can_mount(), reason="only root may mount a small disk; the limits above need no root")
def test_a_disk_that_is_full_and_freed(site: Site) -> None:
    site.add_to_app(
        """
        mill.configure("sqlite:///disk/jobs.db?timeout=0.5")

        @mill.task(name="padded")
        def padded(text):
            return len(text)
        """
    )
    assert site.script(FULL_DISK).wait(100) == 0, site.output()
    figures.info(site.output().rpartition("FIGURE ")[2].strip())


def test_a_file_that_is_damaged_and_restored(site: Site) -> None:
    watch = Watch(site)
    watch.run(5)
    site.stop(watch.worker)
    site.mill.close()
    file = site.folder / "jobs.db"
    good = file.read_bytes()
    watch = Watch(site)
    with closing(sqlite3.connect(file)) as connection:
        [page_size] = connection.execute("pragma page_size").fetchone()
    with file.open("r+b") as damaged:
        damaged.seek(page_size)
        damaged.write(b"\xff" * (len(good) - page_size))

    with watch.refused("is damaged .*restore a backup"):
        site["work"].enqueue(-1)
    until_it_is_told(site, "is damaged")
    spent = watch.share()
    restored = site.folder / "restored"
    restored.write_bytes(good)
    for companion in ("jobs.db-wal", "jobs.db-shm"):
        (site.folder / companion).unlink()
    restored.rename(file)
    began = time.monotonic()
    site["work"].enqueue(5)
    site.wait_until_done(6)

    figures.info(
        f"damaged: {100 * spent:.0f} % of a processor; goes on {time.monotonic() - began:.2f} s after"
    )
    assert Counter(note.number for note in site.notes("start")) == Counter(range(6))
    assert site.stop(watch.worker) == [0]
    assert site.violations() == []


def test_a_store_that_is_deleted_and_begun_anew(site: Site) -> None:
    watch = Watch(site)
    watch.run(5)
    for file in site.folder.glob("jobs.db*"):
        if file.is_file():
            file.unlink()
    with watch.refused("is gone"):
        site["work"].enqueue(-1)
    until_it_is_told(site, "is gone")
    assert not (site.folder / "jobs.db").exists()

    other = Mill(f"sqlite:///{site.folder}/jobs.db")
    result = other.task(name="work")(lambda number: number).enqueue(5)
    began = time.monotonic()

    assert result.get(timeout=SOON) == 5
    figures.info(f"a new file: its first job is done {time.monotonic() - began:.2f} s after")
    site["work"].enqueue(6).get(timeout=SOON)
    watch._enqueued = 7
    other.close()
    watch.check()


def test_a_task_that_copies_the_file_does_not_cut_its_worker_off(site: Site) -> None:
    site.add_to_app(
        """
        @mill.task(name="copy")
        def copy():
            import shutil
            shutil.copy("jobs.db", "copy.db")
        """
    )
    copy: Callable[[], None] = lambda: None  # noqa: E731
    watch = Watch(site)
    site.mill.task(name="copy")(copy).enqueue().get(timeout=SOON)
    site.mill.close()
    # One that comes and goes: without the supervisor's connection it would take itself for the last one.
    assert (
        site.script("from app import mill; mill.app.storage.inspection.find(); mill.close()").wait(SOON) == 0
    )

    for number in range(5):
        site["work"].enqueue(number).get(timeout=SOON)

    assert "restart the program" not in site.output()
    assert site.stop(watch.worker) == [0]
    assert site.counts() == {"succeeded": 6}


def test_a_worker_whose_log_is_deleted_ends_and_its_successor_goes_on(site: Site) -> None:
    watch = Watch(site)
    watch.run(5)
    site.mill.close()
    with closing(sqlite3.connect(site.folder / "jobs.db")) as connection:
        connection.execute("pragma wal_checkpoint").fetchall()
        for companion in ("jobs.db-wal", "jobs.db-shm"):
            (site.folder / companion).unlink()

    status = watch.worker.wait(SOON)
    worker = site.worker()
    site["work"].enqueue(5)
    site.wait_until_done(6)

    assert status == 3
    assert "jobs.db-wal was deleted while this program had it open: restart the program" in site.output()
    assert "Traceback" not in site.output()
    assert Counter(note.number for note in site.notes("start")) == Counter(range(6))
    assert site.stop(worker) == [0]
    assert site.violations() == []


NEWER = """
    from taskmill._storage.migrations import migration
    from taskmill._storage.sqlite import schema
    first = schema._migrations()
    change = "-- usable from: 2\\nalter table taskmill_job add column colour text;\\n"
    schema._migrations = lambda: [*first, migration(2, change)]
    import app
    app.mill.worker(threads=1, burst=True).run()
"""


def test_a_worker_that_meets_the_schema_of_a_newer_taskmill_ends_and_keeps_nothing(site: Site) -> None:
    worker = site.worker("--threads", "1")
    site["wait"].enqueue(1)
    [note] = site.wait_for_starts(1)

    began = time.monotonic()
    # It makes its changes at once, and finds nothing to do: what the old one runs, that still holds.
    assert site.script(NEWER).wait(SOON) == 0
    status = worker.wait(SOON)
    figures.info(f"a newer schema: the worker ends {time.monotonic() - began:.2f} s after")
    (site.folder / f"go-{note.pid}").touch()
    site.script(NEWER.replace("import app", "import app, os; open(f'go-{os.getpid()}', 'w').close()")).wait(
        SOON
    )

    assert status == 4
    assert "has schema 2, this taskmill knows up to 1: upgrade taskmill here" in site.output()
    assert "Traceback" not in site.output()
    assert [end.pid != note.pid for end in site.notes("end")] == [True]
    with closing(sqlite3.connect(site.folder / "jobs.db")) as connection:
        assert connection.execute("select state, attempt from taskmill_job").fetchall() == [("succeeded", 1)]
    with closing(sqlite3.connect(site.folder / "jobs.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]


READER = """
    import sqlite3, time
    connection = sqlite3.connect("jobs.db", isolation_level=None)
    connection.execute("begin")
    connection.execute("select count(*) from taskmill_job").fetchone()
    open("reading", "w").close()
    time.sleep(600)
"""


def test_a_reader_that_keeps_an_old_state_lengthens_the_log_until_it_leaves(site: Site, long: bool) -> None:
    site.add_to_app("@mill.task(name='padded')\ndef padded(text): return text")
    padded = site.mill.task(name="padded")(lambda text: text)
    watch = Watch(site)
    log = site.folder / "jobs.db-wal"
    reader = site.script(READER)
    site.wait((site.folder / "reading").exists, "the reader reads")
    began, jobs = time.monotonic(), 0

    def drain(count: int) -> None:
        nonlocal jobs
        site.mill.enqueue_many(padded.s("x" * 20_000) for _ in range(count))
        wait_for(lambda: set(site.counts()) == {"succeeded"}, "all are done", 60)
        jobs += count

    drain(500)
    while long and time.monotonic() < began + 60:
        drain(500)
    pinned, took, beside = log.stat().st_size, time.monotonic() - began, jobs
    reader.kill()
    left = time.monotonic()
    drain(100)
    caught_up = time.monotonic() - left
    for _ in range(6):
        drain(100)
    after = log.stat().st_size

    figures.info(
        f"a reader for {took:.0f} s beside {beside} jobs with 20 kB in and out: the log has {pinned / 1e6:.0f} MB, "
        f"the next 100 jobs take {caught_up:.1f} s, afterwards it has {after / 1e6:.0f} MB"
    )
    assert pinned > 18_000_000
    assert after < 20_000_000
    assert site.stop(watch.worker) == [0]
    assert site.violations() == []
