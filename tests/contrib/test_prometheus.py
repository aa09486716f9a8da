"""What a program counts of the jobs that it enqueues."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry

from taskmill import Mill
from taskmill.contrib.prometheus import count_enqueued


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
