"""Schemas that follow each other, applied once, all or nothing; and older taskmills that meet newer ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskmill._storage.migrations import migration
from taskmill._storage.sqlite import schema
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.errors import SchemaTooNew, StoreError
from tests.conformance.builders import Worker, a_job, ids, states_of
from tests.sqlite.children import Spawn

# What the taskmills after this one add: that of schema 2 goes with this one, that of schema 3 does not.
SECOND = """-- usable from: 1
alter table taskmill_job add column colour text default 'blue';
create table taskmill_colour (name text primary key) strict;
insert into taskmill_colour values ('blue'), ('red');
"""
THIRD = """-- usable from: 3
create table taskmill_shade (id integer primary key, colour text not null, job text not null) strict;
insert into taskmill_shade (colour, job) select colour, job_id from taskmill_job;
alter table taskmill_job rename column colour to shade;
drop table taskmill_colour;
"""
# For a child that is to be such a later one, up to the schema of that number.
LATER = f"""
from taskmill._storage.migrations import migration
from taskmill._storage.sqlite import schema
first = schema._migrations()
later = [migration(2, {SECOND!r}), migration(3, {THIRD!r})]
schema._migrations = lambda: [*first, *later[:int(sys.argv[2]) - 1]]
"""
STATEMENTS = {2: 3, 3: 3 + 4}


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes this process one of a later taskmill."""
    first = schema._migrations()

    def be(number: int) -> None:
        known = [migration(2, SECOND), migration(3, THIRD)][: number - 1]
        monkeypatch.setattr(schema, "_migrations", lambda: [*first, *known])

    return be


def by_hand(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def check(path: Path, number: int) -> None:
    """The file has that schema, whole, with the jobs that it had."""
    assert by_hand(path, "pragma integrity_check") == [("ok",)]
    assert by_hand(path, "select value from taskmill_meta where name = 'schema'") == [(str(number),)]
    assert by_hand(path, "select count(*) from taskmill_job") == [(20,)]
    if number == 3:
        assert by_hand(path, "select count(*), count(distinct job), min(colour) from taskmill_shade") == [
            (20, 20, "blue")
        ]


@pytest.fixture
def filled(store: SqliteStorage, path: Path) -> Path:
    """A file of this taskmill's."""
    store.jobs.add([a_job(f"{number}") for number in range(20)])
    store.close()
    return path


def test_each_says_which_taskmills_may_use_it() -> None:
    with pytest.raises(AssertionError, match="migration 9 does not say"):
        migration(9, "create table t (x)")

    assert [known.number for known in schema._migrations()] == list(range(1, schema.known_version() + 1))


class TestApplying:
    def test_an_older_file_gets_what_it_lacks(self, filled: Path, later: Any, store: SqliteStorage) -> None:
        later(2)
        assert len(store.inspection.find(limit=100)) == 20
        store.close()
        check(filled, 2)

        later(3)
        store.jobs.add([])
        store.close()
        check(filled, 3)

    # Each statement, and the two rows that record a schema, which are not its script's.
    @pytest.mark.parametrize("fatal", range(STATEMENTS[3]))
    def test_one_that_is_killed_leaves_a_file_that_the_next_one_completes(
        self, fatal: int, filled: Path, spawn: Spawn, later: Any, store: SqliteStorage
    ) -> None:
        dying = spawn(
            LATER + "statements, left = schema._statements, iter(range(int(sys.argv[3])))\n"
            "def until_the_end(script):\n"
            "    for statement in statements(script):\n"
            "        yield statement\n"
            "        if next(left, None) is None:\n"
            "            say('dies'); os.kill(os.getpid(), signal.SIGKILL)\n"
            "schema._statements = until_the_end\n"
            "store().jobs.add([a_job()])\n",
            "3",
            str(fatal),
        )
        assert dying.hear() == "dies"
        dying.kill()

        assert len(store.inspection.find(limit=100)) == 20
        store.close()
        check(filled, 1)
        later(3)
        store.jobs.add([])
        store.close()
        check(filled, 3)

    def test_one_that_fails_changes_nothing(
        self, filled: Path, later: Any, store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later(2)
        known = schema._migrations()
        broken = migration(3, f"{THIRD}drop table taskmill_nowhere;\n")
        with monkeypatch.context() as patch:
            patch.setattr(schema, "_migrations", lambda: [*known, broken])
            with pytest.raises(StoreError, match="no such table: taskmill_nowhere"):
                store.jobs.add([a_job()])
        check(filled, 1)

        store.jobs.add([])
        store.close()
        check(filled, 2)

    def test_several_processes_that_apply_it_at_once_apply_it_once(self, filled: Path, spawn: Spawn) -> None:
        children = [
            spawn(LATER + "heard(); say(len(store().inspection.find(limit=100)))", "3") for _ in range(4)
        ]
        for child in children:
            child.tell()

        assert [child.end() for child in children] == ["20"] * 4
        check(filled, 3)


# An older one that has the file open, and does what it is told.
OLDER = """
s = store()
worker = Worker(s)
[held] = worker.claim(1)
say(held.job_id)
def enqueue(): s.jobs.add([a_job('new')])
def settle(): assert worker.settle(held, succeeded()).stale == []
def look(): s.version()
def touch(): s.jobs.add([])
def open(): store().version()
while command := heard():
    try:
        globals()[command]()
        say('done')
    except errors.StoreError as error:
        say(type(error).__name__, error)
"""


class TestOlderOnes:
    def test_what_goes_with_them_they_go_on_using(
        self, filled: Path, spawn: Spawn, later: Any, store: SqliteStorage
    ) -> None:
        older = spawn(OLDER)
        held = older.hear()
        later(2)
        store.jobs.add([])

        for command in ("look", "enqueue", "settle", "open"):
            older.tell(command)
            assert older.hear() == "done"

        older.end()
        states = states_of(store)
        assert states[held] == "succeeded"
        assert states["new"] == "queued"

    def test_what_does_not_they_refuse_within_a_second_and_leave_alone(
        self, filled: Path, spawn: Spawn, later: Any, store: SqliteStorage
    ) -> None:
        older = spawn(OLDER)
        held = older.hear()
        later(3)
        store.jobs.add([])
        message = (
            f"SchemaTooNew {filled} has schema 3, this taskmill knows up to 1: "
            "upgrade taskmill here, or use another file"
        )

        older.tell("open")
        assert older.hear() == message
        # The connection that reads and the one that writes look by themselves.
        for command in ("look", "touch"):
            answer = ""
            while answer != message:
                older.tell(command)
                answer = older.hear()
        for command in ("look", "settle", "enqueue"):
            older.tell(command)
            assert older.hear() == message
        before = states_of(store)
        older.kill()
        store.jobs.rescue()

        assert before[held] == "running"
        assert "new" not in before
        assert held in ids(Worker(store).claim())

    def test_what_makes_a_statement_fail_is_told_at_once(
        self, filled: Path, spawn: Spawn, later: Any, store: SqliteStorage
    ) -> None:
        older = spawn(OLDER)
        older.hear()
        later(3)
        store._database.write(lambda c: c.execute("alter table taskmill_job rename to taskmill_work"))

        older.tell("enqueue")

        assert older.hear().startswith("SchemaTooNew")

    def test_one_that_does_not_say_who_may_use_it_is_refused(
        self, filled: Path, store: SqliteStorage, later: Any
    ) -> None:
        by_hand(filled, "update taskmill_meta set value = '99' where name = 'schema'")
        by_hand(filled, "delete from taskmill_meta where name = 'usable from'")

        with pytest.raises(SchemaTooNew) as caught:
            store.jobs.add([a_job()])

        assert str(caught.value) == (
            f"{filled} has schema 99, this taskmill knows up to 1: upgrade taskmill here, or use another file"
        )
        assert by_hand(filled, "select count(*) from taskmill_job") == [(20,)]

    def test_the_strictest_of_all_steps_holds(self, filled: Path, later: Any, store: SqliteStorage) -> None:
        later(3)
        store.jobs.add([])

        assert by_hand(filled, "select value from taskmill_meta where name = 'usable from'") == [("3",)]
