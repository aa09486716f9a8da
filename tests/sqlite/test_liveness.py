"""Who is taken for dead, and who is not: real processes, killed and stopped; the clock of leases is turned."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from taskmill._core.instant import HOUR, SECOND
from taskmill._storage.clock import SystemClock
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import StoreUnavailable
from tests.conformance.builders import CRASH, Worker, a_job, job_of, states_of
from tests.sqlite.children import Child, Spawn
from tests.sqlite.conftest import OpenStore

# A worker that holds a job and its lock, under a lease that does not run out by itself in a test.
HOLDER = """
s = store()
worker = Worker(s, lease=3600 * SECOND)
[claimed] = worker.claim()
say(worker.session)
while order := heard():
    if order == 'renew':
        say(s.sessions.renew(worker.session))
    if order == 'settle':
        say(len(worker.settle(claimed, succeeded()).stale))
"""


class TurnedClock(SystemClock):
    """The clock of this host, some hours ahead."""

    ahead = 0

    def monotonic(self) -> int:
        return super().monotonic() + self.ahead


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def store(open_store: OpenStore, clock: TurnedClock) -> SqliteStorage:
    store = open_store(clock=clock, durability="normal")
    store.jobs.add([a_job("held", lock="L")])
    return store


@pytest.fixture
def holder(store: SqliteStorage, spawn: Spawn) -> Child:
    child = spawn(HOLDER)
    assert int(child.hear()) > 0
    return child


def rescued(store: SqliteStorage) -> list[str]:
    return [notice.job_id for notice in store.jobs.rescue() if notice.kind == "rescued"]


def alter(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount == 1


def files(path: Path) -> list[Path]:
    return sorted(path.with_name("jobs.db-sessions").glob("*.l*"))


def open_files(path: Path) -> list[str]:
    """What this process has open of the sessions of a store."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # The one of this look is gone by now.
        with suppress(FileNotFoundError):
            links.append(str(descriptor.readlink()))
    return [link for link in links if f"{path}-sessions/" in link]


class TestAnotherProcess:
    def test_one_that_lives_is_left_alone(self, store: SqliteStorage, holder: Child) -> None:
        assert rescued(store) == []
        assert store.jobs.cancel("held") == ("requested", [])

    def test_one_that_was_killed_is_rescued_at_once_and_its_lock_is_free(
        self, store: SqliteStorage, holder: Child
    ) -> None:
        holder.kill()

        assert rescued(store) == ["held"]
        assert store.limits.list() == []
        assert store.inspection.sessions() == []
        assert Worker(store).claim_one().job_id == "held"

    def test_so_is_one_that_its_parent_has_not_yet_buried(self, store: SqliteStorage, holder: Child) -> None:
        holder.signal(signal.SIGKILL)
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)

        assert rescued(store) == ["held"]

    def test_its_files_are_removed(self, store: SqliteStorage, holder: Child, path: Path) -> None:
        held = files(path)
        holder.kill()

        store.jobs.rescue()

        assert [file.suffix for file in held] == [".lease", ".lock"]
        assert files(path) == []

    def test_one_that_is_stopped_is_rescued_when_its_lease_is_over_and_learns_of_it(
        self, store: SqliteStorage, holder: Child, clock: TurnedClock
    ) -> None:
        holder.signal(signal.SIGSTOP)
        holder.wait_until_stopped()
        before = rescued(store)

        clock.ahead = HOUR + 60 * SECOND
        after = rescued(store)

        assert before == []
        assert after == ["held"]
        holder.signal(signal.SIGCONT)
        holder.tell("renew")
        assert holder.hear() == "False"
        holder.tell("settle")
        assert holder.hear() == "1"
        assert states_of(store) == {"held": "queued"}

    def test_one_that_renews_its_lease_keeps_its_job(
        self, store: SqliteStorage, holder: Child, clock: TurnedClock
    ) -> None:
        clock.ahead = HOUR - 60 * SECOND
        holder.tell("renew")
        assert holder.hear() == "True"

        assert rescued(store) == []

    def test_a_child_that_a_task_has_forked_does_not_keep_it_alive(
        self, store: SqliteStorage, spawn: Spawn
    ) -> None:
        holder = spawn(
            "s = store(); worker = Worker(s, lease=3600 * SECOND); worker.claim()\n"
            "if os.fork() == 0:\n"
            "    say('child'); heard(); os._exit(0)\n"
            "signal.pause()\n"
        )
        assert holder.hear() == "child"
        holder.signal(signal.SIGKILL)
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)

        assert rescued(store) == ["held"]

    def test_a_session_of_another_boot_is_dead_at_once(
        self, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        alter(path, "update taskmill_session set boot = 'another'")

        assert rescued(store) == ["held"]

    @pytest.mark.parametrize("name", ["a' || char(0) || 'b", "../../jobs", ""])
    def test_a_session_with_a_damaged_name_keeps_nobody_from_being_rescued(
        self, name: str, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        store.sessions.open(kind="worker", lease=HOUR)
        alter(path, f"update taskmill_session set file = '{name}' where pid = {os.getpid()}")  # noqa: S608  (no input)
        holder.kill()

        assert rescued(store) == ["held"]
        assert path.exists()

    def test_a_lock_outside_of_jobs_is_free_when_its_holder_was_killed(
        self, store: SqliteStorage, spawn: Spawn
    ) -> None:
        holder = spawn(
            "s = store(); session = s.sessions.open(kind='client', lease=3600 * SECOND)\n"
            "say(s.limits.acquire('door', session)); heard()\n"
        )
        assert int(holder.hear()) > 0
        session = store.sessions.open(kind="client", lease=HOUR)
        before = store.limits.acquire("door", session)

        holder.kill()

        assert before is None
        assert store.limits.acquire("door", session) is not None


class TestParentAndChild:
    """The holder is the child; this process or another one is its parent."""

    @pytest.fixture
    def child(self, store: SqliteStorage, spawn: Spawn) -> Child:
        """Runs the job in a slot, with this process as its parent."""
        parent = store.sessions.open(kind="supervisor", lease=HOUR)
        child = spawn(
            f"worker = Worker(store(), lease=3600 * SECOND, parent={parent})\n"
            "worker.start(worker.claim_one(), 7); say(worker.session); heard()\n"
        )
        assert int(child.hear()) == parent + 1
        return child

    def test_while_its_parent_lives_nobody_else_buries_a_child(
        self, store: SqliteStorage, child: Child, spawn: Spawn
    ) -> None:
        child.kill()

        assert spawn("say(store().jobs.rescue())").end() == "[]"
        assert states_of(store) == {"held": "running"}

    def test_what_the_slots_of_a_killed_process_name_is_suspect(
        self, store: SqliteStorage, child: Child
    ) -> None:
        child.kill()

        store.jobs.bury(2, CRASH, alone=False)

        assert job_of(store, "held").is_suspect

    def test_its_files_are_removed(self, store: SqliteStorage, child: Child, path: Path) -> None:
        child.kill()

        store.jobs.bury(2, CRASH, alone=False)

        assert len(files(path)) == 2  # the parent's

    def test_when_both_are_gone_anybody_rescues_and_nobody_is_blamed(
        self, store: SqliteStorage, spawn: Spawn
    ) -> None:
        parent = spawn("say(store().sessions.open(kind='supervisor', lease=3600 * SECOND)); heard()")
        child = spawn(
            f"worker = Worker(store(), lease=3600 * SECOND, parent={parent.hear()})\n"
            "worker.start(worker.claim_one()); say('running'); heard()\n"
        )
        child.hear()
        child.kill()
        before = rescued(store)
        parent.kill()

        assert before == []
        assert rescued(store) == ["held"]
        assert (job_of(store, "held").is_suspect, store.inspection.sessions()) == (False, [])

    def test_a_parent_renews_the_lease_of_its_child(
        self, store: SqliteStorage, child: Child, clock: TurnedClock
    ) -> None:
        clock.ahead = HOUR - 60 * SECOND
        store.sessions.renew(2)
        clock.ahead = HOUR + 60 * SECOND

        assert rescued(store) == []

    def test_a_parent_learns_that_its_child_was_taken_for_dead(
        self, store: SqliteStorage, child: Child, clock: TurnedClock
    ) -> None:
        store.sessions.renew(2)
        clock.ahead = HOUR + 60 * SECOND
        store.jobs.rescue()

        assert not store.sessions.renew(2)

    def test_slots_go_on_in_files_that_were_made_anew(
        self, store: SqliteStorage, path: Path, spawn: Spawn
    ) -> None:
        child = spawn(
            "s = store(); worker = Worker(s)\n"
            "worker.start(worker.claim_one()); say('running'); heard()\n"
            "s.sessions.renew(worker.session); say('renewed'); heard()\n"
        )
        child.hear()
        shutil.rmtree(path.with_name("jobs.db-sessions"))
        child.tell()
        child.hear()
        child.kill()

        store.jobs.bury(1, CRASH, alone=False)

        assert job_of(store, "held").is_suspect


class TestThisProcess:
    def test_a_session_of_it_is_judged_by_its_lease_alone(
        self, store: SqliteStorage, open_store: OpenStore, clock: TurnedClock
    ) -> None:
        other = open_store(clock=clock)
        worker = Worker(other, lease=HOUR)
        worker.claim()
        before = rescued(store)

        clock.ahead = HOUR + 60 * SECOND

        assert before == []
        assert rescued(store) == ["held"]

    def test_looking_at_the_own_session_does_not_make_it_look_dead_to_others(
        self, store: SqliteStorage, open_store: OpenStore, spawn: Spawn
    ) -> None:
        Worker(store, lease=HOUR).claim()
        for other in (store, open_store()):
            other.jobs.rescue()

        assert spawn("say(store().jobs.rescue())").end() == "[]"

    def test_a_stray_descriptor_harms_only_until_the_lease_is_renewed(
        self, store: SqliteStorage, path: Path, spawn: Spawn
    ) -> None:
        worker = Worker(store, lease=HOUR)
        worker.claim()
        for file in files(path):
            # As a backup of the folder by a task does: closing it drops the lock.
            file.read_bytes()

        store.sessions.renew(worker.session)

        assert spawn("say(store().jobs.rescue())").end() == "[]"

    def test_a_session_that_ended_leaves_no_files(self, store: SqliteStorage, path: Path) -> None:
        worker = Worker(store)

        store.sessions.end(worker.session)

        assert files(path) == []
        assert not store.sessions.renew(worker.session)

    @pytest.mark.parametrize("noticed_by", ["renew", "end"])
    def test_a_session_that_others_have_ended_leaves_no_file_open(
        self, store: SqliteStorage, open_store: OpenStore, clock: TurnedClock, path: Path, noticed_by: str
    ) -> None:
        session = store.sessions.open(kind="client", lease=SECOND)
        clock.ahead = HOUR
        open_store(clock=clock).jobs.rescue()

        getattr(store.sessions, noticed_by)(session)

        assert open_files(path) == []

    def test_it_learns_that_it_was_taken_for_dead_though_its_files_are_still_there(
        self, store: SqliteStorage, path: Path
    ) -> None:
        """Who took it for dead died before it removed them."""
        worker = Worker(store)
        alter(path, "delete from taskmill_session where id = ?", worker.session)

        assert not store.sessions.renew(worker.session)
        store.sessions.end(worker.session)

        assert files(path) == []


class TestMissingFiles:
    """Somebody cleaned up beside the database."""

    def remove(self, path: Path) -> None:
        shutil.rmtree(path.with_name("jobs.db-sessions"))

    def test_a_living_process_is_not_taken_for_dead(
        self, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        self.remove(path)

        assert rescued(store) == []

    @pytest.mark.parametrize("suffix", [".lock", ".lease"])
    def test_when_it_renews_its_lease_they_are_there_again(
        self, suffix: str, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        before = files(path)
        [missing] = [file for file in before if file.suffix == suffix]
        missing.unlink()

        holder.tell("renew")

        assert holder.hear() == "True"
        assert files(path) == before
        assert rescued(store) == []
        holder.kill()
        assert rescued(store) == ["held"]

    def test_also_where_the_whole_folder_is_gone(
        self, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        before = files(path)
        self.remove(path)

        holder.tell("renew")

        assert holder.hear() == "True"
        assert files(path) == before

    def test_a_process_that_was_killed_is_rescued_at_once(
        self, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        self.remove(path)
        holder.kill()

        assert rescued(store) == ["held"]

    def test_a_process_of_the_same_number_that_began_later_does_not_count(
        self, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        self.remove(path)
        # The number is still in use, by a process that began at another time.
        container = Path("/proc/self/ns/pid").readlink()
        alter(path, "update taskmill_session set process = ?", f"{holder.pid}:77:{container}")

        assert rescued(store) == ["held"]

    def test_where_the_process_cannot_be_seen_they_must_have_been_missing_for_a_lease(
        self, store: SqliteStorage, holder: Child, path: Path, clock: TurnedClock
    ) -> None:
        self.remove(path)
        alter(path, "update taskmill_session set process = '7:77:pid:[1]'")
        before = rescued(store)

        clock.ahead = HOUR + SECOND

        assert before == []
        assert rescued(store) == ["held"]

    def test_an_emptied_lease_is_written_again(self, store: SqliteStorage, holder: Child, path: Path) -> None:
        files(path)[0].write_bytes(b"")
        before = rescued(store)
        holder.tell("renew")

        assert before == []
        assert holder.hear() == "True"
        assert files(path)[0].stat().st_size == 16

    def test_files_that_cannot_be_looked_at_are_told_and_nobody_is_taken_for_dead(
        self, store: SqliteStorage, holder: Child, path: Path
    ) -> None:
        self.remove(path)
        path.with_name("jobs.db-sessions").write_text("no folder")

        with pytest.raises(
            StoreUnavailable, match=r"the session files in .* cannot be used: Not a directory"
        ):
            store.jobs.rescue()

        assert states_of(store) == {"held": "running"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
class TestAnotherUser:
    @pytest.fixture
    def path(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="taskmill-"))
        folder.chmod(0o777)
        yield folder / "jobs.db"
        shutil.rmtree(folder)

    def test_a_session_whose_files_may_not_be_read_counts_until_its_process_is_gone(
        self, store: SqliteStorage, holder: Child, path: Path, spawn: Spawn
    ) -> None:
        for file in path.parent.glob("jobs.db*"):
            if file.is_file():
                file.chmod(0o666)
        nobody = spawn(
            "from taskmill._storage.sqlite import schema\n"
            "schema.known_version(); __import__('codecs').lookup('ascii')\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "s = store()\n"
            "say(len(s.jobs.rescue())); heard(); say(len(s.jobs.rescue()))\n"
        )
        before = nobody.hear()
        holder.kill()
        nobody.tell()

        assert before == "0"
        assert nobody.hear() == "1"
