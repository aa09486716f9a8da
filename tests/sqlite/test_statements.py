"""The .sql files: every statement is valid, and the hot ones read by an index and no more than they need."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskmill._core.instant import HOUR
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.storage import SqliteStorage
from tests.conformance.builders import Worker, a_job, a_pipeline, failed, succeeded

FILES = (
    "jobs",
    "sessions",
    "limits",
    "schedules",
    "statistics",
    "journals",
    "inspection",
    "health",
    "copying",
    "verification",
)
STATEMENTS = {
    f"{file}.{name}": statement
    for file in FILES
    for name, statement in Queries("taskmill._storage.sqlite", f"{file}.sql")
}

# The hot statements, and how each must find its rows: (table, by which index).
HOT = {
    "jobs.insert_args": ["job_id"],
    "jobs.known_by": ["job_id", "taskmill_job_key"],
    "jobs.settle_plain": ["rowid"],
    "jobs.held": ["rowid"],
    "jobs.is_recorded": ["rowid"],
    "jobs.settle_queued": ["rowid"],
    "jobs.settle_final": ["rowid"],
    "jobs.unblock_next": ["taskmill_job_pipeline"],
    "jobs.cancel_later": ["taskmill_job_pipeline"],
    "jobs.is_needed": ["taskmill_job_pipeline"],
    "jobs.free_lock": ["job"],
    "jobs.first_waiter": ["taskmill_job_waiter", "name"],
    "jobs.awaited_locks": ["taskmill_job_waiter"],
    "jobs.expire": ["taskmill_job_expiry"],
    "jobs.next_expiry": ["taskmill_job_expiry"],
    "jobs.is_claimed": ["taskmill_job_running"],
    "jobs.lanes": ["taskmill_job_claim", "taskmill_job_claim_locked"],
    "jobs.claim": ["rowid", "taskmill_job_claim"],
    "jobs.candidates_across": ["rowid", "taskmill_job_claim"],
    "jobs.park": ["rowid"],
    "jobs.claim_these": ["rowid"],
    "jobs.claimed": ["taskmill_job_running", "taskmill_job_pipeline"],
    "jobs.held_by": ["taskmill_job_running"],
    "jobs.take_back": ["rowid"],
    "jobs.free_session_locks": ["taskmill_lock_session"],
    "jobs.find": ["job_id"],
    "jobs.hasten": ["job_id"],
    "jobs.lifetimes": ["taskmill_job_ended"],
    "jobs.outlived": ["taskmill_job_ended", "taskmill_job_pipeline"],
    "jobs.delete_payloads": ["job"],
    "jobs.forget_released": ["taskmill_attempt_job"],
    "jobs.delete_attempts": ["taskmill_attempt_job"],
    "jobs.delete_sheets": ["job"],
    "jobs.delete": ["rowid"],
    "journals.write": ["rowid"],
    "journals.holds": ["rowid"],
    "journals.tear": ["job"],
    "journals.forget": ["job"],
    "journals.read": ["job_id", "job"],
    "limits.holder": ["name"],
    "limits.release": ["rowid"],
    "schedules.advance": ["name"],
    "inspection.outcome": ["job_id"],
    "inspection.job": ["job_id"],
    "inspection.attempts": ["taskmill_attempt_job"],
    "inspection.steps": ["taskmill_job_pipeline"],
    "inspection.has_suspects": ["taskmill_job_claim"],
    "inspection.recently_ended": ["taskmill_job_ended"],
}
# A statement whose rows come sorted out of the index has no need of a sorter, which would read all before the first.
UNSORTED = HOT.keys() - {"jobs.lanes", "jobs.candidates_across", "jobs.claimed"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A store in which every state occurs, without the statistics of ANALYZE."""
    path = tmp_path_factory.mktemp("statements") / "jobs.db"
    fill(path)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def fill(path: Path) -> None:
    store = SqliteStorage(path, durability="normal")
    worker = Worker(store)
    store.jobs.add([a_job() for _ in range(100)])
    for number, claimed in enumerate(worker.claim(80)):
        if number < 60:
            worker.settle(claimed, failed() if number % 3 else succeeded("x" * 2_000))
    store.jobs.add([a_job(delay=HOUR, priority=number % 7) for number in range(100)])
    store.jobs.add([a_job(lock="L", expires_in=HOUR, key=str(number)) for number in range(20)])
    for number in range(20):
        store.jobs.add(a_pipeline(*(f"{number}-{step}" for step in range(3)), pipeline=str(number)))
    worker.claim(20)
    store.close()


def parameters(statement: str) -> dict[str, Any] | list[Any]:
    without_comments = re.sub(r"--.*", "", statement)
    names = re.findall(r":(\w+)", without_comments)
    return dict.fromkeys(names, "[]") if names else [0] * without_comments.count("?")


def plan(database: sqlite3.Connection, statement: str) -> list[str]:
    explained = database.execute(f"explain query plan {statement}", parameters(statement))
    return [detail for _, _, _, detail in explained]


def ways(database: sqlite3.Connection, statement: str) -> set[str]:
    """How the plan finds rows: by the names of indexes, and by the columns of those that SQLite has named."""
    return {
        next(filter(None, way))
        for detail in plan(database, statement)
        for way in re.findall(
            r"INDEX (taskmill_\w+)|\((rowid)=|autoindex_\w+ \((\w+)=|PRIMARY KEY \((\w+)=", detail
        )
    }


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_is_valid(name: str, database: sqlite3.Connection) -> None:
    statement = STATEMENTS[name]

    assert database.execute(f"explain {statement}", parameters(statement)).fetchall()


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_finds_its_rows_by_the_right_index(name: str, database: sqlite3.Connection) -> None:
    assert set(HOT[name]) <= ways(database, STATEMENTS[name])


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_scans_no_table(name: str, database: sqlite3.Connection) -> None:
    scanned = {detail.split()[1] for detail in plan(database, STATEMENTS[name]) if detail.startswith("SCAN")}

    # What is left are lists that the statement was given, and the rows that its recursion has made.
    assert scanned <= {"q", "l", "s", "json_each", "kind", "lane", "lock", "name", "lifetime"}


@pytest.mark.parametrize("name", sorted(UNSORTED))
def test_a_hot_statement_sorts_nothing(name: str, database: sqlite3.Connection) -> None:
    assert not [detail for detail in plan(database, STATEMENTS[name]) if "TEMP B-TREE" in detail]


def test_every_statement_is_used_or_gone() -> None:
    package = Path(__file__).parents[2] / "src/taskmill/_storage/sqlite"
    sources = "".join(file.read_text(encoding="utf-8") for file in package.glob("*.py"))

    # Of verification, all are carried out, one after the other.
    named = [name.split(".") for name in STATEMENTS if not name.startswith("verification.")]
    unused = [name for _, name in named if not re.search(rf"(SQL|JOBS)\.{name}\b", sources)]

    assert unused == []
