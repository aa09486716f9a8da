"""Each rule of a store: broken by hand, it is named, with what breaks it and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill._storage.sqlite.verification import RULES
from tests.conformance.builders import Worker, a_job, a_pipeline, retrying, succeeded

# By rule: a change that no operation of taskmill makes, and who is to be named.
DAMAGE = {
    "impossible-job": ("update taskmill_job set fence = 0 where job_id = 'first'", "first"),
    "running-without-session": ("delete from taskmill_session", "running"),
    "lock-without-session": ("update taskmill_lock set session = 99 where name = 'free'", "free"),
    "lock-without-its-job": ("update taskmill_job set lock = 'other' where job_id = 'running'", "held"),
    "lock-that-wakes-nobody": ("delete from taskmill_lock where name = 'held'", "held"),
    "blocked-for-ever": ("delete from taskmill_job where job_id = 'second'", "third"),
    "step-before-its-turn": ("update taskmill_job set state = 'queued' where job_id = 'third'", "third"),
    "cancelled-and-yet-waiting": (
        "update taskmill_job set cancel_requested = 1 where job_id = 'queued'",
        "queued",
    ),
    "job-without-arguments": ("update taskmill_job set args = null where job_id = 'queued'", "queued"),
    "success-without-result": ("update taskmill_job set result = null where job_id = 'first'", "first"),
    "payload-without-job": ("update taskmill_payload set job = 99", "args of row 99"),
    "attempt-without-job": ("update taskmill_attempt set job = 99", "attempt 1 of row 99"),
    "sheet-without-job": (
        "insert into taskmill_sheet (job, fence, number, attempt, text) values (99, 1, 3, 1, '')",
        "sheet 3 of row 99",
    ),
    "attempt-that-was-never-claimed": ("update taskmill_attempt set number = 9", "queued"),
    "number-to-be-given-twice": (
        "update sqlite_sequence set seq = 0 where name = 'taskmill_lock'",
        "taskmill_lock",
    ),
}
# What cannot be damaged alone: the other rules that the change breaks.
BESIDES = {
    "running-without-session": {"lock-without-session"},
    "payload-without-job": {"job-without-arguments"},
}


@pytest.fixture
def busy(store: SqliteStorage) -> SqliteStorage:
    """A store in which each rule has something to say."""
    worker = Worker(store)
    store.jobs.add([a_job("queued", max_attempts=3)])
    worker.settle(worker.claim_one(), retrying(delay=3_600_000_000))
    store.jobs.add(a_pipeline("first", "second", "third"))
    worker.settle(worker.claim_one(), succeeded())
    store.jobs.add([a_job("running", lock="held", priority=1), a_job("waiting", lock="held", priority=1)])
    [running] = worker.claim(1)
    assert running.job_id == "running"
    worker.claim(0)
    store.jobs.add([a_job("large", args='["' + "x" * 10_000 + '"]', queue="other")])
    assert worker.turn(thread=1, queues=["default"]).claimed[0].job_id == "second"
    store.limits.acquire("free", worker.session)
    return store


def by_hand(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma ignore_check_constraints = 1")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_every_rule_is_tried_here() -> None:
    assert list(DAMAGE) == [name for name, _ in RULES]


def test_the_store_before_is_whole(busy: SqliteStorage) -> None:
    assert list(busy.health.verify()) == []


@pytest.mark.parametrize("rule", DAMAGE)
def test_a_broken_rule_is_named_with_what_breaks_it(rule: str, busy: SqliteStorage, path: Path) -> None:
    statement, culprit = DAMAGE[rule]

    by_hand(path, statement)

    broken = {violation.rule: violation for violation in busy.health.verify()}
    assert broken.keys() == {rule} | BESIDES.get(rule, set())
    assert broken[rule].examples[:1] == [culprit]


@pytest.mark.parametrize(
    "change, culprit",
    [
        ("update taskmill_job set args = '[[1]' where job_id = 'queued'", "queued"),
        ("update taskmill_job set result = cast(x'22ff22' as text) where job_id = 'first'", "first"),
        ("update taskmill_job set headers = 'x' where job_id = 'running'", "running"),
        ("update taskmill_payload set data = data || ','", "large"),
        ("update taskmill_attempt set error = '['", "queued"),
        ("update taskmill_session set serves = 'all'", "session 1"),
    ],
)
def test_a_text_that_nobody_can_read(change: str, culprit: str, busy: SqliteStorage, path: Path) -> None:
    by_hand(path, change)

    [violation] = busy.health.verify()

    assert (violation.rule, violation.times, violation.examples) == ("unreadable-text", 1, [culprit])


def test_what_failed_for_its_unreadable_text_is_known(busy: SqliteStorage, path: Path) -> None:
    by_hand(path, "update taskmill_job set args = '[', reason = 'undecodable' where job_id = 'queued'")

    assert list(busy.health.verify()) == []


@pytest.mark.parametrize(
    "change",
    [
        "update taskmill_job set state = 'gone' where job_id = 'queued'",
        "update taskmill_job set ended_at = null, kept_for = null where job_id = 'first'",
        "update taskmill_job set kept_for = null where job_id = 'first'",
        "update taskmill_job set claim = null where job_id = 'running'",
        "update taskmill_job set step = 0, pipeline = 'x' where job_id = 'third'",
        "update taskmill_job set pipeline = null where job_id = 'third'",
        "update taskmill_job set executor = 'alone' where job_id = 'queued'",
        "update taskmill_job set waits_for = 'free' where job_id = 'waiting'",
    ],
)
def test_jobs_that_the_tables_forbid(change: str, busy: SqliteStorage, path: Path) -> None:
    by_hand(path, change)

    assert busy.health.verify()[0].rule == "impossible-job"


def test_two_jobs_with_one_key_are_found_by_sqlite_itself(busy: SqliteStorage, path: Path) -> None:
    by_hand(
        path,
        "update taskmill_job set key = job_id",
        "pragma writable_schema = 1",
        "update sqlite_master set sql = replace(sql, 'UNIQUE INDEX', 'INDEX') where name = 'taskmill_job_key'",
    )
    by_hand(path, "update taskmill_job set key = 'same' where job_id in ('queued', 'running')")
    by_hand(
        path,
        "pragma writable_schema = 1",
        "update sqlite_master set sql = replace(sql, 'INDEX', 'UNIQUE INDEX') where name = 'taskmill_job_key'",
    )

    [violation] = busy.health.verify()

    assert violation.rule == "integrity"
    assert "non-unique entry in index taskmill_job_key" in violation.examples[0]


def test_a_damaged_page_is_found_and_nothing_else_is_asked(busy: SqliteStorage, path: Path) -> None:
    busy.jobs.add([a_job(args="[[],{}]") for _ in range(2_000)])
    busy.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4_096] = b"\xff" * 4_096
    path.write_bytes(data)

    [violation] = busy.health.verify()

    assert violation.rule == "integrity"
    assert violation.times >= 1
