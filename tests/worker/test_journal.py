"""How what a running job says gets from its thread to the store."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskmill import Context, Mill, current_job
from taskmill._core.secrecy import HIDDEN
from taskmill._worker import capture
from taskmill.errors import StoreRefused
from tests.worker.builders import DEADLINE, Gate, Stepper, wait_for, with_faults

logger = logging.getLogger("tests.app")


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="tests.app")
    # As a worker does when it begins; a machine that is stepped by hand has none.
    capture.install()


def messages(mill: Mill, job_id: str, attempt: int | None = None) -> list[str]:
    return [line.message for line in mill.result(job_id).logs(attempt)]


def logged_alone(mill: Mill, *arguments: Any) -> list[str]:
    """What is kept of a job that logs this, which no other handler hears, and succeeds."""

    @mill.task
    def work() -> str:
        logger.propagate = False
        try:
            logger.info(*arguments)
        finally:
            logger.propagate = True
        return "done"

    with mill.worker():
        result = work.enqueue()
        assert result.get(timeout=DEADLINE) == "done"
    return messages(mill, result.id)


class TestProgress:
    def test_the_latest_is_seen_while_the_job_runs_and_stays_at_its_end(self, mill: Mill) -> None:
        gate = Gate()

        @mill.task
        def load() -> None:
            for number in range(1000):
                current_job().progress(number, 1000, f"file {number}")
            gate.pass_through()
            current_job().progress(1000, 1000)

        result = load.enqueue()
        with mill.worker():
            gate.wait_for(1)
            # An earlier one may have been taken to the store while the job said the others.
            wait_for(lambda: (result.progress() or ())[:3] == (999, 1000, "file 999"), "the latest is seen")
            gate.open()
            result.get(timeout=DEADLINE)

        progress = result.progress()
        assert progress is not None
        assert progress[:3] == (1000, 1000, "")

    def test_a_job_that_says_nothing_has_none_and_writes_nothing(self, mill: Mill) -> None:
        faults = with_faults(mill)

        @mill.task
        def quiet() -> None:
            pass

        with mill.worker():
            result = quiet.enqueue()
            result.get(timeout=DEADLINE)

        assert result.progress() is None
        assert result.logs() == []
        assert faults.count("journals.write") == 0

    @pytest.mark.parametrize(
        "done, total, error",
        [
            ("1", None, None),
            (2**60, 2**61, None),
            ("much", None, TypeError),
            (math.nan, 1, ValueError),
            (1, math.inf, ValueError),
            (10**400, None, ValueError),
            (1, 10**5000, ValueError),
        ],
        ids=["text", "large", "word", "nan", "inf", "huge", "too long to be written"],
    )
    def test_what_is_no_number_is_refused_where_it_is_said(
        self, mill: Mill, done: Any, total: Any, error: type[Exception] | None
    ) -> None:
        context = Context.local(mill.app, "t", 1)

        if error is None:
            context.progress(done, total)
        else:
            with pytest.raises(error, match="progress: "):
                context.progress(done, total)

    def test_what_is_no_text_is_refused_where_it_is_said(self, mill: Mill) -> None:
        words: Any = b"loading"

        with pytest.raises(TypeError, match="is no text"):
            Context.local(mill.app, "t", 1).progress(1, text=words)


class TestLogs:
    def test_each_line_has_its_attempt_its_level_and_its_logger(self, mill: Mill) -> None:
        @mill.task(retries=1, retry_delay=0)
        def work() -> None:
            context = current_job()
            logger.info("attempt %d", context.attempt)
            try:
                1 / (context.attempt - 1)
            except ZeroDivisionError:
                logger.exception("no good")
                raise

        logger.warning("of no job")
        with mill.worker():
            result = work.enqueue()
            result.get(timeout=DEADLINE)

        first, failure, second = result.logs()
        assert first[2:] == ("INFO", "tests.app", "attempt 1")
        assert failure[2:4] == ("ERROR", "tests.app")
        assert failure.message.startswith("no good\nTraceback")
        assert failure.message.endswith("ZeroDivisionError: division by zero")
        assert (second.attempt, second.message) == (2, "attempt 2")
        assert messages(mill, result.id, 2) == ["attempt 2"]

    def test_they_are_seen_while_the_job_runs(self, mill: Mill) -> None:
        gate = Gate()

        @mill.task
        def slow() -> None:
            logger.info("begun")
            gate.pass_through()
            logger.info("ended")

        result = slow.enqueue()
        with mill.worker():
            wait_for(result.logs, "a line")
            assert messages(mill, result.id) == ["begun"]
            gate.open()
            result.get(timeout=DEADLINE)

        assert messages(mill, result.id) == ["begun", "ended"]

    def test_jobs_side_by_side_keep_theirs_apart(self, mill: Mill) -> None:
        gate = Gate()

        @mill.task
        def plain(name: str) -> None:
            logger.info("first of %s", name)
            gate.pass_through(name)
            logger.info("second of %s", name)

        @mill.task
        async def coroutine(name: str) -> None:
            logger.info("first of %s", name)
            await asyncio.to_thread(gate.pass_through)
            logger.info("second of %s", name)

        results = {name: plain.enqueue(name) for name in ("a", "b")}
        results |= {name: coroutine.enqueue(name) for name in ("c", "d")}
        with mill.worker():
            gate.wait_for(4)
            gate.open()
            for result in results.values():
                result.get(timeout=DEADLINE)

        for name, result in results.items():
            assert messages(mill, result.id) == [f"first of {name}", f"second of {name}"]

    def test_threads_and_tasks_that_a_job_starts_with_its_context_belong_to_it(self, mill: Mill) -> None:
        @mill.task
        def threads() -> None:
            copied = threading.Thread(target=contextvars.copy_context().run, args=(logger.info, "copied"))
            bare = threading.Thread(target=logger.info, args=("bare",))
            for thread in (copied, bare):
                thread.start()
                thread.join()

        @mill.task
        async def tasks() -> None:
            async def child() -> None:
                logger.info("child")

            async with asyncio.TaskGroup() as group:
                group.create_task(child())
            await asyncio.to_thread(logger.info, "to_thread")

        with mill.worker():
            of_threads, of_tasks = threads.enqueue(), tasks.enqueue()
            of_threads.get(timeout=DEADLINE)
            of_tasks.get(timeout=DEADLINE)

        assert messages(mill, of_threads.id) == ["copied"]
        assert messages(mill, of_tasks.id) == ["child", "to_thread"]

    def test_what_is_said_after_the_end_is_nobodys(self, mill: Mill, stepper: Callable[..., Stepper]) -> None:
        contexts: list[Context] = []

        @mill.task
        def leaves() -> None:
            contexts.append(current_job())
            logger.info("in time")

        result = leaves.enqueue()
        worker = stepper(threads=1)
        worker.until_idle()

        contexts[0].progress(1)

        assert contexts[0].notes is None
        worker.machine.step()
        assert messages(mill, result.id) == ["in time"]
        assert result.progress() is None

    def test_no_secret_of_the_job_is_stored(self, mill: Mill) -> None:
        @mill.task
        def login(user: str, password: str) -> None:
            logger.info("%s with %s, token=other", user, password)
            current_job().progress(1, 2, f"as {user} with {password}")

        with mill.worker():
            result = login.enqueue("ann", "hunter22")
            result.get(timeout=DEADLINE)

        assert messages(mill, result.id) == [f"ann with {HIDDEN}, token={HIDDEN}"]
        progress = result.progress()
        assert progress is not None
        assert progress.text == f"as ann with {HIDDEN}"

    def test_a_record_that_cannot_be_formatted_harms_nobody(self, mill: Mill) -> None:
        [message] = logged_alone(mill, "%d of %d", "one")

        assert "'%d of %d' with ('one',)" in message

    def test_nor_does_one_of_what_cannot_even_be_shown(self, mill: Mill) -> None:
        class Broken:
            def __str__(self) -> str:
                raise RuntimeError

            __repr__ = __str__

        [message] = logged_alone(mill, "%s", Broken())

        assert message.startswith("what test_journal.py logs in line ")
        assert message.endswith(" cannot be written: RuntimeError")

    @pytest.mark.parametrize(
        "job_logs, expected", [("debug", 3), ("info", 2), ("warning", 1), ("error", 0), ("off", 0)]
    )
    def test_the_level_is_the_workers(self, mill: Mill, job_logs: str, expected: int) -> None:
        @mill.task
        def work() -> None:
            logger.debug("d")
            logger.info("i")
            logger.warning("w")
            current_job().progress(1)

        with mill.worker(job_logs=job_logs):
            result = work.enqueue()
            result.get(timeout=DEADLINE)

        assert len(result.logs()) == expected
        assert result.progress() is not None

    def test_the_programs_own_logging_is_left_as_it_is(self, mill: Mill) -> None:
        root = logging.getLogger()
        before = (root.level, list(root.handlers))

        with mill.worker():
            assert (root.level, list(root.handlers)) == before


class TestTrouble:
    def test_what_the_store_did_not_take_is_written_later_and_before_the_end_of_the_job(
        self, mill: Mill, stepper: Callable[..., Stepper]
    ) -> None:
        faults = with_faults(mill)

        @mill.task
        def work() -> None:
            logger.info("kept")

        result = work.enqueue()
        faults.break_down("journals.write")
        worker = stepper(threads=1)
        worker.until(lambda: faults.count("journals.write") >= 2, "two tries")
        assert not result.state.is_final
        faults.heal()
        worker.until(lambda: result.state.is_final, "the end")

        assert messages(mill, result.id) == ["kept"]

    def test_what_it_refuses_is_dropped_and_the_job_ends(
        self, mill: Mill, stepper: Callable[..., Stepper], caplog: pytest.LogCaptureFixture
    ) -> None:
        faults = with_faults(mill)

        @mill.task
        def work() -> None:
            logger.info("refused")

        result = work.enqueue()
        faults.plan("journals.write", StoreRefused("too much"))
        worker = stepper(threads=1)
        worker.until(lambda: result.state.is_final, "the end")

        assert messages(mill, result.id) == []
        assert "what 1 job said cannot be stored: too much" in caplog.text
