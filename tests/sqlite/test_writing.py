"""The writing point: group commit, its failures and interruptions, waiting for others, and the log's length."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskmill._storage.sqlite import insert, jobs
from taskmill._storage.sqlite.checkpoint import LOG_LIMIT
from taskmill._storage.sqlite.opening import Connection
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill._storage.sqlite.writing import _Write
from taskmill.errors import StoreBusy, StoreRefused
from tests.conformance.builders import Worker, a_job, ids, succeeded
from tests.sqlite.children import Spawn
from tests.sqlite.conftest import OpenStore

LONG = 45.0
PAGE = 4096


def statements(store: SqliteStorage) -> list[str]:
    """A list that fills with what the writing connection executes from now on."""
    seen: list[str] = []
    store._database.write(lambda connection: connection.set_trace_callback(seen.append))
    seen.clear()
    return seen


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """The answers, or errors, of all, each in a thread of its own."""
    answers: list[Any] = [None] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        try:
            answers[place] = work()
        except BaseException as error:  # noqa: BLE001  (handed over)
            answers[place] = error

    threads = [threading.Thread(target=run, args=(place, work)) for place, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    return answers


class Crowd:
    """Writes that wait while the first one is under way, so that they are committed together."""

    def __init__(self, store: SqliteStorage) -> None:
        self._store = store
        self._writer = store._database._writer
        store.version()

    def run(self, *works: Callable[[], Any]) -> list[Any]:
        """The answers of *works*, all of which had come when the first was done."""
        has_all = threading.Event()

        def hold(_: Connection) -> None:
            assert has_all.wait(LONG)

        def count() -> None:
            while len(self._writer._pending) < 1 + len(works):
                pass
            has_all.set()

        return in_threads(
            lambda: self._store._database.write(hold),
            self._after_first(works[0]),
            *map(self._after_first, works[1:]),
            count,
        )[1:-1]

    def _after_first(self, work: Callable[[], Any]) -> Callable[[], Any]:
        def wait_and_work() -> Any:
            while not self._writer._pending:
                pass
            return work()

        return wait_and_work


class TestGroupCommit:
    def test_what_comes_together_is_committed_together(self, store: SqliteStorage) -> None:
        seen = statements(store)

        answers = Crowd(store).run(*(lambda name=name: store.jobs.add([a_job(name)]) for name in "abcdefgh"))

        assert answers == [[name] for name in "abcdefgh"]
        assert set(ids(store.inspection.find())) == set("abcdefgh")
        assert sum("insert into taskmill_job" in statement for statement in seen) == 1

    def test_so_is_what_takes_more_than_one_statement(self, store: SqliteStorage) -> None:
        seen = statements(store)

        Crowd(store).run(*(lambda name=name: store.jobs.add([a_job(name, key=name)]) for name in "abcdefgh"))

        assert set(ids(store.inspection.find())) == set("abcdefgh")
        assert seen.count("commit") == 2

    def test_one_that_is_refused_fails_alone(self, store: SqliteStorage) -> None:
        answers = Crowd(store).run(
            lambda: store.jobs.add([a_job("a")]),
            lambda: store.jobs.add([a_job("b", args="\ud800")]),
            lambda: store.jobs.add([a_job("c")]),
        )

        assert [answers[0], type(answers[1]), answers[2]] == [["a"], StoreRefused, ["c"]]
        assert set(ids(store.inspection.find())) == {"a", "c"}

    def test_one_that_raises_fails_alone_with_its_own_error(self, store: SqliteStorage) -> None:
        def broken(_: Connection) -> None:
            raise KeyError("mine")

        answers = Crowd(store).run(
            lambda: store.jobs.add([a_job("a")]), lambda: store._database.write(broken)
        )

        assert answers[0] == ["a"]
        assert isinstance(answers[1], KeyError)
        assert ids(store.inspection.find()) == ["a"]

    def test_many_threads_that_enqueue_at_once_lose_nothing(self, store: SqliteStorage) -> None:
        def produce(thread: int) -> None:
            for number in range(50):
                store.jobs.add([a_job(f"{thread}-{number}")])

        assert in_threads(*(lambda thread=thread: produce(thread) for thread in range(8))) == [None] * 8

        assert len(store.inspection.find(limit=1_000)) == 400


class Interrupting:
    """A connection during one statement of which Ctrl-C is pressed (or *error* is raised), before or after it."""

    def __init__(
        self,
        connection: Connection,
        statement: str,
        *,
        after: bool = False,
        spared: int = 0,
        error: BaseException | None = None,
    ) -> None:
        self._connection = connection
        self._error = error or KeyboardInterrupt()
        self._spared = spared
        self._statement = statement
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement != self._statement or self._spared:
            self._spared -= statement == self._statement
            return self._connection.execute(statement, *arguments)
        self._statement = ""
        if self._after:
            self._connection.execute(statement, *arguments)
        raise self._error


def interrupt(store: SqliteStorage, statement: str, **how: Any) -> None:
    store.version()
    store._database.write(lambda _: None)
    writer = store._database._writer
    assert writer._open is not None
    interrupting: Any = Interrupting(writer._open.connection, statement, **how)
    writer._open.connection = interrupting


class TestInterruption:
    """Ctrl-C meets whoever writes for all."""

    def test_the_others_writes_are_done_by_the_next_who_leads(self, store: SqliteStorage) -> None:
        def interrupted(_: Connection) -> None:
            raise KeyboardInterrupt

        answers = Crowd(store).run(
            lambda: store._database.write(interrupted),
            *(lambda name=name: store.jobs.add([a_job(name)]) for name in "abc"),
        )

        assert isinstance(answers[0], KeyboardInterrupt)
        assert answers[1:] == [["a"], ["b"], ["c"]]
        assert set(ids(store.inspection.find())) == set("abc")

    @pytest.mark.parametrize("statement", ["begin immediate", "commit"])
    @pytest.mark.parametrize("after", [False, True])
    def test_whenever_it_comes_no_transaction_stays_open(
        self, statement: str, after: bool, store: SqliteStorage, path: Path
    ) -> None:
        interrupt(store, statement, after=after)

        with pytest.raises(KeyboardInterrupt):
            store.jobs.add([a_job("a", key="a")])

        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("begin immediate")
        store.jobs.add([a_job("b")])
        was_stored = statement == "commit" and after
        assert set(ids(store.inspection.find())) == ({"a", "b"} if was_stored else {"b"})

    @pytest.mark.parametrize("after", [False, True])
    def test_a_single_statement_is_stored_whole_or_not_at_all(
        self, after: bool, store: SqliteStorage
    ) -> None:
        new = [a_job(name) for name in "abc"]
        statement, _ = insert.insertion(jobs._rows(new, 0))
        interrupt(store, statement, after=after)

        with pytest.raises(KeyboardInterrupt):
            store.jobs.add(new)

        store.jobs.add([a_job("d")])
        assert set(ids(store.inspection.find())) == ({*"abcd"} if after else {"d"})

    def test_what_was_committed_when_it_came_is_not_done_again(self, store: SqliteStorage) -> None:
        done: list[str] = []
        # Not at the commit of the one that the others wait behind, but at theirs.
        interrupt(store, "commit", after=True, spared=1)

        answers = Crowd(store).run(
            *(lambda name=name: store._database.write(lambda _: done.append(name)) for name in "abc")
        )

        assert sorted(done) == ["a", "b", "c"]
        assert sorted(str(type(answer).__name__) for answer in answers) == [
            "KeyboardInterrupt",
            "NoneType",
            "NoneType",
        ]

    def test_a_transaction_that_it_has_left_open_is_rolled_back_by_the_next_write(
        self, store: SqliteStorage
    ) -> None:
        store.jobs.add([a_job("a")])
        opened = store._database._writer._open
        assert opened is not None
        opened.connection.execute("begin immediate")
        opened.connection.execute("delete from taskmill_job")

        store.jobs.add([a_job("b")])

        assert set(ids(store.inspection.find())) == {"a", "b"}

    def test_a_connection_that_cannot_even_roll_back_is_replaced(self, store: SqliteStorage) -> None:
        def broken(_: Connection) -> None:
            raise KeyError("mine")

        interrupt(store, "rollback", error=sqlite3.OperationalError("disk I/O error"))

        with pytest.raises(KeyError):
            store._database.write(broken)

        assert store.jobs.add([a_job("a")]) == ["a"]

    def test_what_its_caller_has_given_up_is_not_done_later(self, store: SqliteStorage) -> None:
        def interrupted(_: Connection) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store._database.write(interrupted)

        store.jobs.add([a_job("a")])
        assert not store._database._writer._pending

    STORM = """
s = store(durability="normal")
s.version()
rings, armed = 0, []

def produce():
    while True:
        s.jobs.add([a_job()])

def ring(*_):
    global rings
    rings += 1
    if armed:
        armed.clear()
        raise KeyboardInterrupt

threading.Thread(target=produce, daemon=True).start()
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
while rings < 1500:
    try:
        armed.append(True)
        while rings < 1500:
            s.jobs.add([a_job()])
    except KeyboardInterrupt:
        pass
armed.clear()
threading.Thread(target=lambda: say(*s.jobs.add([a_job("last")])), daemon=True).start()
heard()
"""

    def test_however_often_it_comes_the_other_threads_go_on(self, spawn: Spawn) -> None:
        assert spawn(self.STORM).hear() == "last"

    HANDLER = """
s = store(durability="normal")
s.version()
stored, refused, is_over = 0, 0, False

def count(*_):
    global stored, refused
    try:
        s.jobs.add([a_job()])
        stored += 1
    except errors.StoreReentered:
        refused += 1
    signal.setitimer(signal.ITIMER_REAL, 0.001)

signal.signal(signal.SIGALRM, count)
signal.setitimer(signal.ITIMER_REAL, 0.001)
own = 0
while stored < 30 or refused < 30:
    s.jobs.add([a_job()])
    s.version()
    own += 1
signal.setitimer(signal.ITIMER_REAL, 0)
say(own + stored == sum(sum(queue.states.values()) for queue in s.inspection.queues()))
"""

    def test_a_handler_of_a_signal_that_adds_jobs_does_not_wait_for_its_own_thread(
        self, spawn: Spawn
    ) -> None:
        assert spawn(self.HANDLER).hear() == "True"

    def test_a_leader_whose_stack_is_used_up_fails_alone(self, store: SqliteStorage) -> None:
        store.version()
        writer, is_used_up = store._database._writer, [True]

        def work(_: Connection) -> None:
            if is_used_up:
                is_used_up.clear()
                raise RecursionError

        own, other = (_Write(work, time.monotonic() + LONG) for _ in range(2))
        writer._pending.extend([other, own])
        with writer.gate:
            writer._lead(own)

        assert isinstance(own.error, RecursionError)
        assert not other.is_done
        store._database.write(lambda _: None)
        assert (other.is_done, other.error) == (True, None)


class TestBusy:
    HOLD = (
        "connection = sqlite3.connect(path, isolation_level=None)\n"
        "connection.execute('begin immediate'); say('held'); heard(); connection.rollback(); say('free')\n"
        "heard()\n"
    )

    def test_another_processes_transaction_is_told_with_its_number(
        self, open_store: OpenStore, spawn: Spawn, path: Path
    ) -> None:
        store = open_store(timeout=0.1)
        store.jobs.add([a_job("a")])
        holder = spawn(self.HOLD)
        assert holder.hear() == "held"

        with pytest.raises(StoreBusy) as caught:
            store.jobs.add([a_job("b")])

        assert str(caught.value) == f"{path} stayed locked for 0.1 s by process {holder.pid}; try again"
        assert ids(store.inspection.find()) == ["a"]
        holder.tell()
        assert holder.hear() == "free"
        store.jobs.add([a_job("c")])
        assert set(ids(store.inspection.find())) == {"a", "c"}

    def test_one_that_was_left_open_in_this_process_is_told_as_such(
        self, open_store: OpenStore, path: Path
    ) -> None:
        store = open_store(timeout=0.05)
        store.jobs.add([a_job("a")])

        with closing(sqlite3.connect(path, isolation_level=None)) as forgotten:
            forgotten.execute("begin immediate")
            with pytest.raises(StoreBusy) as caught:
                store.jobs.add([a_job("b")])

        assert str(caught.value) == (
            f"{path} stayed locked for 0.1 s by a transaction left open in this process; try again"
        )
        store.jobs.add([a_job("c")])

    def test_a_database_without_a_log_tells_the_holder_too(
        self, open_store: OpenStore, spawn: Spawn, path: Path
    ) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("create table book (title text)")
        store = open_store(timeout=0.1)
        store.jobs.add([a_job("a")])
        holder = spawn(self.HOLD)
        assert holder.hear() == "held"

        with pytest.raises(StoreBusy, match=f"by process {holder.pid};"):
            store.jobs.add([a_job("b")])

    def test_a_new_file_that_another_process_has_locked(
        self, open_store: OpenStore, spawn: Spawn, path: Path
    ) -> None:
        store = open_store(timeout=0.1)
        holder = spawn(self.HOLD.replace("begin immediate", "begin exclusive"))
        assert holder.hear() == "held"

        with pytest.raises(StoreBusy):
            store.jobs.add([a_job("a")])
        with pytest.raises(StoreBusy):
            store.inspection.find()

        holder.tell()
        assert holder.hear() == "free"
        assert store.jobs.add([a_job("b")]) == ["b"]

    def test_each_caller_waits_for_as_long_as_it_may_and_no_longer(
        self, open_store: OpenStore, spawn: Spawn
    ) -> None:
        store = open_store(timeout=0.3)
        store.jobs.add([a_job("a")])
        holder = spawn(self.HOLD)
        assert holder.hear() == "held"

        answers = in_threads(*(lambda: store.jobs.add([a_job()]) for _ in range(6)))

        assert {type(answer) for answer in answers} == {StoreBusy}
        # Each has its own error: raised in several threads at once, one would show all their tracebacks.
        assert len({id(answer) for answer in answers}) == 6

    def test_one_that_may_wait_longer_is_not_refused_with_the_others(
        self, store: SqliteStorage, path: Path
    ) -> None:
        store.jobs.add([a_job("a")])
        writer = store._database._writer
        hasty, patient = (_Write(lambda _: "done", deadline) for deadline in (0.0, float("inf")))
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("begin immediate")
            writer._commit([hasty, patient])

        assert isinstance(hasty.error, StoreBusy)
        assert not patient.is_done
        writer._commit([patient])
        assert (patient.value, patient.error) == ("done", None)

    def test_several_processes_that_write_all_the_time_refuse_nobody(self, spawn: Spawn, path: Path) -> None:
        writers = [
            spawn("s = store(durability='normal')\nfor _ in range(200): s.jobs.add([a_job()])\nsay('done')")
            for _ in range(4)
        ]

        assert [writer.end() for writer in writers] == ["done"] * 4


class TestClosing:
    def test_closing_while_others_write_and_read_disturbs_nobody(self, store: SqliteStorage) -> None:
        def write(thread: int) -> None:
            for number in range(50):
                store.jobs.add([a_job(f"{thread}-{number}")])

        def read() -> None:
            for _ in range(50):
                store.inspection.find(limit=1)

        def close() -> None:
            for _ in range(30):
                store.close()

        answers = in_threads(lambda: write(1), lambda: write(2), read, close)

        assert answers == [None] * 4
        assert len(store.inspection.find(limit=1_000)) == 100


class TestTheLog:
    """The write-ahead log is folded in when it is long, and does not grow for ever."""

    @pytest.fixture
    def log(self, path: Path) -> Path:
        return path.with_name("jobs.db-wal")

    def write(self, store: SqliteStorage, size: int) -> int:
        """Make the log longer by more than *size*; how many calls it took."""
        calls = size // 500_000 + 1
        for _ in range(calls):
            store.jobs.add([a_job(args="x" * 500_000)])
        return calls

    def test_it_is_folded_in_when_it_is_long_and_not_before(
        self, store: SqliteStorage, path: Path, log: Path
    ) -> None:
        self.write(store, LOG_LIMIT // 2)
        size_before = path.stat().st_size

        self.write(store, LOG_LIMIT)

        assert size_before < LOG_LIMIT // 8
        assert path.stat().st_size > LOG_LIMIT // 2

    def test_it_stays_short_while_much_is_written(self, store: SqliteStorage, log: Path) -> None:
        longest = 0
        for _ in range(8):
            self.write(store, LOG_LIMIT // 2)
            longest = max(longest, log.stat().st_size)

        assert longest < LOG_LIMIT * 1.25

    def test_it_is_not_folded_in_at_each_write_once_it_was_long(self, store: SqliteStorage) -> None:
        checkpoints = count_checkpoints(store)
        self.write(store, LOG_LIMIT)
        after_the_first = len(checkpoints)

        for _ in range(20):
            store.jobs.add([a_job()])

        assert after_the_first == len(checkpoints) == 1

    def test_a_long_reader_costs_no_checkpoint_at_each_write(
        self, store: SqliteStorage, path: Path, log: Path
    ) -> None:
        store.jobs.add([a_job()])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select count(*) from taskmill_job").fetchone()
            self.write(store, LOG_LIMIT * 2)
            checkpoints = count_checkpoints(store)
            for _ in range(20):
                store.jobs.add([a_job()])

        self.write(store, LOG_LIMIT)

        grown = log.stat().st_size
        self.write(store, LOG_LIMIT)
        assert len(checkpoints) < 10
        assert log.stat().st_size <= grown

    def test_once_a_long_reader_is_gone_the_file_is_short_again(
        self, store: SqliteStorage, path: Path, log: Path
    ) -> None:
        store.jobs.add([a_job()])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select count(*) from taskmill_job").fetchone()
            self.write(store, 4 * LOG_LIMIT)

        grown = log.stat().st_size
        self.write(store, 2 * LOG_LIMIT)

        assert grown > 4 * LOG_LIMIT
        assert log.stat().st_size <= 2 * LOG_LIMIT

    def test_it_is_folded_in_where_the_store_is_reached_by_a_symbolic_link(
        self, tmp_path: Path, open_store: OpenStore, path: Path
    ) -> None:
        (tmp_path / "link.db").symlink_to(path)
        store = open_store(tmp_path / "link.db", durability="normal")

        self.write(store, LOG_LIMIT)

        assert path.stat().st_size > LOG_LIMIT // 2


def count_checkpoints(store: SqliteStorage) -> list[object]:
    """A list that grows with each checkpoint."""
    made: list[object] = []
    checkpoints = store._database._writer._checkpoints
    connect = checkpoints._connect

    def counting() -> Connection:
        made.append(None)
        return connect()

    checkpoints._connect = counting
    return made


class TestPayloads:
    """Large payloads lie beside the row, so that a change of its state does not write them again."""

    @pytest.fixture
    def written(self, store: SqliteStorage, path: Path) -> Iterator[Callable[[Callable[[], Any]], int]]:
        """How many pages an operation appends to the log."""
        log = path.with_name("jobs.db-wal")

        def pages(work: Callable[[], Any]) -> int:
            before = log.stat().st_size
            work()
            return (log.stat().st_size - before) // PAGE

        return pages

    def test_claiming_settling_and_retrying_write_few_pages(
        self, store: SqliteStorage, written: Callable[[Callable[[], Any]], int]
    ) -> None:
        large = "x" * 1_000_000
        worker = Worker(store)
        store.jobs.add([a_job("a", args=large)])
        claimed = []

        claiming = written(lambda: claimed.append(worker.claim_one()))
        settling = written(lambda: worker.settle(claimed[0], succeeded(large)))
        cancelling = written(lambda: store.jobs.cancel("a"))

        assert claimed[0].args == large
        assert claiming < 20
        assert 1_000_000 // PAGE < settling < 1_000_000 // PAGE + 30
        assert cancelling < 5
        outcome = store.inspection.outcome("a")
        assert outcome is not None
        assert outcome.result == large

    def test_deleting_a_job_deletes_its_payloads(self, store: SqliteStorage, path: Path) -> None:
        worker = Worker(store)
        store.jobs.add([a_job("a", args="x" * 10_000, result_ttl=0), a_job("b", args="x" * 10_000)])
        for claimed in worker.claim():
            worker.settle(claimed, succeeded("x" * 10_000))

        store.jobs.purge(queue=None, ended=True, limit=10)

        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("select * from taskmill_payload").fetchall() == []


def test_the_number_of_open_files_does_not_grow(store: SqliteStorage) -> None:
    def use() -> int:
        session = store.sessions.open(kind="worker", lease=30_000_000)
        store.jobs.add([a_job(args="x" * 500_000)])
        store.sessions.end(session)
        return len(list(Path("/proc/self/fd").iterdir()))

    counts = [use() for _ in range(120)]

    # SQLite keeps the descriptor of a closed connection for the next one, while another has locks on the file.
    assert counts[-1] <= counts[40]
