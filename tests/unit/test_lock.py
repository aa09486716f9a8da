from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from taskmill import Mill, State
from taskmill._core.instant import SECOND
from taskmill.errors import ConfigurationError, JobFailed, LockError, LockTimeout
from taskmill.testing import FakeClock
from tests.unit.little_worker import LittleWorker


def holders(mill: Mill) -> list[str]:
    return [lock.name for lock in mill.app.storage.limits.list()]


class TestAsABlock:
    def test_it_is_held_until_the_block_ends(self, mill: Mill) -> None:
        with mill.lock("daily") as lock:
            assert holders(mill) == ["daily"]
            assert repr(lock) == "<Lock 'daily'>"

        assert holders(mill) == []

    def test_an_error_frees_it(self, mill: Mill) -> None:
        with pytest.raises(ValueError, match="no"), mill.lock("daily"):
            raise ValueError("no")

        assert holders(mill) == []

    def test_the_token_grows(self, mill: Mill) -> None:
        lock = mill.lock("daily")
        with lock:
            first = lock.token
        with lock:
            assert lock.token > first
        with pytest.raises(LockError, match="does not hold lock 'daily'"):
            assert lock.token

    def test_one_holder_at_a_time(self, mill: Mill) -> None:
        lock, inside, most = mill.lock("daily"), [], []

        def work(number: int) -> None:
            with lock:
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.002)
                inside.remove(number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(16)))

        assert most == [1] * 16

    def test_a_taken_lock_is_waited_for_no_longer_than_asked(self, mill: Mill) -> None:
        with mill.lock("daily"), ThreadPoolExecutor(1) as pool:
            for timeout in (0, 0.02):
                waiting = pool.submit(mill.lock("daily", timeout=timeout).__enter__)
                with pytest.raises(LockTimeout, match=f"lock 'daily' was not free within {timeout:g} s"):
                    waiting.result()

    def test_taking_it_twice_is_an_error_and_no_deadlock(self, mill: Mill) -> None:
        with mill.lock("daily"):
            with pytest.raises(LockError, match="holds lock 'daily' already"), mill.lock("daily"):
                pass
            with pytest.raises(LockTimeout), mill.lock("daily", timeout=0):
                pass

    def test_a_job_that_holds_it_cannot_take_it_again(self, mill: Mill, worker: LittleWorker) -> None:
        @mill.task(name="sync", lock="daily")
        def sync() -> None:
            with mill.lock("daily"):
                pass

        result = sync.enqueue()
        worker.run_all()

        with pytest.raises(JobFailed, match="LockError: this job holds lock 'daily' as its own"):
            result.get()

    def test_other_stores_have_other_locks(self, mill: Mill) -> None:
        with mill.lock("daily"), Mill("memory://").lock("daily", timeout=0):
            pass

    @pytest.mark.parametrize("arguments", [("",), (3,), ("a", -1), ("a", "3")])
    def test_wrong_arguments_are_refused(self, mill: Mill, arguments: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"name of a lock=|timeout="):
            mill.lock(*arguments)


class TestInACoroutine:
    def test_one_holder_at_a_time(self, mill: Mill) -> None:
        lock, inside, most = mill.lock("daily"), [], []

        async def work(number: int) -> None:
            async with lock:
                assert lock.token
                inside.append(number)
                most.append(len(inside))
                await asyncio.sleep(0.002)
                inside.remove(number)

        async def main() -> None:
            await asyncio.gather(*(work(number) for number in range(8)))

        asyncio.run(main())

        assert most == [1] * 8
        assert holders(mill) == []

    def test_it_waits_no_longer_than_asked(self, mill: Mill) -> None:
        async def main() -> None:
            with mill.lock("daily"):
                waiting = asyncio.create_task(mill.lock("daily", timeout=0.01).__aenter__())
                with pytest.raises(LockTimeout):
                    await waiting

        asyncio.run(main())

    def test_taking_it_twice_is_an_error_and_no_deadlock(self, mill: Mill) -> None:
        async def main() -> None:
            async with mill.lock("daily"):
                with pytest.raises(LockError):
                    await mill.lock("daily").__aenter__()

        asyncio.run(main())

    def test_who_is_cancelled_leaves_nothing_locked(
        self, mill: Mill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits = mill.app.storage.limits
        entered, take = threading.Event(), limits.acquire

        def slow(name: str, session: int) -> int | None:
            entered.set()
            time.sleep(0.05)
            return take(name, session)

        monkeypatch.setattr(limits, "acquire", slow)

        async def main() -> None:
            waiting = asyncio.create_task(mill.lock("daily").__aenter__())
            await asyncio.to_thread(entered.wait)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        asyncio.run(main())

        assert holders(mill) == []


class TestAsADecorator:
    def test_on_a_function_each_call_takes_it(self, mill: Mill) -> None:
        @mill.lock("daily")
        def sync(day: str) -> tuple[str, list[str]]:
            return day, holders(mill)

        assert sync("monday") == ("monday", ["daily"])
        assert sync.__name__ == "sync"
        assert holders(mill) == []

    def test_on_an_async_function_too(self, mill: Mill) -> None:
        @mill.lock("daily")
        async def sync() -> list[str]:
            return holders(mill)

        assert asyncio.run(sync()) == ["daily"]
        assert holders(mill) == []

    @pytest.fixture(params=["above", "below", "option"])
    def sync(self, request: pytest.FixtureRequest, mill: Mill) -> Any:
        def sync() -> list[str]:
            return holders(mill)

        match request.param:
            case "above":
                return mill.lock("daily")(mill.task(name="sync")(sync))
            case "below":
                return mill.task(name="sync")(mill.lock("daily")(sync))
            case _:
                return mill.task(name="sync", lock="daily")(sync)

    def test_above_or_below_a_task_it_is_the_lock_of_its_jobs(
        self, mill: Mill, sync: Any, worker: LittleWorker
    ) -> None:
        first, second = sync.enqueue(), sync.enqueue()

        [claimed] = worker.claim()

        assert (first.job().lock, second.job().waits_for) == ("daily", "daily")
        assert mill.app.tasks.find("sync") is sync
        worker.settle(claimed, worker.attempt(claimed))
        worker.run_all()
        assert (first.get(), second.get()) == (["daily"], ["daily"])

    def test_a_plain_call_of_the_task_takes_no_lock(self, sync: Any) -> None:
        assert sync() == []

    def test_a_decorator_between_keeps_the_lock_where_it_is(self, mill: Mill, worker: LittleWorker) -> None:
        def between(func: Any) -> Any:
            @wraps(func)
            def wrapper() -> Any:
                return ["between", *func()]

            return wrapper

        @mill.task(name="sync")
        @between
        @mill.lock("daily")
        def sync() -> list[str]:
            return holders(mill)

        result = sync.enqueue()
        worker.run_all()

        assert result.job().lock is None
        assert result.get() == ["between", "daily"]

    def test_a_job_waits_without_a_limit(self, mill: Mill) -> None:
        task = mill.task(name="sync")(lambda: None)

        with pytest.raises(ConfigurationError, match="a job waits for its lock as long as it takes"):
            mill.lock("daily", timeout=3)(task)
        with pytest.raises(ConfigurationError, match="a job waits for its lock as long as it takes"):
            mill.task(name="other")(mill.lock("daily", timeout=3)(lambda: None))

    def test_a_task_has_one_lock(self, mill: Mill) -> None:
        task = mill.task(name="sync", lock="a")(lambda: None)

        with pytest.raises(ConfigurationError, match="task sync has two locks, 'a' and 'b'"):
            mill.lock("b")(task)
        assert mill.lock("a")(task) is task

    def test_what_cannot_be_called_is_refused(self, mill: Mill) -> None:
        def generator() -> Iterator[int]:
            yield 1

        for wrong in (3, generator):
            with pytest.raises(ConfigurationError, match="use it in a with block"):
                mill.lock("daily")(wrong)  # type: ignore[type-var]


class TestTheHoldersSession:
    def test_a_waiting_job_gets_it_next(self, mill: Mill, worker: LittleWorker) -> None:
        sync = mill.task(name="sync", lock="daily")(lambda: None)

        with mill.lock("daily"):
            result = sync.enqueue()
            assert worker.run_all() == 0
        worker.run_all()

        assert result.state is State.SUCCEEDED

    def test_closing_frees_it(self, mill: Mill) -> None:
        lock = mill.lock("daily")
        lock.__enter__()

        mill.close()

        assert holders(mill) == []
        assert lock.lost

    def test_a_session_that_ran_out_between_is_replaced(self, mill: Mill, clock: FakeClock) -> None:
        with mill.lock("daily"):
            pass
        clock.travel(3600)
        mill.app.storage.jobs.rescue()

        with mill.lock("daily"):
            assert len(mill.app.storage.inspection.sessions()) == 1

    def test_it_is_renewed_while_a_lock_is_held(self, clock: FakeClock) -> None:
        mill = Mill("memory://", lease=1, clock=clock)
        with mill.lock("daily") as lock:
            clock.travel(0.9)
            deadline = time.monotonic() + 45
            # Renewed each third of the lease, in real time.
            while self.is_dead_in(mill, clock, 0.5) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not lock.lost

    def is_dead_in(self, mill: Mill, clock: FakeClock, seconds: float) -> bool:
        [session] = mill.app.storage.sessions._memory.tables.sessions.values()  # type: ignore[attr-defined]
        return bool(session.leased_until < clock.monotonic() + seconds * SECOND)

    def test_who_stood_still_too_long_learns_of_it(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        mill = Mill("memory://", lease=1, clock=clock)
        with mill.lock("daily") as lock:
            deadline = time.monotonic() + 45
            while not lock.lost and time.monotonic() < deadline:
                # Again, if it said that it lives just between the two.
                clock.travel(2)
                mill.app.storage.jobs.rescue()
                time.sleep(0.01)
            assert lock.lost

        assert "it did not hold daily any more" in caplog.text

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_child_of_a_fork_leaves_the_parents_lock_alone(self, tmp_path: Path) -> None:
        mill = Mill(f"sqlite:///{tmp_path}/jobs.db")

        with mill.lock("daily"):
            assert in_a_child(mill, "daily") == "LockTimeout"
            assert in_a_child(mill, "weekly") == "taken"
            assert holders(mill) == ["daily"]
        mill.close()


def in_a_child(mill: Mill, name: str) -> str:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            with mill.lock(name, timeout=0):
                sending.send("taken")
        except BaseException as error:  # noqa: BLE001
            sending.send(type(error).__name__)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return str(receiving.recv())
