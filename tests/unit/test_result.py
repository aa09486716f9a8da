from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskmill import Mill, Result, State, Task, current_job
from taskmill._core.instant import DAY, SECOND
from taskmill.errors import (
    Cancel,
    JobCancelled,
    JobExpired,
    JobFailed,
    ResultNotKept,
    ResultTimeout,
    StoreBusy,
    WouldDeadlock,
)
from taskmill.testing import FakeClock
from tests.unit.little_worker import LittleWorker


@pytest.fixture
def add(mill: Mill) -> Task[[int, int], int]:
    @mill.task(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    return add


@contextmanager
def soon(act: Callable[[], object]) -> Iterator[None]:
    """Do it in another thread, after the block has had time to begin."""
    timer = threading.Timer(0.02, act)
    timer.start()
    yield
    timer.join()


class TestGet:
    def test_the_value_comes_back_and_stays(self, add: Any, worker: LittleWorker) -> None:
        result = add.enqueue(2, 3)
        worker.run_all()

        assert result.get() == result.get() == 5
        assert Result(worker.app, result.id).get() == 5

    def test_each_reading_is_a_value_of_its_own(self, mill: Mill, worker: LittleWorker) -> None:
        result = mill.task(name="list")(lambda: [1]).enqueue()
        worker.run_all()

        result.get().append(2)

        assert result.get() == [1]

    def test_none_is_a_value(self, mill: Mill, worker: LittleWorker) -> None:
        result = mill.task(name="nothing")(lambda: None).enqueue()
        worker.run_all()

        assert result.get(timeout=0) is None

    def test_the_caller_is_woken(self, add: Any, worker: LittleWorker) -> None:
        result = add.enqueue(2, 3)

        with soon(worker.run_all):
            assert result.get(timeout=45) == 5

    def test_what_another_process_does_is_seen(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/jobs.db"
        here, there = Mill(url), Mill(url)
        add = here.task(name="add")(sum)
        there.task(name="add")(sum)
        result = add.enqueue([2, 3])

        with soon(LittleWorker(there).run_all):
            assert result.get(timeout=45) == 5

        here.close()
        there.close()

    def test_it_waits_no_longer_than_asked(self, add: Any) -> None:
        result = add.enqueue(2, 3)
        began_at = time.monotonic()

        with pytest.raises(ResultTimeout, match=r"is still queued after 0\.03 s") as caught:
            result.get(timeout=0.03)

        assert isinstance(caught.value, TimeoutError)
        assert time.monotonic() - began_at >= 0.03
        with pytest.raises(ResultTimeout):
            result.get(timeout=0)

    def test_a_negative_timeout_is_refused(self, add: Any) -> None:
        with pytest.raises(ValueError, match="timeout=-1 is no duration"):
            add.enqueue(2, 3).get(timeout=-1)

    def test_the_final_outcome_counts_not_the_first_failure(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task(name="flaky", retries=1, retry_delay=0)
        def flaky() -> str:
            if current_job().attempt == 1:
                raise ValueError("once")
            return "OK"

        result = flaky.enqueue()
        worker.run_all()

        assert result.get() == "OK"
        assert [attempt.outcome for attempt in result.job().attempts] == ["retrying"]

    def test_a_failure_carries_what_is_known(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task(name="fail")
        def fail() -> None:
            raise ValueError("no")

        result = fail.enqueue()
        worker.run_all()

        with pytest.raises(JobFailed, match=r"fail failed \(error\): ValueError: no") as caught:
            result.get()
        assert (caught.value.job_id, caught.value.task, caught.value.reason) == (result.id, "fail", "error")
        assert (caught.value.error_type, caught.value.error) == ("ValueError", "no")

    def test_a_revoked_job_says_so(self, add: Any, worker: LittleWorker) -> None:
        result = add.enqueue(2, 3)

        assert result.cancel()
        assert not result.cancel()

        assert worker.run_all() == 0
        with pytest.raises(JobCancelled, match=r"add was cancelled \(revoked\)") as caught:
            result.get()
        assert caught.value.reason == "revoked"

    def test_a_task_that_cancels_itself_says_why(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task(name="stop")
        def stop() -> None:
            raise Cancel("no such user")

        result = stop.enqueue()
        worker.run_all()

        with pytest.raises(JobCancelled, match=r"stop was cancelled \(by its task\): no such user"):
            result.get()

    def test_an_expired_job_says_so(self, add: Any, worker: LittleWorker, clock: FakeClock) -> None:
        result = add.using(expires=5).enqueue(2, 3)
        clock.travel(6)
        worker.run_all()

        with pytest.raises(JobExpired, match=r"add was cancelled \(expired\)"):
            result.get()

    def test_a_pruned_job_is_gone(self, add: Any, worker: LittleWorker, clock: FakeClock) -> None:
        result, again = add.enqueue(2, 3), worker.app
        worker.run_all()
        clock.travel(2 * DAY / SECOND)
        worker.storage.jobs.prune(limit=10)

        for ask in (result.get, lambda: result.state, result.job, Result(again, "never").get):
            with pytest.raises(ResultNotKept, match="is not in the store"):
                ask()

    def test_what_was_read_once_stays_known(self, add: Any, worker: LittleWorker, clock: FakeClock) -> None:
        result = add.enqueue(2, 3)
        worker.run_all()
        result.get()
        clock.travel(2 * DAY / SECOND)
        worker.storage.jobs.prune(limit=10)

        assert (result.get(), result.state) == (5, State.SUCCEEDED)

    def test_with_a_ttl_of_0_nothing_is_kept(self, mill: Mill, worker: LittleWorker) -> None:
        result = mill.task(name="once", result_ttl=0)(lambda: 5).enqueue()

        with soon(worker.run_all), pytest.raises(ResultNotKept):
            result.get(timeout=45)


class TestInsideATask:
    def test_waiting_is_refused(self, mill: Mill, add: Any, worker: LittleWorker) -> None:
        @mill.task(name="outer")
        def outer() -> int:
            return int(add.enqueue(2, 3).get())

        result = outer.enqueue()
        worker.run_all()

        with pytest.raises(JobFailed, match=r"WouldDeadlock: get.. inside a task, or in"):
            result.get()

    def test_reading_what_has_ended_is_not(self, mill: Mill, add: Any, worker: LittleWorker) -> None:
        ended, waiting = add.enqueue(2, 3), add.using(delay=60).enqueue(2, 3)

        @mill.task(name="outer")
        def outer() -> int:
            with pytest.raises(ResultTimeout):
                waiting.get(timeout=0)
            with pytest.raises(ResultTimeout):
                waiting.get(timeout=0.01, inside_task=True)
            return int(ended.get())

        result = outer.enqueue()
        worker.run_all()

        assert result.get() == 5

    def test_awaiting_is_refused_as_well(self, mill: Mill, add: Any, worker: LittleWorker) -> None:
        @mill.task(name="outer")
        async def outer() -> None:
            result = await add.aenqueue(2, 3)
            with pytest.raises(WouldDeadlock):
                await result
            with pytest.raises(ResultTimeout):
                await result.aget(timeout=0.01, inside_task=True)

        result = outer.enqueue()
        worker.run_all()

        assert result.get() is None

    def test_in_a_plain_call_it_is_allowed(self, mill: Mill, add: Any, worker: LittleWorker) -> None:
        @mill.task(name="outer")
        def outer() -> int:
            with soon(worker.run_all):
                return int(add.enqueue(2, 3).get(timeout=45))

        assert outer() == 5


class TestAwait:
    def test_the_value_comes_back(self, add: Any, worker: LittleWorker) -> None:
        async def main() -> int:
            result = await add.aenqueue(2, 3)
            with soon(worker.run_all):
                return int(await result)

        assert asyncio.run(main()) == 5

    def test_many_can_wait_without_a_thread_each(self, add: Any, worker: LittleWorker) -> None:
        async def main() -> list[int]:
            results = add.map([]) or [add.enqueue(n, n) for n in range(200)]
            waiting = asyncio.gather(*results)
            await asyncio.sleep(0.02)
            before = threading.active_count()
            with soon(worker.run_all):
                values = await waiting
            assert before < 60
            return values

        assert asyncio.run(main()) == [2 * n for n in range(200)]

    def test_the_loop_goes_on(self, add: Any, worker: LittleWorker) -> None:
        async def main() -> int:
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0)

            ticking = asyncio.create_task(tick())
            with soon(worker.run_all):
                await add.enqueue(2, 3)
            ticking.cancel()
            return ticks

        assert asyncio.run(main()) > 10

    def test_what_another_process_does_is_seen(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/jobs.db"
        here, there = Mill(url), Mill(url)
        add = here.task(name="add")(sum)
        there.task(name="add")(sum)

        async def main() -> Any:
            result = await add.aenqueue([2, 3])
            with soon(LittleWorker(there).run_all):
                return await result.aget(timeout=45)

        assert asyncio.run(main()) == 5
        here.close()
        there.close()

    def test_it_waits_no_longer_than_asked(self, add: Any) -> None:
        async def main() -> None:
            with pytest.raises(ResultTimeout, match="is still queued"):
                await add.enqueue(2, 3).aget(timeout=0.02)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(add.enqueue(2, 3), 0.02)

        asyncio.run(main())

    def test_trouble_with_the_store_is_raised_to_those_who_wait(
        self, add: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> None:
            result = await add.aenqueue(2, 3)
            waiting = asyncio.ensure_future(result.aget(timeout=45))
            await asyncio.sleep(0.02)
            monkeypatch.setattr(type(add.app.storage.inspection), "outcome", busy)
            with pytest.raises(StoreBusy):
                await waiting

        asyncio.run(main())


def busy(inspection: object, job_id: str) -> None:
    raise StoreBusy("jobs.db", 5.0, "process 1")


def test_nobody_is_left_watching(mill: Mill, add: Any, worker: LittleWorker) -> None:
    async def main() -> None:
        result = add.enqueue(2, 3)
        with soon(worker.run_all):
            await result

    asyncio.run(main())
    add.enqueue(2, 3).cancel()

    assert mill.app.watch._rings == {}
    assert mill.app.storage.wake._waiters == {}


def test_two_handles_of_one_job_are_equal(mill: Mill, add: Any) -> None:
    result = add.enqueue(2, 3)

    assert mill.result(result.id) == result != add.enqueue(2, 3)
    assert {mill.result(result.id), result} == {result}
    assert repr(mill.result(result.id)) == f"<Result {result.id}>"
