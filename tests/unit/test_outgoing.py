"""What goes around an enqueue, and what it may see and add."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskmill import Mill, Outgoing
from taskmill.errors import ConfigurationError, StoreError
from tests.worker.builders import with_faults


@pytest.fixture
def mill() -> Iterator[Mill]:
    mill = Mill("memory://")
    yield mill
    mill.close()


def add(a: int, b: int = 0) -> int:
    return a + b


def headers_of(mill: Mill) -> list[dict[str, str]]:
    return [dict(job.headers) for job in mill.app.storage.inspection.find()]


def test_what_is_added_to_headers_travels_beside_what_was_given(mill: Mill) -> None:
    @mill.wrap_enqueue
    def tenant(jobs: Sequence[Outgoing]) -> Iterator[None]:
        for job in jobs:
            job.headers["tenant"] = "north"
        yield

    task = mill.task(add)
    task.enqueue(1)
    task.using(headers={"own": "1"}).enqueue(1)

    assert headers_of(mill) == [{"own": "1", "tenant": "north"}, {"tenant": "north"}]


def test_it_sees_all_jobs_that_are_stored_together(mill: Mill) -> None:
    seen: list[Any] = []

    @mill.wrap_enqueue
    def look(jobs: Sequence[Outgoing]) -> Iterator[None]:
        seen.append([(job.id, job.task, job.queue, job.size, job.pipeline is not None) for job in jobs])
        yield

    task = mill.task(name="add", queue="mail")(add)
    single = task.enqueue(1)
    batch = mill.enqueue_many([task.s(1), task.using(queue="files").s(10)])
    pipeline = (task.s(1) | task.s(2)).enqueue()

    assert seen[0] == [(single.id, "add", "mail", len("[[1],{}]"), False)]
    assert [(each[0], each[2]) for each in seen[1]] == [(batch[0].id, "mail"), (batch[1].id, "files")]
    assert [each[4] for each in seen[2]] == [True, True]
    assert seen[2][-1][0] == pipeline.id


def test_the_first_one_is_the_outermost_and_hears_of_errors(mill: Mill) -> None:
    order: list[str] = []

    @mill.wrap_enqueue
    def outer(jobs: Sequence[Outgoing]) -> Iterator[None]:
        order.append("outer")
        try:
            yield
        except StoreError:
            order.append("outer hears")
            raise

    @mill.wrap_enqueue
    @contextmanager
    def inner(jobs: Sequence[Outgoing]) -> Iterator[None]:
        order.append("inner")
        yield
        order.append("stored")

    task = mill.task(add)
    task.enqueue(1)
    with_faults(mill).break_down("add")
    with pytest.raises(StoreError):
        task.enqueue(2)

    assert order == ["outer", "inner", "stored", "outer", "inner", "outer hears"]


def test_with_an_error_of_its_own_nothing_is_stored(mill: Mill) -> None:
    @mill.wrap_enqueue
    def refuse(jobs: Sequence[Outgoing]) -> Iterator[None]:
        raise LookupError("no tenant")
        yield

    with pytest.raises(LookupError, match="no tenant"):
        mill.task(add).enqueue(1)

    assert headers_of(mill) == []


def test_async_ones_are_refused(mill: Mill) -> None:
    async def wrapper(jobs: Sequence[Outgoing]) -> Any:
        yield

    with pytest.raises(ConfigurationError, match="is a def with one yield, for what is async, too"):
        mill.wrap_enqueue(wrapper)  # type: ignore[type-var]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_jobs_that_join_a_transaction_are_wrapped_too(tmp_path: Path, is_async: bool) -> None:
    mill = Mill(f"sqlite:///{tmp_path / 'jobs.db'}")
    task = mill.task(add)
    task.enqueue(0)

    @mill.wrap_enqueue
    def tenant(jobs: Sequence[Outgoing]) -> Iterator[None]:
        jobs[0].headers["tenant"] = "north"
        yield

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute("begin immediate")
        joined = task.using(connection=connection)
        if is_async:
            asyncio.run(joined.aenqueue(1))  # type: ignore[arg-type]
        else:
            joined.enqueue(1)
        connection.commit()

    assert headers_of(mill) == [{"tenant": "north"}, {}]
    mill.close()
