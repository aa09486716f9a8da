"""What a program counts of the jobs that it enqueues."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from taskmill import Mill
from taskmill.contrib.prometheus import count_all, count_enqueued
from tests.worker.samples import Samples


def test_jobs_are_counted_when_they_are_stored(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path / 'jobs.db'}")
    registry = CollectorRegistry()
    count_enqueued(mill, registry=registry)

    @mill.task(name="add", queue="mail")
    def add(a: int, b: int) -> int:
        return a + b

    def counted(queue: str = "mail") -> float | None:
        return registry.get_sample_value("taskmill_jobs_enqueued_total", {"task": "add", "queue": queue})

    add.enqueue(1, 2)
    mill.enqueue_many(add.using(queue="other").s(n, n) for n in range(3))
    add.using(key="once").enqueue(1, 2)
    add.using(key="once").enqueue(1, 2)
    assert (counted(), counted("other")) == (2, 3)

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute("begin immediate")
        add.using(connection=connection).enqueue(1, 2)
        assert counted() == 2
        connection.rollback()
    assert counted() == 2
    mill.close()


def test_a_program_that_runs_its_jobs_itself_counts_what_becomes_of_them() -> None:
    mill = Mill("memory://")
    registry = CollectorRegistry()
    count_all(mill, registry=registry)

    @mill.task(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    mill.enqueue_many(add.s(n, n) for n in range(3))
    with mill.worker(threads=1, burst=True):
        pass

    found, kind = Samples(generate_latest(registry).decode()), {"task": "add", "queue": "default"}
    assert found("taskmill_jobs_enqueued_total", **kind) == 3
    assert found("taskmill_jobs_finished_total", **kind, state="succeeded") == 3
    assert found("taskmill_job_duration_seconds_count", **kind) == 3
    mill.close()


def test_nothing_is_counted_twice() -> None:
    mill, registry = Mill("memory://"), CollectorRegistry()
    count_all(mill, registry=registry)

    with pytest.raises(ValueError, match="taskmill_jobs_enqueued"):
        count_enqueued(mill, registry=registry)
