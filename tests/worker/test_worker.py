"""The driver: start, stop, what is called around, and a session that was lost."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

import pytest

from taskmill import Context, Mill
from taskmill._app import steering
from taskmill._core.event import Event
from taskmill._core.job import State
from taskmill._core.waiting import Cause, causes
from taskmill._worker import worker as worker_module
from taskmill._worker.options import WorkerOptions
from taskmill._worker.place import Place
from taskmill._worker.worker import Worker
from taskmill.errors import ConfigurationError, JobReleased, StoreBusy, StoreUnavailable
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker as Holder
from tests.worker.builders import DEADLINE, Gate, a_gated_task, busy, wait_for, with_faults

FOR_EVER = 3_600.0
"""In seconds: whoever waits that long is ended by pytest."""


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    wait_for(lambda: not set(threading.enumerate()) - before, "all threads have gone")


class TestStarting:
    def test_handlers_are_called_around_the_worker(self, mill: Mill) -> None:
        order = []
        mill.on_start(lambda: order.append("start"))
        mill.on_start(lambda: order.append("start too"))
        mill.on_stop(lambda: order.append("stop"))

        @mill.task
        def task() -> None:
            order.append("job")

        result = task.enqueue()
        with mill.worker():
            result.get(timeout=DEADLINE)

        assert order == ["start", "start too", "job", "stop"]

    def test_an_error_of_on_start_is_raised_and_nothing_runs(self, mill: Mill) -> None:
        @mill.on_start
        def fails() -> NoReturn:
            raise LookupError("no model")

        result = a_gated_task(mill, Gate()).enqueue()
        with pytest.raises(LookupError, match="no model"):
            mill.worker().start()

        assert result.state is State.QUEUED
        assert mill.app.storage.inspection.sessions() == []

    def test_an_on_start_that_takes_longer_than_the_lease_costs_nothing(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        @mill.on_start
        def loads_a_model() -> None:
            clock.travel(100)
            mill.app.storage.jobs.rescue()

        with mill.worker():
            [session] = mill.app.storage.inspection.sessions()

        assert session.session == 1

    def test_trouble_with_the_store_is_raised_before_on_start_is_called(self, mill: Mill) -> None:
        calls = []
        mill.on_start(lambda: calls.append(True))
        with_faults(mill).break_down("version", StoreUnavailable("the disk is full"))

        with pytest.raises(StoreUnavailable):
            mill.worker().start()

        assert calls == []

    def test_trouble_in_beginning_the_session_is_raised(self, mill: Mill) -> None:
        with_faults(mill).break_down("sessions.open")

        with pytest.raises(StoreBusy):
            mill.worker().start()

    def test_a_worker_can_be_started_once(self, mill: Mill) -> None:
        with mill.worker() as worker, pytest.raises(ConfigurationError, match="started before"):
            worker.start()

    def test_an_error_of_on_stop_is_logged_and_the_next_one_is_called(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        calls = []

        @mill.on_stop
        def fails() -> NoReturn:
            raise SystemExit

        mill.on_stop(lambda: calls.append(True))
        with mill.worker():
            pass

        assert calls == [True]
        assert "on_stop handler" in caplog.text


class TestStopping:
    def test_leaving_the_block_lets_what_runs_finish(self, mill: Mill) -> None:
        gate = Gate()
        result = a_gated_task(mill, gate).enqueue()
        with mill.worker() as worker:
            gate.wait_for(1)
            worker.ask_to_stop()
            gate.open()

        assert result.state is State.SUCCEEDED
        assert mill.app.storage.inspection.sessions() == []

    def test_asked_twice_the_grace_is_over(self, mill: Mill) -> None:
        gate = Gate()
        result = a_gated_task(mill, gate).enqueue()
        worker = mill.worker(grace=FOR_EVER)
        worker.start()
        gate.wait_for(1)
        worker.ask_to_stop()
        worker.ask_to_stop()
        worker.stop()

        job = result.job()
        assert (job.state, job.attempt) == (State.QUEUED, 0)
        gate.open()

    def test_a_thread_that_outlasts_the_grace_is_named_and_not_waited_for_any_longer(
        self, mill: Mill, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker_module, "_CLEAN_UP", FOR_EVER)  # that is for coroutines
        gate = Gate()
        result = a_gated_task(mill, gate).enqueue()
        with mill.worker(grace=0.1):
            gate.wait_for(1)

        assert result.state is State.QUEUED
        told = f"gated {result.id} (attempt 1 of 1) outlasts the grace and goes back to the queue"
        assert told in caplog.text
        gate.open()

    @pytest.mark.parametrize("count, told", [(1, "1 job"), (2, "2 jobs")])
    def test_the_log_says_how_long_what_runs_may_take(
        self, mill: Mill, caplog: pytest.LogCaptureFixture, count: int, told: str
    ) -> None:
        caplog.set_level(logging.INFO)
        gate = Gate()
        task = a_gated_task(mill, gate)
        mill.enqueue_many([task.s() for _ in range(count)])
        with mill.worker(grace=0.1):
            gate.wait_for(count)
        gate.open()

        assert f"stopping: {told} under way may finish within 0.1 s; a second signal" in caplog.text

    @pytest.mark.parametrize("count, told", [(1, "1 job"), (2, "2 jobs")])
    def test_the_log_of_a_process_that_is_replaced_speaks_of_no_signals(
        self, mill: Mill, caplog: pytest.LogCaptureFixture, count: int, told: str
    ) -> None:
        caplog.set_level(logging.INFO)
        gate = Gate()
        task = a_gated_task(mill, gate)
        mill.enqueue_many([task.s() for _ in range(count)])
        worker = mill.worker()
        worker.start()
        gate.wait_for(count)
        worker.stop_within(math.inf)
        wait_for(lambda: f"this process is being replaced and lets its {told} finish" in caplog.text)
        gate.open()
        worker.stop()

        assert not [message for message in caplog.messages if "signal" in message or " inf " in message]

    def test_stopping_again_is_harmless_and_so_is_stopping_what_never_ran(self, mill: Mill) -> None:
        worker = mill.worker()
        worker.stop()
        worker.start()
        worker.stop()
        worker.stop()

        assert worker.wait(timeout=0)

    def test_waiting_ends_with_its_timeout(self, mill: Mill) -> None:
        with mill.worker() as worker:
            assert not worker.wait(timeout=0.01)
            assert not worker.wait(timeout=0)

    def test_a_signal_handler_may_stop_the_worker(self, mill: Mill) -> None:
        worker = mill.worker()

        @mill.on("succeeded")
        def enough(event: Event) -> None:
            worker.stop()

        mill.task(name="task")(lambda: None).enqueue()
        worker.start()

        assert worker.wait(timeout=DEADLINE)
        worker.stop()

    def test_a_task_may_ask_its_worker_to_stop(self, mill: Mill) -> None:
        worker = mill.worker()

        @mill.task
        def enough() -> str:
            worker.ask_to_stop()
            return "done"

        result = enough.enqueue()
        worker.run()

        assert result.get(timeout=0) == "done"

    def test_who_is_asked_in_the_store_stops_gracefully(self, mill: Mill) -> None:
        gate = Gate()
        result = a_gated_task(mill, gate).enqueue()
        worker = mill.worker()
        worker.start()
        gate.wait_for(1)
        [session] = mill.app.storage.inspection.sessions()

        assert steering.stop_worker(mill.app, session.session) is True
        gate.open()
        worker.finish()

        assert result.state is State.SUCCEEDED
        assert mill.app.storage.inspection.sessions() == []
        assert steering.stop_worker(mill.app, session.session) is False

    def test_while_it_stops_people_see_that_it_does(self, mill: Mill) -> None:
        gate = Gate()
        a_gated_task(mill, gate).enqueue()
        waits = mill.task(name="waits")(lambda: None).enqueue()
        with mill.worker(threads=1, grace=FOR_EVER) as worker:
            gate.wait_for(1)
            [before] = mill.app.storage.inspection.sessions()
            worker.ask_to_stop()
            wait_for(lambda: mill.app.storage.inspection.sessions()[0].is_asked_to_stop, "it is noted")
            found = causes(waits.job(), mill.app.storage.health.census())
            gate.open()

        assert before.is_asked_to_stop is False
        assert found == [Cause("no-worker", "the workers that live are all stopping")]

    def test_a_burst_runs_what_is_due_and_ends(self, mill: Mill) -> None:
        @mill.task
        def more(depth: int) -> None:
            if depth:
                more.enqueue(depth - 1)

        more.enqueue(5)
        later = more.using(delay=60).enqueue(0)
        mill.worker(burst=True).run()

        states = [job.state for job in mill.app.storage.inspection.find()]
        assert sorted(states) == [State.QUEUED] + [State.SUCCEEDED] * 6
        assert later.state is State.QUEUED

    def test_a_burst_in_a_block_ends_before_the_block_is_left(self, mill: Mill) -> None:
        with mill.worker(burst=True):
            result = mill.task(name="task")(lambda: 5).enqueue()

        # Whether its last look came before or after the enqueue is left open.
        assert result.state in {State.SUCCEEDED, State.QUEUED}
        assert mill.app.storage.inspection.sessions() == []

    def test_an_error_in_the_block_ends_a_burst_too(self, mill: Mill) -> None:
        gate = Gate()
        a_gated_task(mill, gate).enqueue()

        worker = mill.worker(burst=True, grace=0)
        worker.start()
        gate.wait_for(1)

        worker.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)

        assert worker.wait(timeout=0)
        gate.open()

    def test_coroutines_that_outlast_the_grace_clean_up_before_on_stop(self, mill: Mill) -> None:
        order = []
        mill.on_stop(lambda: order.append("stop"))

        @mill.task
        async def waits() -> None:
            order.append("inside")
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                order.append("cleaned up")

        result = waits.enqueue()
        with mill.worker(grace=0):
            wait_for(lambda: order)

        assert order == ["inside", "cleaned up", "stop"]
        assert (result.state, result.job().attempt) == (State.QUEUED, 0)

    def test_an_error_of_its_own_ends_the_worker_gives_the_jobs_back_and_is_raised(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate, faults = Gate(), with_faults(mill)
        result = a_gated_task(mill, gate).enqueue()
        worker = mill.worker()
        worker.start()
        gate.wait_for(1)
        faults.break_down("turn", RuntimeError("a bug"))
        gate.open()
        assert worker.wait(timeout=DEADLINE)

        with pytest.raises(RuntimeError, match="a bug"):
            worker.__exit__(None, None, None)
        assert result.state is State.QUEUED
        assert "ended by an error of its own" in caplog.text

    def test_an_error_of_its_own_is_raised_by_run(self, mill: Mill) -> None:
        with_faults(mill).break_down("turn", RuntimeError("a bug"))

        with pytest.raises(RuntimeError, match="a bug"):
            mill.worker().run()

    def test_a_store_in_trouble_at_the_end_is_a_warning(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        faults = with_faults(mill)
        with mill.worker():
            faults.break_down("sessions.end")

        assert "the jobs go back when the lease of this worker is over" in caplog.text


class TestResting:
    def test_without_work_it_hardly_does_anything(self, mill: Mill) -> None:
        faults = with_faults(mill)
        with mill.worker():
            wait_for(lambda: faults.count("turn"))
            before = len(faults.calls)
            threading.Event().wait(0.5)
            calls = len(faults.calls) - before

        assert calls < 50

    def test_in_trouble_it_hardly_does_anything(self, mill: Mill) -> None:
        faults = with_faults(mill)
        task = mill.task(name="task")(lambda: 5)
        with mill.worker():
            faults.break_down("turn")
            result = task.enqueue()
            wait_for(lambda: faults.count("turn"))
            before = len(faults.calls)
            threading.Event().wait(0.5)
            calls = len(faults.calls) - before
            faults.heal()
            assert result.get(timeout=DEADLINE) == 5

        assert calls < 50

    @pytest.mark.parametrize(
        "error", [busy(), StoreUnavailable("the disk is full")], ids=["busy", "unavailable"]
    )
    def test_it_goes_on_by_itself_when_the_trouble_is_over(self, mill: Mill, error: Exception) -> None:
        faults, gate = with_faults(mill), Gate()
        task = a_gated_task(mill, gate)
        with mill.worker():
            running, waiting = task.enqueue(), task.using(delay=60).enqueue()
            gate.wait_for(1)
            for operation in ("turn", "version", "rescue", "prune", "sessions.renew", "inspection.job"):
                faults.break_down(operation, error)
            seen = faults.count("version")
            gate.open()
            wait_for(lambda: faults.count("version") > seen + 2)
            faults.heal()
            running.get(timeout=DEADLINE)
            assert task.enqueue().get(timeout=DEADLINE) is None

        assert waiting.state is State.QUEUED


class TestLosingTheSession:
    """A lease of 1 s under a clock that stands still: it runs out when the test says so."""

    @pytest.fixture
    def mill(self, clock: FakeClock) -> Mill:
        return Mill("memory://", clock=clock, lease=1)

    def take_away(self, mill: Mill, clock: FakeClock) -> set[int]:
        """Let the process stand still for longer than its lease, and another one notice; what its sessions were."""
        before = self.sessions(mill)
        assert before
        # It may say that it lives just between the two.
        while before & self.sessions(mill):
            clock.travel(2)
            mill.app.storage.jobs.rescue()
        return before

    def lose(self, mill: Mill, clock: FakeClock) -> None:
        """Take its session away, and wait for its next one."""
        before = self.take_away(mill, clock)
        wait_for(lambda: self.sessions(mill) - before, "a new session")

    def sessions(self, mill: Mill) -> set[int]:
        return {session.session for session in mill.app.storage.inspection.sessions()}

    def test_the_worker_goes_on_under_a_new_one(
        self, mill: Mill, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        add = mill.task(name="add")(lambda a, b: a + b)
        with mill.worker():
            before = add.enqueue(1, 2).get(timeout=DEADLINE)
            for _ in range(3):
                self.lose(mill, clock)
            after = add.enqueue(3, 4).get(timeout=DEADLINE)
            sessions = [session.session for session in mill.app.storage.inspection.sessions()]

        assert (before, after) == (3, 7)
        assert len(sessions) == 1
        assert caplog.text.count("going on under a new one") == 3
        assert mill.app.storage.inspection.sessions() == []

    def test_where_suspects_run_alone_it_ends_if_a_job_still_runs(
        self, mill: Mill, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate = Gate()
        a_gated_task(mill, gate).enqueue()
        crashed = Holder(mill.app.storage)
        crashed.start(crashed.claim_one())
        crashed.crash(alone=False)
        worker = Worker(mill.app, WorkerOptions(threads=1), Place(serves="suspects"))
        worker.start()
        gate.wait_for(1)

        self.take_away(mill, clock)

        assert worker.wait(DEADLINE)
        gate.open()
        assert "this process ends" in caplog.text
        assert mill.app.storage.inspection.sessions() == []

    def test_one_that_was_asked_to_stop_while_it_stood_still_stops(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        faults, worker = with_faults(mill), mill.worker()
        worker.start()
        [state] = wait_for(mill.app.storage.inspection.sessions)
        faults.break_down("sessions.is_asked_to_stop")
        assert steering.stop_worker(mill.app, state.session) is True
        self.take_away(mill, clock)
        faults.heal()

        assert worker.wait(DEADLINE)
        assert mill.app.storage.inspection.sessions() == []

    def test_what_its_jobs_come_to_changes_nothing_and_they_can_know(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        gate, seen, events = Gate(), list[bool](), list[Event]()
        mill.on("succeeded")(events.append)

        @mill.task
        def task(context: Context) -> int:
            if context.fence == 1:
                with suppress(JobReleased):
                    gate.pass_through()
                seen.append(context.lost)
            return context.fence

        result = task.enqueue()
        with mill.worker(threads=1):
            gate.wait_for(1)
            self.lose(mill, clock)
            # Claimed again, by this very worker, while the first run is still under way.
            again = result.get(timeout=DEADLINE)
            gate.open()
            wait_for(lambda: seen)

        assert again == 2
        assert seen == [True]
        assert result.job().rescues == 1
        assert len(events) == 1

    def test_jobs_are_stopped_before_others_may_begin_them(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        faults, stopped = with_faults(mill), list[str]()

        @mill.task
        def spins(context: Context) -> int:
            try:
                while context.fence == 1:
                    time.sleep(0.001)
            except JobReleased:
                stopped.append("thread")
                raise
            return context.fence

        @mill.task
        async def waits(context: Context) -> int:
            try:
                await asyncio.sleep(60 if context.fence == 1 else 0)
            except asyncio.CancelledError:
                stopped.append("coroutine")
                raise
            return context.fence

        results = [spins.enqueue(), waits.enqueue()]
        with mill.worker(threads=1):
            wait_for(lambda: {result.state for result in results} == {State.RUNNING})
            faults.break_down("sessions.renew", StoreUnavailable("no space left"))
            wait_for(lambda: {result.state for result in results} == {State.QUEUED})
            jobs = [result.job() for result in results]
            faults.heal()
            again = [result.get(timeout=DEADLINE) for result in results]

        assert sorted(stopped) == ["coroutine", "thread"]
        assert [(job.attempt, job.rescues) for job in jobs] == [(0, 0)] * 2
        assert [attempt.outcome for job in jobs for attempt in job.attempts] == ["released"] * 2
        assert again == [2, 2]
        assert [result.job().attempt for result in results] == [1, 1]
        assert (
            caplog.text.count("could not be renewed for two thirds of it: of its 2 jobs, what still runs")
            == 1
        )

    def test_jobs_that_hang_on_cost_the_worker_no_slots(self, mill: Mill, clock: FakeClock) -> None:
        gates = [Gate(), Gate()]

        @mill.task
        def hangs(number: int, context: Context) -> None:
            if context.fence == 1:
                gates[number].pass_through()

        results = [hangs.enqueue(number) for number in range(2)]
        with mill.worker(threads=2):
            for gate in gates:
                gate.wait_for(1)
            self.lose(mill, clock)
            both_at_once = threading.Barrier(2)
            mill.task(name="meets")(lambda: both_at_once.wait(DEADLINE) is None)
            meeting = [mill.app.tasks["meets"].enqueue_call((), {}) for _ in range(2)]
            assert [result.get(timeout=DEADLINE) for result in meeting] == [False, False]
            for gate in gates:
                gate.open()

        assert {result.state for result in results} == {State.SUCCEEDED}

    def test_coroutines_of_the_lost_session_are_ended(self, mill: Mill, clock: FakeClock) -> None:
        order = []

        @mill.task
        async def waits(context: Context) -> int:
            if context.fence > 1:
                return context.fence
            try:
                order.append("inside")
                await asyncio.Event().wait()
            finally:
                order.append(f"ended, lost: {context.lost}")
            return 1

        result = waits.enqueue()
        with mill.worker():
            wait_for(lambda: order)
            self.lose(mill, clock)
            assert result.get(timeout=DEADLINE) == 2

        assert order == ["inside", "ended, lost: True"]

    def test_a_burst_goes_on_until_all_is_done(self, mill: Mill, clock: FakeClock) -> None:
        gate = Gate()
        first, second = a_gated_task(mill, gate).enqueue(), mill.task(name="second")(lambda: 5)
        worker = mill.worker(burst=True)
        worker.start()
        gate.wait_for(1)
        self.lose(mill, clock)
        result = second.enqueue()
        gate.open()

        assert worker.wait(timeout=DEADLINE)
        assert (first.state, result.state) == (State.SUCCEEDED, State.SUCCEEDED)
        worker.stop()

    def test_a_store_in_trouble_is_asked_for_a_new_session_until_it_gives_one(
        self, mill: Mill, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        faults, add = with_faults(mill), mill.task(name="add")(lambda a, b: a + b)
        with mill.worker():
            wait_for(mill.app.storage.inspection.sessions)
            faults.plan("sessions.open", busy())
            self.lose(mill, clock)
            assert add.enqueue(1, 2).get(timeout=DEADLINE) == 3

        assert "process 1; try again; it is tried again and again; no job is under way here" in caplog.text
        assert "the store is back after" in caplog.text

    def test_it_can_be_stopped_while_it_has_none(self, mill: Mill, clock: FakeClock) -> None:
        faults, worker = with_faults(mill), mill.worker()
        worker.start()
        faults.break_down("sessions.open")
        self.take_away(mill, clock)
        wait_for(lambda: faults.count("sessions.open") > 1)

        worker.stop()

        assert worker.wait(timeout=0)

    def test_lost_while_it_stops_it_does_not_wait_for_jobs_that_no_longer_count(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        gate = Gate()
        a_gated_task(mill, gate).enqueue()
        worker = mill.worker(grace=FOR_EVER)
        worker.start()
        gate.wait_for(1)
        worker.ask_to_stop()
        self.take_away(mill, clock)
        worker.stop()

        assert mill.app.storage.inspection.sessions() == []
        gate.open()


def test_a_worker_is_what_a_mill_says_it_is(mill: Mill) -> None:
    assert isinstance(mill.worker(), Worker)


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0, "coroutines": 0, "process_slots": 0},
        {"process_slots": -1},
        {"threads": -1},
        {"coroutines": -1},
        {"grace": -1},
        {"queues": "default"},
        {"queues": []},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(mill: Mill, options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        mill.worker(**options)  # type: ignore[arg-type]
