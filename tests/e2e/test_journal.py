"""What jobs say of themselves, on each executor and each store: seen live, complete at the end, bounded."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskmill import Mill, Result, current_job
from taskmill.errors import JobFailed, ResultNotKept
from tests.e2e import book
from tests.worker.builders import DEADLINE, Gate, wait_for

TELLING = """
    import logging
    logging.basicConfig(level=logging.INFO)
    logger = logging.getLogger("book")

    def begin():
        context = current_job()
        logger.info("attempt %d of \\u00e4 \\U0001f600", context.attempt)
        context.progress(1, 4, "begun")

    def end():
        logger.warning("nearly done")
        current_job().progress(4, 4)
        if current_job().attempt == 1:
            raise ValueError("once more")

    def has_word():
        return os.path.exists({word!r})

    @mill.task(retries=1, retry_delay=0)
    def thread_tells():
        begin()
        while not has_word():
            time.sleep(0.005)
        end()

    @mill.task(retries=1, retry_delay=0)
    async def asyncio_tells():
        begin()
        while not has_word():
            await asyncio.sleep(0.005)
        end()

    @mill.task(executor="process", retries=1, retry_delay=0)
    def process_tells():
        begin()
        while not has_word():
            time.sleep(0.005)
        end()

    @mill.task(executor="process")
    def process_dies():
        begin()
        while not has_word():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)

    @mill.task(executor="process")
    def process_floods():
        for number in range(5_000):
            logger.info("line %d", number)
"""


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """Jobs go on once it is there."""
    return tmp_path / "word"


@pytest.fixture
def app(tmp_path: Path, word: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(tmp_path)
    module = book.written(tmp_path, TELLING.format(word=str(word)))
    yield module
    module.mill.close()
    del sys.modules[module.__name__]


def messages(result: Result[Any], attempt: int | None = None) -> list[str]:
    return [line.message for line in result.logs(attempt)]


class TestExecutors:
    @pytest.mark.parametrize("executor", book.EXECUTORS)
    def test_it_is_seen_while_the_job_runs_and_is_whole_at_the_end(
        self, app: ModuleType, executor: str, word: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        first = "attempt 1 of \u00e4 \U0001f600"
        with app.mill.worker():
            result = getattr(app, f"{executor}_tells").enqueue()
            progress = wait_for(result.progress, "progress")
            wait_for(result.logs, "a line")
            assert progress[:3] == (1, 4, "begun")
            assert messages(result) == [first]
            word.touch()
            result.get(timeout=DEADLINE)

        lines = result.logs()
        assert [(line.attempt, line.level, line.logger, line.message) for line in lines] == [
            (1, "INFO", "book", first),
            (1, "WARNING", "book", "nearly done"),
            (2, "INFO", "book", first.replace("1", "2")),
            (2, "WARNING", "book", "nearly done"),
        ]
        assert [line.at for line in lines] == sorted(line.at for line in lines)
        progress = result.progress()
        assert progress is not None
        assert progress.share == 1.0

    def test_of_a_process_that_was_killed_what_was_seen_stays(self, app: ModuleType, word: Path) -> None:
        with app.mill.worker():
            result = app.process_dies.enqueue()
            wait_for(result.logs, "a line")
            word.touch()
            with pytest.raises(JobFailed):
                result.get(timeout=DEADLINE)

        # It was tried again, and died before anybody saw more of it.
        assert messages(result)[0] == "attempt 1 of \u00e4 \U0001f600"

    def test_a_flood_is_cut_in_the_middle(self, app: ModuleType) -> None:
        with app.mill.worker():
            result = app.process_floods.enqueue()
            result.get(timeout=DEADLINE)

        told = messages(result)
        assert (told[0], told[-1]) == ("line 0", "line 4999")
        assert len([message for message in told if message.endswith("lines left out ...]")]) == 1
        assert len(told) < 2_000


class TestStores:
    def test_every_store_shows_it_live_and_keeps_it(
        self, mill: Mill, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        gate = Gate()

        @mill.task
        def work() -> None:
            logging.getLogger("app").info("begun")
            current_job().progress(1, 2)
            gate.pass_through()
            logging.getLogger("app").info("ended")

        with mill.worker(threads=2):
            result = work.enqueue()
            wait_for(lambda: result.progress() and result.logs(), "progress and a line")
            assert messages(result) == ["begun"]
            gate.open()
            result.get(timeout=DEADLINE)
            # An end that is seen comes after all that was said before it.
            assert messages(result) == ["begun", "ended"]

        progress = result.progress()
        assert progress is not None
        assert progress.share == 0.5

    def test_a_loop_reads_it_too(self, sqlite_mill: Mill) -> None:
        @sqlite_mill.task
        def work() -> None:
            logging.getLogger("app").warning("said")
            current_job().progress(3)

        with sqlite_mill.worker():
            result = work.enqueue()
            result.get(timeout=DEADLINE)

        async def read() -> tuple[Any, Any]:
            return await result.aprogress(), await result.alogs(attempt=1)

        progress, [line] = asyncio.run(read())
        assert (progress.done, progress.share, line.message) == (3, None, "said")

    def test_of_a_job_that_is_not_stored_there_is_nothing_to_read(self, mill: Mill) -> None:
        with pytest.raises(ResultNotKept):
            mill.result("nobody").logs()
        with pytest.raises(ResultNotKept):
            mill.result("nobody").progress()
