"""Jobs in threads are stopped from outside: exactly those, once, and never what comes after them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskmill import CancelRequested, Mill, SoftTimeout
from taskmill._app.context import Tenure
from taskmill._core.job import Claimed, Reason, State
from taskmill._core.lifecycle import Settlement
from taskmill._core.limit import OBSTINATE
from taskmill._core.outcome import Raised, Revoked, Succeeded, TimedOut
from taskmill._storage.memory.sessions import MemorySlots
from taskmill._worker.attempt import Attempts
from taskmill._worker.executors.base import Finished
from taskmill._worker.executors.thread import ThreadExecutor
from taskmill._worker.options import WorkerOptions
from taskmill._worker.place import Place
from taskmill._worker.slot import JobKey, Timekeeper
from taskmill._worker.worker import Worker
from taskmill.errors import HardTimeout
from tests.worker.builders import DEADLINE, Gate, a_gated_task, claim, wait_for

ENOUGH = 0.3
"""The time limit, in seconds, of a job that is to get somewhere before it, however busy the machine is."""


class Threads:
    """A thread executor over the tasks of a Mill, with what it reports."""

    def __init__(self, mill: Mill, threads: int = 1) -> None:
        self.mill = mill
        self.reports: list[Finished] = []
        self.stuck: list[tuple[Claimed, str]] = []
        self.timekeeper = Timekeeper()
        self.executor = ThreadExecutor(
            threads,
            Attempts(mill.app, Tenure(1)).run,
            lambda: 17,
            timekeeper=self.timekeeper,
            on_stuck=lambda *stuck: self.stuck.append(stuck),
            slots=MemorySlots({}),
            report=self.reports.append,
            ring=lambda: None,
        )

    def submit_all(self, want: int = 100) -> list[Claimed]:
        """Claim what is due and hand it over."""
        jobs = claim(self.mill, thread=want)
        self.executor.submit(jobs)
        return jobs

    def outcome(self) -> Any:
        """That of the next job which ends."""
        before = len(self.reports)
        self.submit_all()
        wait_for(lambda: len(self.reports) > before, "a job has ended")
        return self.reports[-1].outcome


@pytest.fixture
def threads(mill: Mill) -> Iterator[Callable[..., Threads]]:
    made: list[Threads] = []

    def make(threads: int = 1, of: Mill = mill) -> Threads:
        made.append(Threads(of, threads))
        return made[-1]

    yield make
    for each in made:
        each.timekeeper.close()
        each.executor.close()


class Obstinate(Gate):
    """One whose waiters are not to be moved, as in a call in C."""

    def pass_through_whatever_comes(self) -> None:
        self.inside.append(None)
        while not self._open.is_set():
            with contextlib.suppress(HardTimeout):
                self._open.wait()  # a call in C, which an exception finds when it returns


def wait_in_steps() -> None:
    """As Python code does: an exception from outside finds it between two steps."""
    while True:
        time.sleep(0.001)


def hash_in_c() -> None:
    """One call that lets other threads run, and notices nothing before it returns; some tenths of a second."""
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 200_000)


def multiply_in_c() -> None:
    """One call that lets nobody else run; some tenths of a second."""
    pow(3, 2_000_000) * pow(7, 2_000_000)


def a_slow_module(folder: Path, name: str) -> Path:
    """Its import takes longer than what may be obstinate, as imports can."""
    module = f"import time\nend = time.monotonic() + {1.5 * OBSTINATE}\n"
    (folder / f"{name}.py").write_text(module + "while time.monotonic() < end: time.sleep(0.001)")
    return folder


class TestLimits:
    def test_at_the_soft_limit_it_is_told(self, mill: Mill, threads: Callable[..., Threads]) -> None:
        @mill.task(soft_timeout=0.02)
        def waits() -> None:
            wait_in_steps()

        waits.enqueue()
        outcome = threads().outcome()

        assert isinstance(outcome, TimedOut)
        assert (outcome.error.type, outcome.error.message) == (
            "TimeoutError",
            "ran longer than its soft_timeout of 0.02 s",
        )
        assert "in wait_in_steps" in outcome.error.traceback
        assert outcome.error.traceback.endswith("taskmill.errors.SoftTimeout\n")

    def test_it_may_catch_that_and_return_what_it_has(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        @mill.task(soft_timeout=ENOUGH, timeout=60)
        def saves() -> str:
            try:
                wait_in_steps()
            except SoftTimeout:
                return "so far"
            return "never"

        saves.enqueue()

        assert threads().outcome() == Succeeded('"so far"')

    def test_an_error_in_its_place_is_the_task_s_own(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        @mill.task(soft_timeout=ENOUGH)
        def fails() -> None:
            try:
                wait_in_steps()
            except SoftTimeout:
                raise LookupError("not found in time") from None

        fails.enqueue()
        outcome = threads().outcome()

        assert isinstance(outcome, Raised)
        assert outcome.error.type == "LookupError"

    def test_except_exception_does_not_hold_it_up(self, mill: Mill, threads: Callable[..., Threads]) -> None:
        @mill.task(soft_timeout=0.02)
        def shrugs() -> None:
            while True:
                with contextlib.suppress(Exception):
                    time.sleep(0.001)

        shrugs.enqueue()

        assert isinstance(threads().outcome(), TimedOut)

    def test_the_hard_limit_comes_after_the_soft_one(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        seen = []

        @mill.task(soft_timeout=ENOUGH, timeout=2 * ENOUGH)
        def goes_on() -> None:
            try:
                wait_in_steps()
            except SoftTimeout:
                seen.append("soft")
            try:
                wait_in_steps()
            except HardTimeout:
                seen.append("hard")
                raise

        goes_on.enqueue()
        outcome = threads().outcome()

        assert seen == ["soft", "hard"]
        assert outcome.error.message == f"ran longer than its timeout of {2 * ENOUGH:g} s"

    def test_one_that_is_always_in_the_store_is_told_before_it_enters_it_again(
        self, threads: Callable[..., Threads], tmp_path: Path
    ) -> None:
        mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
        later = mill.task(name="later")(lambda: None)

        @mill.task(soft_timeout=0.05)
        def enqueues() -> None:
            while True:
                later.using(delay=3600).enqueue()

        enqueues.enqueue()

        assert isinstance(threads(of=mill).outcome(), TimedOut)
        mill.close()

    def test_a_long_import_is_left_with_the_exception_when_it_is_over(
        self,
        mill: Mill,
        threads: Callable[..., Threads],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.syspath_prepend(a_slow_module(tmp_path, "imported_slowly"))

        @mill.task(soft_timeout=0.02)
        def imports() -> None:
            importlib.import_module("imported_slowly")
            wait_in_steps()

        imports.enqueue()

        assert isinstance(threads().outcome(), TimedOut)
        assert "imported_slowly" in sys.modules

    @pytest.mark.parametrize("work", [hash_in_c, multiply_in_c])
    def test_code_in_c_is_left_with_the_exception_when_it_returns(
        self, mill: Mill, threads: Callable[..., Threads], work: Callable[[], None]
    ) -> None:
        @mill.task(timeout=0.02)
        def computes() -> str:
            work()
            return "never"

        computes.enqueue()
        pool = threads()

        assert isinstance(pool.outcome(), TimedOut)
        # What gets in the way of noticing it is not held against the job.
        assert pool.stuck == []

    def test_a_job_that_ends_in_time_leaves_nothing_for_the_next_one(
        self, mill: Mill, threads: Callable[..., Threads], caplog: pytest.LogCaptureFixture
    ) -> None:
        quick = mill.task(name="quick", soft_timeout=ENOUGH)(lambda number: number)
        slow = mill.task(name="slow")(lambda: time.sleep(1.2 * ENOUGH))
        for number in range(20):
            quick.enqueue(number)
        slow.enqueue()
        pool = threads()
        pool.submit_all()

        wait_for(lambda: len(pool.reports) == 21)
        assert {type(one.outcome) for one in pool.reports} == {Succeeded}


class TestObstinate:
    """Threads that go on past their timeout."""

    def test_one_is_reported_as_stuck_and_keeps_its_slot(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        gate = Obstinate()

        @mill.task(timeout=0.2)
        def never_stops() -> None:
            gate.pass_through_whatever_comes()

        never_stops.enqueue()
        pool = threads()
        [job] = pool.submit_all()

        wait_for(lambda: pool.stuck)
        [(stuck, standing)] = pool.stuck
        assert (stuck, pool.executor.load()) == (job, 1)
        [_, where, *_] = standing.splitlines()
        assert where.endswith("in never_stops")
        gate.open()
        wait_for(lambda: pool.reports)

    def test_one_that_cannot_be_told_is_stuck_too_and_told_as_soon_as_it_can_be(
        self,
        mill: Mill,
        threads: Callable[..., Threads],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.syspath_prepend(a_slow_module(tmp_path, "imported_for_ever"))

        @mill.task(timeout=0.02)
        def imports() -> None:
            importlib.import_module("imported_for_ever")
            wait_in_steps()

        imports.enqueue()
        pool = threads()

        assert isinstance(pool.outcome(), TimedOut)
        assert len(pool.stuck) == 1

    def test_a_worker_that_nobody_can_replace_says_so_and_goes_on(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate = Obstinate()

        @mill.task(timeout=0.2, lock="serial")
        def blocks() -> str:
            gate.pass_through_whatever_comes()
            return "late"

        other = mill.task(name="other")(lambda: "done")
        result = blocks.enqueue()
        with mill.worker(threads=2):
            wait_for(lambda: "goes on past its timeout" in caplog.text)
            assert other.enqueue().get(timeout=DEADLINE) == "done"
            assert [lock.name for lock in mill.app.storage.limits.list()] == ["serial"]
            gate.open()
            # What it comes to in the end counts.
            assert result.get(timeout=DEADLINE) == "late"

    def test_one_that_can_be_replaced_asks_for_it_and_leaves_the_job_to_its_successor(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate, neighbour_gate, asked = Obstinate(), Gate(), list[Settlement | None]()

        @mill.task(timeout=0.2, lock="serial", retries=1)
        def blocks() -> None:
            gate.pass_through_whatever_comes()

        neighbour = a_gated_task(mill, neighbour_gate, "neighbour")
        result, beside, behind = blocks.enqueue(), neighbour.enqueue(), neighbour.using(delay=0.5).enqueue()
        place = Place(replace=lambda _, settlement: asked.append(settlement))
        worker = Worker(mill.app, WorkerOptions(threads=2), place)
        worker.start()
        wait_for(lambda: asked)
        neighbour_gate.open()

        assert worker.wait(DEADLINE)
        [settlement] = asked
        assert settlement is not None
        assert settlement.claimed.job_id == result.id
        assert (settlement.transition.event, settlement.transition.reason) == ("retrying", Reason.TIMEOUT)
        assert settlement.transition.error is not None
        assert "in pass_through_whatever_comes" in settlement.transition.error.traceback
        # It has timed out when the process is gone, and does not go back to the queue.
        assert "outlasts the grace" not in caplog.text
        # Held, with its lock, as long as the process lives.
        assert (result.state, beside.state, behind.state) == (State.RUNNING, State.SUCCEEDED, State.QUEUED)
        assert [lock.name for lock in mill.app.storage.limits.list()] == ["serial"]
        gate.open()

    def test_one_that_returns_after_all_does_not_cut_its_neighbour_short(self, mill: Mill) -> None:
        gate, neighbour_gate, asked = Obstinate(), Gate(), list[str]()

        @mill.task(timeout=0.2)
        def blocks() -> None:
            gate.pass_through_whatever_comes()

        result, beside = blocks.enqueue(), a_gated_task(mill, neighbour_gate, "neighbour").enqueue()
        place = Place(replace=lambda reason, _: asked.append(reason))
        worker = Worker(mill.app, WorkerOptions(threads=2), place)
        worker.start()
        wait_for(lambda: asked)
        gate.open()
        # By its result or by the exception that waited for it.
        wait_for(lambda: result.state is not State.RUNNING)
        has_ended = worker.wait(0.2)
        neighbour_gate.open()

        assert worker.wait(DEADLINE)
        assert not has_ended
        assert beside.state is State.SUCCEEDED


class TestCancelling:
    def test_a_running_job_is_cancelled_whatever_it_makes_of_it(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        gate = Gate()

        @mill.task
        def runs() -> None:
            gate.inside.append("runs")
            try:
                wait_in_steps()
            except CancelRequested:
                raise ValueError("on the way out") from None

        runs.enqueue()
        pool = threads()
        [job] = pool.submit_all()
        gate.wait_for(1)

        assert pool.executor.cancel(JobKey(job.job_id, job.fence))
        wait_for(lambda: pool.reports)
        assert pool.reports[0].outcome == Revoked()

    def test_one_in_a_long_import_is_cancelled_after_it(
        self,
        mill: Mill,
        threads: Callable[..., Threads],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.syspath_prepend(a_slow_module(tmp_path, "imported_in_vain"))

        @mill.task
        def imports() -> None:
            importlib.import_module("imported_in_vain")
            wait_in_steps()

        imports.enqueue()
        pool = threads()
        [job] = pool.submit_all()
        wait_for(lambda: "imported_in_vain" in sys.modules, "it is being imported")
        pool.executor.cancel(JobKey(job.job_id, job.fence))
        wait_for(lambda: pool.reports)

        assert pool.reports[0].outcome == Revoked()

    def test_another_claim_of_it_is_none_of_its_business(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        gate = Gate()
        a_gated_task(mill, gate).enqueue()
        pool = threads()
        [job] = pool.submit_all()
        gate.wait_for(1)

        assert not pool.executor.cancel(JobKey(job.job_id, job.fence + 1))
        gate.open()
        wait_for(lambda: pool.reports)
        assert isinstance(pool.reports[0].outcome, Succeeded)

    def test_one_that_waits_for_a_lock_is_found_there(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        entered = threading.Event()

        @mill.task
        def waits() -> None:
            entered.set()
            with mill.lock("busy"):
                pass

        waits.enqueue()
        pool = threads()
        with mill.lock("busy"):
            [job] = pool.submit_all()
            entered.wait(DEADLINE)
            pool.executor.cancel(JobKey(job.job_id, job.fence))
            wait_for(lambda: pool.reports)

        assert pool.reports[0].outcome == Revoked()
        assert mill.app.storage.limits.list() == []

    def test_what_other_threads_depend_on_is_not_interrupted(
        self, mill: Mill, threads: Callable[..., Threads]
    ) -> None:
        gate, order = Gate(), list[str]()

        class Slow(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                gate.inside.append(record)
                while not gate._open.is_set():
                    time.sleep(0.001)
                order.append("written")

        @mill.task(soft_timeout=ENOUGH)
        def logs() -> None:
            try:
                logger.warning("under way")
                wait_in_steps()
            except SoftTimeout:
                order.append("told")
                raise

        logger, handler = logging.getLogger("shop"), Slow()
        logger.addHandler(handler)
        logs.enqueue()
        pool = threads()
        pool.submit_all()
        gate.wait_for(1)
        slot = pool.executor._held[0]
        wait_for(lambda: slot._steps[0].at + 0.02 < time.monotonic(), "its limit is over")
        gate.open()

        wait_for(lambda: pool.reports)
        logger.removeHandler(handler)
        assert isinstance(pool.reports[0].outcome, TimedOut)
        assert order == ["written", "told"]


class TestStress:
    @pytest.fixture(autouse=True)
    def threads_take_turns_all_the_time(self) -> Iterator[None]:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)
        yield
        sys.setswitchinterval(interval)

    def test_each_of_thousands_of_jobs_has_one_outcome_and_none_gets_another_one_s(
        self, threads: Callable[..., Threads]
    ) -> None:
        mill, seed = Mill("memory://"), 20260131
        chance = random.Random(seed)

        def spins(number: int, seconds: float) -> int:
            deadline = time.perf_counter() + seconds
            while time.perf_counter() < deadline:
                sum(range(50))
            return number

        soft = mill.task(name="soft", soft_timeout=0.001)(spins)
        hard = mill.task(name="hard", timeout=0.001)(spins)
        both = mill.task(name="both", soft_timeout=0.0005, timeout=0.001)(spins)
        free = mill.task(name="free")(spins)
        count = 2_000
        mill.enqueue_many(
            chance.choice([soft, hard, both, free]).s(number, chance.uniform(0, 0.002))
            for number in range(count)
        )
        pool = threads(4, mill)
        jobs = pool.submit_all(count)

        cancelled = set()
        while (ended := len(pool.reports)) < count:
            # Of those that are about to run, or run.
            job = chance.choice(jobs[ended : ended + 8])
            if job.task == "both" and pool.executor.cancel(JobKey(job.job_id, job.fence)):
                cancelled.add(job.job_id)

        assert {one.claimed.job_id for one in pool.reports} == {job.job_id for job in jobs}
        assert len(pool.reports) == count
        for claimed, outcome, *_ in pool.reports:
            [[number, _], _] = mill.app.codec.decode_call(claimed.args)
            allowed: tuple[type, ...] = (Succeeded,) if claimed.task == "free" else (Succeeded, TimedOut)
            assert isinstance(outcome, (*allowed, Revoked) if claimed.job_id in cancelled else allowed), (
                outcome
            )
            if isinstance(outcome, Succeeded):
                assert outcome.result == str(number)
        kinds = Counter(type(one.outcome).__name__ for one in pool.reports)
        assert kinds["TimedOut"] > 100
        assert kinds["Revoked"] > 0
        assert pool.stuck == []
