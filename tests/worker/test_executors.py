"""What runs the attempts: threads, and one event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskmill._core.job import Claimed
from taskmill._core.outcome import Outcome, Released, Succeeded
from taskmill._storage.memory.sessions import MemorySlots
from taskmill._worker.executors.base import Finished
from taskmill._worker.executors.loop import LoopExecutor
from taskmill._worker.executors.thread import ThreadExecutor
from taskmill._worker.hold import Hold
from taskmill._worker.slot import Timekeeper
from tests.worker.builders import DEADLINE, Gate, wait_for

DONE = Succeeded("null")


def jobs(count: int, first: int = 0) -> list[Claimed]:
    return [
        Claimed(number, f"job-{number}", "task", "default", "thread", 1, 1, 1, True, "[[],{}]", None, None)
        for number in range(first, first + count)
    ]


def names_of(finished: list[Finished]) -> list[str]:
    return sorted(one.claimed.job_id for one in finished)


def a_thread_executor(
    threads: int,
    run: Callable[[Claimed], Outcome],
    report: Callable[[Finished], None],
    ring: Callable[[], None] = lambda: None,
) -> ThreadExecutor:
    return ThreadExecutor(
        threads,
        lambda job, slot: run(job),
        lambda: 17,
        timekeeper=Timekeeper(),
        on_stuck=lambda job, standing: None,
        slots=MemorySlots({}),
        report=report,
        ring=ring,
    )


class TestThreads:
    def test_each_job_is_reported_once_with_its_start_and_its_time(self) -> None:
        reports: list[Finished] = []
        executor = a_thread_executor(3, lambda job: DONE, reports.append)

        executor.submit(jobs(50))
        wait_for(lambda: len(reports) == 50)

        assert names_of(reports) == names_of([Finished(job, DONE, 17, 0.0) for job in jobs(50)])
        assert {one.started_at for one in reports} == {17}
        assert all(0 <= one.seconds < DEADLINE for one in reports)
        wait_for(lambda: executor.load() == 0, "the last one counts no more")
        executor.close()

    def test_no_more_run_at_once_than_there_are_threads_and_the_others_wait(self) -> None:
        gate, reports = Gate(), list[Finished]()

        def run(job: Claimed) -> Outcome:
            gate.pass_through(job.job_id)
            return DONE

        executor = a_thread_executor(2, run, reports.append)
        executor.submit(jobs(5))
        gate.wait_for(2)

        assert sorted(gate.inside) == ["job-0", "job-1"]
        assert executor.load() == 5
        gate.open()
        wait_for(lambda: len(reports) == 5)
        executor.close()

    def test_nobody_is_rung_while_jobs_wait_for_the_thread(self) -> None:
        gate, waiting = Gate(), list[int]()

        def run(job: Claimed) -> Outcome:
            gate.pass_through()
            return DONE

        executor = a_thread_executor(1, run, lambda _: None, lambda: waiting.append(executor.load()))
        executor.submit(jobs(5))
        gate.open()
        wait_for(lambda: executor.load() == 0)
        executor.close()

        wait_for(lambda: waiting)
        assert waiting == [0]

    def test_what_has_not_started_can_be_withdrawn_and_is_not_reported(self) -> None:
        gate, reports = Gate(), list[Finished]()

        def run(job: Claimed) -> Outcome:
            gate.pass_through(job.job_id)
            return DONE

        executor = a_thread_executor(1, run, reports.append)
        executor.submit(jobs(4))
        gate.wait_for(1)

        withdrawn = executor.withdraw()

        assert [job.job_id for job in withdrawn] == ["job-1", "job-2", "job-3"]
        assert executor.load() == 1
        gate.open()
        wait_for(lambda: executor.load() == 0)
        assert names_of(reports) == ["job-0"]
        executor.close()

    def test_closing_lets_the_threads_go_each_with_its_job(self) -> None:
        gate, before = Gate(), set(threading.enumerate())

        def run(job: Claimed) -> Outcome:
            gate.pass_through()
            return DONE

        executor = a_thread_executor(3, run, [].append)
        executor.submit(jobs(1))
        gate.wait_for(1)
        executor.close()

        wait_for(lambda: len(set(threading.enumerate()) - before) == 1, "the idle threads have gone")
        gate.open()
        wait_for(lambda: not set(threading.enumerate()) - before, "the last thread has gone")


class Loads:
    """What an executor says of its load while it reports a job, and when it rings."""

    def __init__(self) -> None:
        self.executor: ThreadExecutor | LoopExecutor | None = None
        self.at_report: list[int] = []
        self.at_ring: list[int] = []

    def report(self, finished: Finished) -> None:
        assert self.executor is not None
        self.at_report.append(self.executor.load())

    def ring(self) -> None:
        assert self.executor is not None
        self.at_ring.append(self.executor.load())


def test_a_job_counts_until_it_is_reported_and_its_slot_is_free_when_it_rings() -> None:
    async def run_async(job: Claimed, hold: Hold) -> Outcome:
        return DONE

    of_threads, of_loop = Loads(), Loads()
    of_threads.executor = a_thread_executor(1, lambda job: DONE, of_threads.report, of_threads.ring)
    of_loop.executor = LoopExecutor(
        1,
        run_async,
        lambda: 0,
        slots=MemorySlots({}),
        first_slot=0,
        report=of_loop.report,
        ring=of_loop.ring,
    )

    for loads in (of_threads, of_loop):
        assert loads.executor is not None
        loads.executor.submit(jobs(1))
        wait_for(lambda loads=loads: loads.at_ring)
        loads.executor.close()
        assert (loads.at_report, loads.at_ring) == ([1], [0])


class Loop:
    """A loop executor whose jobs are given by a function."""

    def __init__(self, body: Callable[[Claimed], Any], coroutines: int = 1000) -> None:
        self.reports: list[Finished] = []
        self._body = body
        self.noted: dict[int, tuple[int, int]] = {}
        self.executor = LoopExecutor(
            coroutines,
            self._run,
            lambda: 17,
            slots=MemorySlots(self.noted),
            first_slot=4,
            report=self.reports.append,
            ring=lambda: None,
        )

    async def _run(self, job: Claimed, hold: Hold) -> Outcome:
        try:
            await self._body(job)
        except asyncio.CancelledError:
            if hold.done == "release":
                return Released()
            raise
        return DONE


class TestLoop:
    def test_a_thousand_coroutines_are_in_progress_at_once(self) -> None:
        inside = []
        everybody = asyncio.Event()

        async def body(job: Claimed) -> None:
            inside.append(job.job_id)
            if len(inside) == 1000:
                everybody.set()
            await everybody.wait()

        loop = Loop(body)
        loop.executor.submit(jobs(1000))

        wait_for(lambda: len(loop.reports) == 1000)
        wait_for(lambda: loop.executor.load() == 0, "the last one counts no more")
        loop.executor.close()

    def test_interrupting_gives_back_what_runs(self) -> None:
        started = []

        async def body(job: Claimed) -> None:
            started.append(job)
            await asyncio.Event().wait()

        loop = Loop(body)
        loop.executor.submit(jobs(3))
        wait_for(lambda: len(started) == 3)
        loop.executor.interrupt()

        wait_for(lambda: loop.executor.load() == 0)
        assert [one.outcome for one in loop.reports] == [Released()] * 3
        loop.executor.close()

    def test_a_job_that_is_interrupted_before_its_first_step_is_reported_too(self) -> None:
        async def body(job: Claimed) -> None:
            await asyncio.Event().wait()

        for _ in range(20):
            loop = Loop(body)
            loop.executor.submit(jobs(5))
            loop.executor.interrupt()

            wait_for(lambda loop=loop: loop.executor.load() == 0, "all are reported")
            assert len(loop.reports) == 5
            loop.executor.close()

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
    def test_a_task_that_a_job_started_besides_cannot_end_the_loop(
        self, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def hostile() -> None:
            raise error

        async def body(job: Claimed) -> None:
            if job.ref == 0:
                await asyncio.wait([asyncio.get_running_loop().create_task(hostile())])

        loop = Loop(body)
        loop.executor.submit(jobs(1))
        wait_for(lambda: len(loop.reports) == 1)
        loop.executor.submit(jobs(1, first=1))

        wait_for(lambda: len(loop.reports) == 2)
        assert "ended the event loop; it goes on" in caplog.text
        loop.executor.close()

    def test_a_coroutine_that_cancels_its_own_task_and_returns_is_reported_once(self) -> None:
        async def body(job: Claimed) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

        loop = Loop(body)
        loop.executor.submit(jobs(2))

        wait_for(lambda: loop.executor.load() == 0)
        assert [one.outcome for one in loop.reports] == [DONE, DONE]
        loop.executor.close()

    def test_closing_ends_what_the_jobs_left_behind(self, caplog: pytest.LogCaptureFixture) -> None:
        ended, kept = [], []

        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        async def body(job: Claimed) -> None:
            kept.append(asyncio.get_running_loop().create_task(forever()))
            await asyncio.sleep(0)

        loop = Loop(body)
        loop.executor.submit(jobs(1))
        wait_for(lambda: len(loop.reports) == 1)
        caplog.set_level(logging.ERROR)
        loop.executor.close()

        wait_for(lambda: not loop.executor._thread.is_alive(), "the thread has gone")
        assert ended == [True]
        assert not caplog.records

    def test_closing_does_not_wait_for_who_will_not_end(self) -> None:
        gate = Gate()

        async def body(job: Claimed) -> None:
            gate.pass_through()  # blocks the whole loop

        loop = Loop(body)
        loop.executor.submit(jobs(1))
        gate.wait_for(1)
        loop.executor.close()

        assert loop.executor._thread.is_alive()
        gate.open()
        wait_for(lambda: not loop.executor._thread.is_alive())
