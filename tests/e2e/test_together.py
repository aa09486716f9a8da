"""A program and its workers in one process: what users do with them, over each store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from taskmill import Cancel, Context, Event, Mill, Retry, Snooze
from taskmill._core.job import State
from taskmill._worker.ticks import cancel
from taskmill.errors import (
    JobCancelled,
    JobExpired,
    JobFailed,
    JobReleased,
    ResultNotKept,
    ResultTimeout,
    WouldDeadlock,
)
from tests.worker.builders import DEADLINE, Gate, wait_for


class TestRunning:
    def test_functions_and_coroutines_run_side_by_side(self, mill: Mill) -> None:
        meet = threading.Barrier(2)

        @mill.task
        def plain() -> str:
            meet.wait(DEADLINE)
            return "plain"

        @mill.task
        async def coroutine() -> str:
            await asyncio.to_thread(meet.wait, DEADLINE)
            return "coroutine"

        results = [plain.enqueue(), coroutine.enqueue()]
        with mill.worker(threads=1):
            assert [result.get(timeout=DEADLINE) for result in results] == ["plain", "coroutine"]

    def test_many_jobs_each_run_once_and_all_results_arrive(self, mill: Mill) -> None:
        runs: list[int] = []

        @mill.task
        def double(number: int) -> int:
            runs.append(number)
            return 2 * number

        results = double.map(range(2_000))
        with mill.worker(threads=4), mill.worker(threads=4):
            values = [result.get(timeout=DEADLINE) for result in results]

        assert values == [2 * number for number in range(2_000)]
        assert sorted(runs) == list(range(2_000))

    def test_jobs_that_are_enqueued_while_it_runs_start_at_once(self, mill: Mill) -> None:
        add = mill.task(name="add")(lambda a, b: a + b)
        with mill.worker():
            for number in range(50):
                assert add.enqueue(number, 1).get(timeout=DEADLINE) == number + 1

    def test_priorities_count_across_queues_and_executors_are_fed_apart(self, mill: Mill) -> None:
        order = []

        @mill.task
        def note(what: int) -> None:
            order.append(what)

        for priority in (1, 5, 3, 4, 2):
            note.using(priority=priority, queue=f"q{priority % 2}").enqueue(priority)
        note.using(priority=100, queue="not served").enqueue(100)
        with mill.worker(threads=1, queues=["q0", "q1"], burst=True):
            pass

        assert order == [5, 4, 3, 2, 1]

    def test_a_delayed_job_is_never_early(self, mill: Mill) -> None:
        starts: dict[int, datetime] = {}

        @mill.task
        def note(number: int) -> None:
            starts[number] = datetime.now(UTC)

        with mill.worker():
            now = datetime.now(UTC)
            due = {number: now + timedelta(milliseconds=13 * number) for number in range(20)}
            results = [note.using(run_at=due[number]).enqueue(number) for number in due]
            for result in results:
                result.get(timeout=DEADLINE)

        assert all(starts[number] >= due[number] for number in due)

    def test_two_workers_in_one_process_share_the_work(self, mill: Mill) -> None:
        meet = threading.Barrier(2)

        @mill.task
        def meets() -> None:
            meet.wait(DEADLINE)  # would break if one worker had both

        results = [meets.enqueue() for _ in range(2)]
        with mill.worker(threads=1), mill.worker(threads=1):
            for result in results:
                result.get(timeout=DEADLINE)

    def test_a_burst_runs_all_that_is_due_and_what_follows_from_it(self, mill: Mill) -> None:
        @mill.task
        async def tree(depth: int) -> None:
            if depth:
                for _ in range(2):
                    await tree.aenqueue(depth - 1)

        tree.enqueue(4)
        mill.worker(burst=True).run()

        states = [job.state for job in mill.app.storage.inspection.find(limit=1_000)]
        assert states == [State.SUCCEEDED] * 31

    def test_a_burst_without_work_ends_at_once(self, mill: Mill) -> None:
        worker = mill.worker(burst=True)
        worker.start()

        assert worker.wait(timeout=DEADLINE)
        worker.stop()


class TestResults:
    def test_a_waiting_thread_is_woken_when_the_job_ends(self, mill: Mill) -> None:
        gate, woken = Gate(), []

        @mill.task
        def waits() -> int:
            gate.pass_through()
            return 5

        result = waits.enqueue()
        waiter = threading.Thread(target=lambda: woken.append(result.get(timeout=DEADLINE)))
        with mill.worker():
            gate.wait_for(1)
            waiter.start()
            gate.open()
            waiter.join(DEADLINE)

        assert woken == [5]

    def test_none_is_a_value_and_reading_does_not_consume(self, mill: Mill) -> None:
        result = mill.task(name="nothing")(lambda: None).enqueue()
        with mill.worker(burst=True):
            pass

        assert [mill.result(result.id).get(timeout=0) for _ in range(3)] == [None] * 3

    def test_results_can_be_awaited_together(self, mill: Mill) -> None:
        @mill.task
        async def double(number: int) -> int:
            await asyncio.sleep(0.001)
            return 2 * number

        async def main() -> list[int]:
            results = [await double.aenqueue(number) for number in range(50)]
            return list(await asyncio.gather(*results))

        with mill.worker():
            assert asyncio.run(main()) == [2 * number for number in range(50)]

    def test_an_awaited_failure_is_raised_and_an_awaited_timeout_too(self, mill: Mill) -> None:
        gate = Gate()

        @mill.task
        def fails() -> NoReturn:
            raise ValueError("boom")

        @mill.task
        def waits() -> None:
            gate.pass_through()

        async def main() -> None:
            with pytest.raises(JobFailed, match="boom"):
                await (await fails.aenqueue())
            with pytest.raises(ResultTimeout):
                await (await waits.aenqueue()).aget(timeout=0.05)

        with mill.worker():
            asyncio.run(main())
            gate.open()

    def test_get_inside_a_task_is_refused_before_it_deadlocks(self, mill: Mill) -> None:
        inner = mill.task(name="inner")(lambda: 5)
        not_yet = inner.using(delay=60)

        @mill.task
        def plain() -> None:
            not_yet.enqueue().get()

        @mill.task
        async def coroutine() -> None:
            await (await not_yet.aenqueue())

        @mill.task
        def asked_for() -> int:
            return int(inner.enqueue().get(timeout=DEADLINE, inside_task=True))

        with mill.worker(threads=2):
            for task in (plain, coroutine):
                with pytest.raises(JobFailed) as failed:
                    task.enqueue().get(timeout=DEADLINE)
                assert failed.value.error_type == f"{WouldDeadlock.__module__}.{WouldDeadlock.__qualname__}"
            assert asked_for.enqueue().get(timeout=DEADLINE) == 5

    def test_a_result_that_is_not_to_be_kept_is_not_kept(self, mill: Mill) -> None:
        result = mill.task(name="gone", result_ttl=0)(lambda: 5).enqueue()
        with mill.worker(), pytest.raises(ResultNotKept):
            result.get(timeout=DEADLINE)

        assert mill.app.storage.inspection.find() == []

    def test_a_failure_is_kept_nevertheless(self, mill: Mill) -> None:
        @mill.task(result_ttl=0)
        def fails() -> NoReturn:
            raise ValueError("boom")

        result = fails.enqueue()
        with mill.worker(), pytest.raises(JobFailed):
            result.get(timeout=DEADLINE)

        assert result.job().state is State.FAILED

    def test_a_job_that_is_not_started_in_time_expires(self, mill: Mill) -> None:
        runs = []
        task = mill.task(name="task")(lambda: runs.append(True))
        result = task.using(expires=0.02, delay=0.05).enqueue()
        with mill.worker(), pytest.raises(JobExpired):
            result.get(timeout=DEADLINE)

        assert runs == []

    def test_a_job_expires_while_no_worker_has_a_free_thread(self, mill: Mill) -> None:
        gate = Gate()

        @mill.task
        def waits() -> None:
            gate.pass_through()

        waits.enqueue()
        with mill.worker(threads=1):
            gate.wait_for(1)
            result = waits.using(expires=0.02).enqueue()
            with pytest.raises(JobExpired):
                result.get(timeout=DEADLINE)
            gate.open()

    def test_of_calls_with_one_key_one_is_stored(self, mill: Mill) -> None:
        runs = []
        task = mill.task(name="task")(runs.append)
        results = [task.using(key="2026-01-31").enqueue(number) for number in range(3)]
        with mill.worker(burst=True):
            pass
        late = task.using(key="2026-01-31").enqueue(3)

        assert len({result.id for result in [*results, late]}) == 1
        assert runs == [0]


class TestSteering:
    def test_a_running_job_that_is_cancelled_is_told_and_not_retried(
        self, mill: Mill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # It is to ask before the worker stops it.
        monkeypatch.setattr(cancel.Cancel, "tick", lambda _: DEADLINE)
        gate = Gate()

        @mill.task(retries=5, retry_delay=0)
        def works(context: Context) -> NoReturn:
            gate.pass_through()
            raise ValueError(f"asked to stop: {context.cancel_requested}")

        result = works.enqueue()
        with mill.worker():
            gate.wait_for(1)
            assert result.cancel()
            gate.open()
            with pytest.raises(JobCancelled, match="revoked"):
                result.get(timeout=DEADLINE)

        [attempt] = result.job().attempts
        assert attempt.error is not None
        assert attempt.error.message == "asked to stop: True"

    def test_a_running_job_that_is_cancelled_and_succeeds_has_succeeded(
        self, mill: Mill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # It is to succeed before the worker stops it.
        monkeypatch.setattr(cancel.Cancel, "tick", lambda _: DEADLINE)
        gate = Gate()

        @mill.task
        def works() -> int:
            gate.pass_through()
            return 5

        result = works.enqueue()
        with mill.worker():
            gate.wait_for(1)
            assert result.cancel()
            gate.open()
            assert result.get(timeout=DEADLINE) == 5

    @pytest.mark.parametrize("is_coroutine", [False, True])
    def test_a_task_steers_its_own_job(self, mill: Mill, is_coroutine: bool) -> None:
        def steer(context: Context, how: str) -> str:
            if how == "cancel":
                raise Cancel("no such user")
            if how == "snooze" and context.fence < 3:
                raise Snooze(0.01)
            if how == "retry" and context.attempt < 3:
                raise Retry(delay=0.01)
            return f"{context.attempt} of {context.max_attempts}, claim {context.fence}"

        async def steer_async(context: Context, how: str) -> str:
            await asyncio.sleep(0)
            return steer(context, how)

        task: Any = mill.task(name="steer", retries=2)(steer_async if is_coroutine else steer)
        with mill.worker():
            with pytest.raises(JobCancelled, match="no such user"):
                task.enqueue("cancel").get(timeout=DEADLINE)
            assert task.enqueue("snooze").get(timeout=DEADLINE) == "1 of 3, claim 3"
            assert task.enqueue("retry").get(timeout=DEADLINE) == "3 of 3, claim 3"

    def test_a_coroutine_is_ended_at_its_timeout_and_retried(self, mill: Mill) -> None:
        @mill.task(timeout=0.05, retries=1, retry_delay=0)
        async def hangs() -> None:
            await asyncio.Event().wait()

        with mill.worker(), pytest.raises(JobFailed, match="timeout") as failed:
            hangs.enqueue().get(timeout=DEADLINE)

        assert mill.result(failed.value.job_id).job().attempt == 2

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
    @pytest.mark.parametrize("is_coroutine", [False, True])
    def test_nothing_that_a_task_raises_ends_the_worker(
        self, mill: Mill, error: BaseException, is_coroutine: bool
    ) -> None:
        def fails() -> NoReturn:
            raise error

        async def fails_async() -> NoReturn:
            raise error

        task: Any = mill.task(name="fails")(fails_async if is_coroutine else fails)
        add = mill.task(name="add")(lambda a, b: a + b)
        with mill.worker(threads=1):
            for _ in range(3):
                with pytest.raises(JobFailed, match=type(error).__name__):
                    task.enqueue().get(timeout=DEADLINE)
            assert add.enqueue(2, 3).get(timeout=DEADLINE) == 5


class TestStopping:
    def test_what_runs_may_finish_and_what_waits_is_kept(self, mill: Mill) -> None:
        gate = Gate()

        @mill.task
        def waits() -> str:
            gate.pass_through()
            return "finished"

        results = [waits.enqueue() for _ in range(5)]
        with mill.worker(threads=2) as worker:
            gate.wait_for(2)
            worker.ask_to_stop()
            gate.open()

        assert [result.state for result in results] == [State.SUCCEEDED] * 2 + [State.QUEUED] * 3
        assert [result.job().attempt for result in results] == [1, 1, 0, 0, 0]

    def test_past_the_grace_jobs_are_given_back_and_what_they_come_to_changes_nothing(
        self, mill: Mill
    ) -> None:
        gate, events, lost = Gate(), list[Event](), list[bool]()
        mill.on("released", "succeeded")(events.append)

        @mill.task
        def plain(context: Context) -> str:
            # It stands in C, so that what it is told comes late, and it will not hear of it.
            with suppress(JobReleased):
                gate.pass_through()
            lost.append(context.lost)
            return "late"

        @mill.task
        async def coroutine() -> None:
            gate.inside.append("coroutine")
            await asyncio.Event().wait()

        results = [plain.enqueue(), coroutine.enqueue()]
        with mill.worker(grace=0.05):
            gate.wait_for(2)
        given_back = [result.job() for result in results]
        gate.open()
        wait_for(lambda: lost)

        assert [(job.state, job.attempt) for job in given_back] == [(State.QUEUED, 0)] * 2
        assert lost == [True]
        assert [result.job() for result in results] == given_back
        assert [event.kind for event in events] == ["released", "released"]

    def test_what_was_given_back_runs_again_at_once_elsewhere(self, mill: Mill) -> None:
        gate = Gate()

        @mill.task
        def works(context: Context) -> int:
            if context.fence == 1:
                gate.pass_through()
            return context.attempt

        result = works.enqueue()
        with mill.worker(grace=0):
            gate.wait_for(1)
        with mill.worker():
            assert result.get(timeout=DEADLINE) == 1
        gate.open()

    def test_ctrl_c_in_the_block_stops_it_cleanly(self, sqlite_mill: Mill) -> None:
        mill, finished = sqlite_mill, []

        @mill.task
        def works() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            finished.append(True)

        works.enqueue()
        with pytest.raises(KeyboardInterrupt), mill.worker():  # noqa: PT012
            for _ in range(2_000):
                time.sleep(0.01)

        assert finished == [True]
        assert mill.app.storage.inspection.sessions() == []
        [job] = mill.app.storage.inspection.find()
        assert job.state is State.SUCCEEDED

    def test_a_worker_that_is_run_takes_the_signals_and_gives_them_back(self, sqlite_mill: Mill) -> None:
        mill = sqlite_mill
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        @mill.task
        def works() -> str:
            os.kill(os.getpid(), signal.SIGTERM)
            return "finished"

        result = works.enqueue()
        mill.worker().run()

        assert result.get(timeout=0) == "finished"
        assert {number: signal.getsignal(number) for number in before} == before

    def test_off_the_main_thread_no_signal_is_touched(self, mill: Mill) -> None:
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        during: list[Any] = []
        worker = mill.worker()
        thread = threading.Thread(target=worker.run)

        @mill.task
        def looks() -> None:
            during.append({number: signal.getsignal(number) for number in before})
            worker.ask_to_stop()

        looks.enqueue()
        thread.start()
        thread.join(DEADLINE)

        assert not thread.is_alive()
        assert during == [before]

    def test_in_a_block_no_signal_is_touched(self, mill: Mill) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with mill.worker():
            assert signal.getsignal(signal.SIGTERM) is before


def run_script(folder: Path, text: str, *, timeout: float = 60) -> str:
    """The output of a program in a process of its own."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestOtherPrograms:
    def test_a_program_whose_worker_has_stopped_a_job_can_be_traced(self, tmp_path: Path) -> None:
        printed = run_script(
            tmp_path,
            """
            import sys, time
            from taskmill import Mill
            from taskmill.errors import JobFailed

            mill = Mill("memory://")

            @mill.task(soft_timeout=0.01)
            def spins():
                while True:
                    time.sleep(0)

            with mill.worker(threads=1):
                try:
                    spins.enqueue().get(timeout=30)
                except JobFailed as failed:
                    print(failed.reason)
            # As debuggers do, and coverage.
            sys.settrace(lambda *seen: None)
            print("".join(str(number) for number in range(3)))
            """,
            timeout=45,
        )

        assert printed.split() == ["timeout", "012"]

    def test_events_and_results_can_be_read_by_another_process(
        self, sqlite_mill: Mill, tmp_path: Path
    ) -> None:
        mill = sqlite_mill

        @mill.task(name="add")
        def add(a: int, b: int) -> int:
            return a + b

        result = add.enqueue(2, 3)
        with mill.worker(burst=True):
            pass

        output = run_script(
            tmp_path,
            f"""
            from taskmill import Mill
            mill = Mill("sqlite:///jobs.db")
            print([(event.kind, event.task, event.args) for event in mill.events()])
            print(mill.result("{result.id}").get(timeout=0))
            """,
        )

        kinds = [(kind, "add", (2, 3)) for kind in ("enqueued", "started", "succeeded")]
        assert output == f"{kinds}\n5\n"

    def test_a_cell_of_a_notebook_awaits_a_result_while_the_loop_runs(self, tmp_path: Path) -> None:
        # What IPython does: a loop runs in the main thread, and a cell with an await becomes a coroutine.
        output = run_script(
            tmp_path,
            """
            import ast, asyncio

            CELLS = [
                "from taskmill import Mill",
                "mill = Mill('sqlite:///jobs.db')",
                "@mill.task\\ndef add(a, b):\\n    return a + b",
                "@mill.task\\nasync def double(n):\\n    return 2 * n",
                "worker = mill.worker(threads=4)\\nworker.start()",
                "print(await add.enqueue(2, 3), await (await double.aenqueue(4)))",
                "print(add.enqueue(1, 1).get(timeout=45))",
                "@mill.task\\ndef add(a, b):\\n    return a + b + 1000",
                "print(await add.enqueue(2, 3))",
                "worker.stop()",
                "print([event.kind for event in mill.events(3)])",
            ]

            async def main():
                scope = {"__name__": "__main__"}
                for cell in CELLS:
                    code = compile(cell, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                    found = eval(code, scope)
                    if asyncio.iscoroutine(found):
                        await found

            asyncio.run(main())
            """,
        )

        assert output == "5 8\n2\n1005\n['enqueued', 'started', 'succeeded']\n"

    def test_a_program_that_ends_without_stopping_its_worker_ends_in_order(self, tmp_path: Path) -> None:
        output = run_script(
            tmp_path,
            """
            import threading
            from taskmill import Mill

            mill = Mill("sqlite:///jobs.db")
            started = threading.Event()

            @mill.on_stop
            def stopped():
                print("stopped", result.state)

            @mill.task
            def works():
                started.set()
                threading.Event().wait(0.1)

            result = works.enqueue()
            mill.worker().start()
            started.wait()
            print("the end of the program")
            """,
        )

        assert output == "the end of the program\nstopped succeeded\n"
