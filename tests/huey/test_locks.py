"""The locks of taskmill.huey: the jobs under one are serialized, on whichever side of the task it stands."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskmill.huey import SqliteHuey, TaskException, TaskLockedException, crontab
from tests.huey.builders import Recorder, consuming


def wait_for(handle: Any) -> Any:
    return handle(blocking=True, timeout=45)


def above(huey: SqliteHuey, func: Callable[..., Any]) -> Any:
    return huey.lock_task("demo:sync")(huey.task()(func))


def below(huey: SqliteHuey, func: Callable[..., Any]) -> Any:
    return huey.task()(huey.lock_task("demo:sync", ttl=60)(func))


@pytest.mark.parametrize("locked", [above, below])
def test_locked_jobs_run_one_after_the_other(
    huey: SqliteHuey, recorder: Recorder, locked: Callable[..., Any]
) -> None:
    inside = threading.Lock()

    def sync(number: int) -> tuple[int, bool]:
        is_alone = inside.acquire(blocking=False)
        threading.Event().wait(0.03)
        if is_alone:
            inside.release()
        return number, is_alone

    task = locked(huey, sync)
    with consuming(huey):
        handles = [task(number) for number in range(4)]

        assert [wait_for(handle) for handle in handles] == [(number, True) for number in range(4)]

    attempts = [huey.mill.result(handle.id).job().attempt for handle in handles]
    assert attempts == [1] * 4
    assert set(recorder.of("sync")) == {"enqueued", "executing", "complete"}


def test_jobs_without_the_lock_overlap(huey: SqliteHuey) -> None:
    together = threading.Barrier(2)

    @huey.task()
    def meet() -> bool:
        together.wait(45)
        return True

    with consuming(huey):
        assert [wait_for(handle) for handle in (meet(), meet())] == [True, True]


def test_two_tasks_can_share_a_lock(huey: SqliteHuey) -> None:
    first = huey.lock_task("shared")(huey.task(name="first")(lambda: huey.is_locked("shared")))
    second = huey.task(name="second")(huey.lock_task("shared")(lambda: huey.is_locked("shared")))

    assert first.engine_task.options.lock == second.engine_task.options.lock == "app.lock.shared"
    with consuming(huey):
        assert [wait_for(first()), wait_for(second())] == [True, True]
    assert not huey.is_locked("shared")


def test_a_periodic_task_can_be_locked(huey: SqliteHuey) -> None:
    @huey.lock_task("night")
    @huey.periodic_task(crontab(hour="3", minute="0"))
    def nightly() -> None: ...

    assert nightly.engine_task.options.lock == "app.lock.night"


def test_a_lock_under_another_decorator_is_taken_by_the_call(huey: SqliteHuey) -> None:
    def doubled(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inner(*args: Any) -> Any:
            return func(*args) * 2

        return inner

    @huey.task()
    @doubled
    @huey.lock_task("inner")
    def look() -> int:
        return int(huey.is_locked("inner"))

    assert look.engine_task.options.lock is None
    with consuming(huey):
        assert wait_for(look()) == 2


def test_a_block_is_refused_while_somebody_else_holds_the_lock(huey: SqliteHuey) -> None:
    with huey.lock_task("block"):
        assert huey.is_locked("block")
        with (
            pytest.raises(TaskLockedException, match="unable to acquire lock block"),
            huey.lock_task("block"),
        ):
            pass

    assert not huey.is_locked("block")
    with huey.lock_task("block"):
        pass


def test_a_function_that_is_no_task_is_refused_too(huey: SqliteHuey) -> None:
    @huey.lock_task("call")
    def work() -> str:
        return "done"

    assert work() == "done"
    with huey.lock_task("call"), pytest.raises(TaskLockedException):
        work()


def test_a_busy_block_in_a_task_is_told_as_locked(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task()
    def enter() -> None:
        with huey.lock_task("block"):
            pass

    with (
        huey.lock_task("block"),
        consuming(huey),
        pytest.raises(TaskException, match="unable to acquire lock"),
    ):
        wait_for(enter())

    assert recorder.of("enter") == ["enqueued", "executing", "locked"]


def test_hueys_on_one_file_have_locks_of_their_own(huey: SqliteHuey, tmp_path: Any) -> None:
    other = SqliteHuey("other", filename=tmp_path / "huey.db")

    with huey.lock_task("same"), other.lock_task("same"):
        assert huey.is_locked("same")
    other.mill.close()
