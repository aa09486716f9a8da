from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    NotAStore,
    ResultNotKept,
    ResultTimeout,
    StoreError,
    StoreUnavailable,
    WouldDeadlock,
)
from taskmill.testing import FakeClock
from tests.unit.little_worker import LittleWorker
from tests.worker.builders import DEADLINE, Faults, busy, wait_for, with_faults


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


Get = Callable[..., Any]


def by_get(result: Result[Any], timeout: float | None) -> Any:
    return result.get(timeout=timeout)


def by_aget(result: Result[Any], timeout: float | None) -> Any:
    return asyncio.run(result.aget(timeout=timeout))


@pytest.mark.parametrize("get", [by_get, by_aget])
class TestStoreInTrouble:
    @pytest.fixture
    def faults(self, mill: Mill) -> Faults:
        return with_faults(mill)

    @pytest.mark.parametrize(
        "timeout, error", [(DEADLINE, busy()), (None, busy()), (DEADLINE, StoreUnavailable("away"))]
    )
    def test_it_is_waited_for(
        self, get: Get, timeout: float | None, error: StoreError, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        faults, worker = with_faults(mill), LittleWorker(mill)
        result = mill.task(name="add")(lambda a, b: a + b).enqueue(2, 3)
        faults.break_down("inspection.outcome", error)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(get, result, timeout)
            wait_for(lambda: faults.count("inspection.outcome") > 2, "it is asked again")
            worker.run_all()
            faults.heal()

            assert waiting.result(DEADLINE) == 5
        assert caplog.messages == [f"{error}; the result of job {result.id} is waited for all the same"]

    def test_one_that_has_not_answered_yet_is_not_waited_for_without_end(
        self, get: Get, add: Any, faults: Faults
    ) -> None:
        result = add.enqueue(2, 3)
        faults.break_down("inspection.outcome", StoreUnavailable("away"))

        with pytest.raises(StoreUnavailable):
            get(result, None)

    def test_at_the_end_what_was_true_last_is_raised(self, get: Get, add: Any, faults: Faults) -> None:
        away = add.enqueue(2, 3)
        faults.break_down("inspection.outcome", StoreUnavailable("away"))
        with pytest.raises(StoreUnavailable):
            get(away, 0.02)
        faults.heal()
        faults.plan("inspection.outcome", StoreUnavailable("away"))

        with pytest.raises(ResultTimeout):
            get(add.enqueue(2, 3), 1)

    def test_who_does_not_wait_is_told_at_once(self, get: Get, add: Any, faults: Faults) -> None:
        faults.break_down("inspection.outcome", StoreUnavailable("away"))

        with pytest.raises(StoreUnavailable):
            get(add.enqueue(2, 3), 0)

        assert faults.count("inspection.outcome") == 1

    def test_what_waiting_does_not_help_is_raised_at_once(self, get: Get, add: Any, faults: Faults) -> None:
        faults.break_down("inspection.outcome", NotAStore("damaged"))

        with pytest.raises(NotAStore):
            get(add.enqueue(2, 3), None)


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


def test_a_store_that_goes_away_meanwhile_is_waited_for_without_end(mill: Mill) -> None:
    faults, worker = with_faults(mill), LittleWorker(mill)
    result = mill.task(name="add")(lambda a, b: a + b).enqueue(2, 3)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(result.get)
        wait_for(lambda: faults.count("inspection.outcome") > 0, "it has answered")
        faults.break_down("inspection.outcome", StoreUnavailable("away"))
        looks = faults.count("inspection.outcome")
        wait_for(lambda: faults.count("inspection.outcome") > looks + 2, "it is asked again")
        worker.run_all()
        faults.heal()

        assert waiting.result(DEADLINE) == 5
