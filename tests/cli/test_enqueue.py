"""``taskmill enqueue`` and ``taskmill run``: jobs from the prompt, and one run here and now."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from taskmill import Mill, State
from tests.cli.process import LONGEST_WAIT, MODULE
from tests.cli.shell import Shell

APP = """
    import asyncio
    from datetime import date
    from decimal import Decimal
    from pathlib import Path
    from taskmill import Mill, current_job

    mill = Mill("sqlite:///jobs.db?durability=normal")
    wrapped = []

    @mill.task(name="shop.pay")
    def pay(to: str, amount: Decimal, day: date | None = None, *, note: str = "", times: int = 1):
        return [to, amount, day, note, times]

    @mill.task(name="shop.take")
    def take(*things, **named):
        return [things, named]

    @mill.task(name="shop.check", retries=2, lock="till")
    def check(code: int):
        job = current_job()
        if code > 9:
            raise ValueError(f"code {code} of {job.id}")
        return f"{code}, attempt {job.attempt}, stop: {job.cancel_requested}"

    @mill.task(name="shop.impatient")
    def impatient():
        with mill.lock("drawer", timeout=0):
            pass

    @mill.task(name="shop.sleep")
    async def sleep(word: str):
        await asyncio.sleep(0)
        return word

    @mill.task(name="shop.add")
    def add(first: int, second: int):
        return first + second
"""


@pytest.fixture
def shop(folder: Path) -> Path:
    (folder / "shop.py").write_text(dedent(APP), encoding="utf-8")
    return folder


@pytest.fixture
def store(shop: Path) -> Iterator[Mill]:
    mill = Mill("sqlite:///jobs.db?durability=normal")
    yield mill
    mill.close()


def enqueued(shell: Shell, *words: str) -> object:
    """The call that becomes a job."""
    told = shell("enqueue", *words, "--app", "shop", "--json").json
    return [told["args"], told["kwargs"]]


class TestEnqueue:
    @pytest.mark.parametrize(
        "words, call",
        [
            (["shop.pay", "ann", "2.50"], [["ann", {"!decimal": "2.50"}], {}]),
            (["pay", "12", "3", "2026-01-31"], [["12", {"!decimal": "3"}, {"!date": "2026-01-31"}], {}]),
            (
                ["pay", "to=a=b", "amount=1", "day=null", "times=3", "note=[1]"],
                [[], {"to": "a=b", "amount": {"!decimal": "1"}, "day": None, "times": 3, "note": "[1]"}],
            ),
            (
                ["take", "1", "two", "[3]", "https://x/?a=b", "x=null"],
                [[1, "two", [3], "https://x/?a=b"], {"x": None}],
            ),
            (["take", '"1"', '"a=b"'], [["1", "a=b"], {}]),
            (["take", "--key", "k", "1", "-2", "x=3"], [[1, -2], {"x": 3}]),
        ],
    )
    def test_arguments_are_read_as_the_signature_says(
        self, shell: Shell, shop: Path, words: list[str], call: object
    ) -> None:
        assert enqueued(shell, *words) == call

    @pytest.mark.parametrize(
        "words, sentence",
        [
            (["pay", "ann"], "missing a required argument: 'amount'"),
            (["pay", "ann", "much"], "shop.pay: amount: 'much' is no Decimal"),
            (["pay", "ann", "1", "tomorrow"], "shop.pay: day: 'tomorrow' is no date or null"),
            (["pay", "ann", "1", "times=x"], "shop.pay: times: 'x' is no int"),
            (["pay", "ann", "1", "tmies=1"], "has no parameter 'tmies' (did you mean 'times'?)"),
            (["pay", "ann", "1", "note=a", "note=b"], "shop.pay: note is given twice"),
            (["pay", "ann", "1", "null", "more"], "too many positional arguments"),
            (["pya", "ann"], "no task named 'pya' is registered"),
            (["pay", "ann", "1", "--priority", "101"], "priority=101"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_stored(
        self, shell: Shell, store: Mill, words: list[str], sentence: str
    ) -> None:
        assert store.events() == []

        status, out, err = shell("enqueue", *words, "--app", "shop")

        assert (status, out) == (2 if "no task" in sentence else 1, "")
        assert sentence in err
        assert shell("jobs", "--url", "sqlite:///jobs.db", "--json").json == {"jobs": []}

    def test_without_an_application_nobody_knows_the_task(self, shell: Shell, shop: Path) -> None:
        assert shell("enqueue", "pay").err.startswith(
            "taskmill: error: name the application that has the task"
        )

    def test_what_is_said_beside_the_arguments(self, shell: Shell, shop: Path, store: Mill) -> None:
        words = (
            "take",
            "--queue",
            "mail",
            "--priority",
            "-5",
            "--delay",
            "60",
            "--key",
            "k",
            "--tags",
            "a,b",
        )
        job_id = shell("enqueue", *words, "--app", "shop").out.strip()

        job = store.result(job_id).job()
        assert (job.queue, job.priority, job.key, job.tags) == ("mail", -5, "k", ("a", "b"))
        assert (job.run_at - job.enqueued_at).total_seconds() == 60

    def test_it_waits_for_the_result(self, shell: Shell, store: Mill) -> None:
        @store.task(name="shop.add")
        def add(first: int, second: int) -> int:
            return first + second

        @store.task(name="shop.check")
        def check(code: int) -> None:
            raise ValueError(code)

        with store.worker(threads=1):
            assert shell("enqueue", "add", "2", "3", "--wait", "--app", "shop") == (0, "5\n", "")
            status, out, err = shell("enqueue", "check", "7", "--wait", "--app", "shop")

        assert (status, out) == (1, "")
        assert "ValueError: 7" in err


class TestRun:
    @pytest.fixture
    def failed(self, shell: Shell, store: Mill) -> str:
        return self.ended(shell, store, "check", "10")

    @staticmethod
    def ended(shell: Shell, store: Mill, *words: str) -> str:
        """A job that has failed, of a task that this process does not know."""
        job_id: str = shell("enqueue", *words, "--app", "shop").out.strip()
        with store.worker(burst=True, threads=1):
            pass
        store.cancel(job_id)
        return job_id

    def test_what_it_raises_is_shown_from_the_function_on_and_the_job_stays_as_it_is(
        self, shell: Shell, store: Mill, failed: str
    ) -> None:
        before = store.result(failed).job()

        status, out, err = shell("run", failed, "--app", "shop")

        assert (status, out) == (1, "")
        assert re.search(r'shop.py", line [0-9]+, in check$', err.splitlines()[1])
        assert err.endswith(f"ValueError: code 10 of {failed}\n")
        assert store.result(failed).job() == before

    def test_what_it_returns_is_printed(self, shell: Shell, store: Mill) -> None:
        job_id = self.ended(shell, store, "check", "7")

        status, out, err = shell("run", job_id, "--app", "shop")

        assert (status, out) == (0, "'7, attempt 1, stop: False'\n")
        assert f"the job is cancelled in the store, as before: `taskmill jobs retry {job_id}`" in err
        assert shell("run", job_id, "--app", "shop", "--json").json == {
            "job_id": job_id,
            "result": '"7, attempt 1, stop: False"',
        }

    def test_a_coroutine_is_run_too(self, shell: Shell, store: Mill) -> None:
        job_id = self.ended(shell, store, "sleep", "well")

        assert shell("run", job_id, "--app", "shop").out == "'well'\n"

    def test_its_lock_is_held_meanwhile(self, shell: Shell, store: Mill, failed: str) -> None:
        with store.lock("till"):
            status, out, err = shell("run", failed, "--app", "shop")

        assert (status, out) == (1, "")
        assert "`taskmill locks` says who holds it" in err

    def test_a_lock_that_its_function_did_not_get_is_an_error_of_that(
        self, shell: Shell, store: Mill, shop: Path
    ) -> None:
        job_id = self.ended(shell, store, "impatient")
        with store.lock("drawer"):
            err = shell("run", job_id, "--app", "shop").err

        assert "in impatient\n" in err
        assert "`taskmill locks`" not in err

    def test_one_that_a_worker_may_run_is_left_alone(self, shell: Shell, store: Mill) -> None:
        job_id = shell("enqueue", "check", "1", "--app", "shop").out.strip()

        assert f"job {job_id} is queued: a worker may run it" in shell("run", job_id, "--app", "shop").err
        assert store.result(job_id).state is State.QUEUED

    def test_a_step_gets_the_result_of_the_one_before(self, shell: Shell, store: Mill) -> None:
        @store.task(name="shop.add")
        def add(first: int, second: int) -> int:
            if second == 0:
                raise ValueError(second)
            return first + second

        result = (add.s(1, 2) | add.s(0)).enqueue()
        with store.worker(burst=True, threads=1):
            pass

        assert shell("run", result.id, "--app", "shop").out == "3\n"

    def test_at_a_terminal_the_debugger_stands_where_it_was_raised(self, failed: str) -> None:
        with terminal() as (ours, theirs):
            program = subprocess.Popen(
                [*MODULE, "run", failed, "--app", "shop", "--pdb"], stdin=theirs, stdout=theirs, stderr=theirs
            )
            os.write(ours, b"p code * 2\nq\n")
            assert program.wait(LONGEST_WAIT) == 1
            assert b"\n20\r\n" in os.read(ours, 100_000).replace(b"(Pdb) ", b"\n")

    def test_without_a_terminal_there_is_no_debugger(
        self, shell: Shell, failed: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", None)

        assert (
            shell("run", failed, "--app", "shop", "--pdb").err == "taskmill: error: --pdb needs a terminal\n"
        )


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of one."""
    ends = pty.openpty()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)
