"""The handles of taskmill.huey."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from taskmill.errors import ResultNotKept
from taskmill.huey import HueyException, MemoryHuey, ResultTimeout, SqliteHuey, TaskException
from tests.huey.builders import consuming


def wait_for(handle: Any) -> Any:
    return handle(blocking=True, timeout=45)


def test_reading_does_not_consume(huey: SqliteHuey) -> None:
    @huey.task()
    def one() -> int:
        return 1

    with consuming(huey):
        handle = one()
        wait_for(handle)

    assert [handle(), handle.get(True), huey.result(handle.id), huey.result(handle.id, preserve=True)] == [
        1
    ] * 4


@pytest.mark.parametrize("store_none", [True, False])
def test_none_is_a_result(store_none: bool) -> None:
    huey = MemoryHuey(store_none=store_none)

    @huey.task()
    def nothing() -> None: ...

    handle = nothing()
    assert not handle.is_ready()
    with consuming(huey):
        assert wait_for(handle) is None
    assert handle.is_ready()


def test_waiting_ends_with_the_timeout(huey: SqliteHuey) -> None:
    @huey.task()
    def one() -> int:
        return 1

    handle = one()

    with pytest.raises(ResultTimeout) as caught:
        handle(blocking=True, timeout=0.01, backoff=1.1, max_delay=0.1)
    assert isinstance(caught.value, HueyException)
    assert not handle.is_revoked()
    with pytest.raises(ResultTimeout):
        handle(blocking=True, timeout=0.01, revoke_on_timeout=True)
    assert handle.is_revoked()


def test_a_revoked_call_is_not_run(huey: SqliteHuey) -> None:
    has_run = threading.Event()

    @huey.task()
    def mark() -> None:
        has_run.set()

    handle = mark()
    handle.revoke()
    with consuming(huey), pytest.raises(TaskException, match=r"cancelled \(revoked\)"):
        wait_for(handle)

    assert handle(blocking=False) is None
    assert handle.is_revoked()
    assert not has_run.is_set()


def test_a_running_call_that_is_revoked_is_not_repeated(huey: SqliteHuey) -> None:
    is_running, may_end = threading.Event(), threading.Event()

    @huey.task(retries=5)
    def fail() -> None:
        is_running.set()
        may_end.wait(45)
        raise ValueError

    with consuming(huey):
        handle = fail()
        is_running.wait(45)
        handle.revoke()
        assert handle.is_revoked()
        may_end.set()
        with pytest.raises(TaskException, match="revoked"):
            wait_for(handle)

    assert huey.mill.result(handle.id).job().attempt == 1


def test_of_a_call_that_is_not_there_nothing_is_known(huey: SqliteHuey) -> None:
    handle_of_none = huey.result

    assert handle_of_none("no such id") is None
    with pytest.raises(ResultNotKept):
        handle_of_none("no such id", blocking=True)


def test_a_purged_call_is_neither_ready_nor_revoked(huey: SqliteHuey) -> None:
    @huey.task()
    def one() -> int:
        return 1

    handle = one()
    huey.mill.purge()

    assert not handle.is_ready()
    assert not handle.is_revoked()


def test_without_results_there_is_no_handle_and_nothing_is_kept() -> None:
    huey = MemoryHuey(results=False)
    is_done = threading.Event()

    @huey.task()
    def first() -> int:
        return 7

    @huey.task()
    def second(number: int) -> None:
        assert number == 7
        is_done.set()

    with consuming(huey):
        assert first() is None
        assert first.map([]) is None
        assert huey.enqueue(first.s().then(second)) is None
        assert is_done.wait(45)

    assert not [
        job
        for job in huey.mill.app.storage.inspection.find()
        if job.task.endswith(".first") and job.pipeline is None
    ]


def test_a_task_can_wait_for_another_as_in_huey(huey: SqliteHuey) -> None:
    @huey.task()
    def one() -> int:
        return 1

    @huey.task()
    def ask() -> Any:
        return one()(blocking=True, timeout=45)

    with consuming(huey):
        assert wait_for(ask()) == 1
