"""What each executor makes of a job: returns, raises, is told, is stopped; all three mixed in one worker."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskmill import Event
from taskmill._core.job import Reason, State
from taskmill.errors import JobCancelled, JobFailed
from tests.e2e import book
from tests.worker.builders import DEADLINE, wait_for

each_executor = pytest.mark.parametrize("executor", book.EXECUTORS)


class Notes:
    """What the tasks wrote down, in whatever process."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, what: str) -> list[str]:
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [line.partition(" ")[2] for line in lines if line.split()[0] == what]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Writes a module of tasks and imports it; the processes of a worker find it by the path that they are told."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(more: str = "", **options: Any) -> ModuleType:
        written.append(book.written(tmp_path, more, **options))
        return written[-1]

    yield write
    for module in written:
        module.mill.close()
        del sys.modules[module.__name__]


@pytest.fixture
def app(write: Callable[..., ModuleType]) -> ModuleType:
    return write()


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


def task(app: ModuleType, executor: str, name: str) -> Any:
    return getattr(app, f"{executor}_{name}")


class TestEndings:
    def test_all_three_run_side_by_side_and_a_process_is_kept(self, app: ModuleType) -> None:
        with app.mill.worker():
            results = {
                executor: [task(app, executor, "returns").enqueue(number) for number in range(5)]
                for executor in book.EXECUTORS
            }
            values = {kind: [one.get(timeout=DEADLINE) for one in some] for kind, some in results.items()}
            warm = [app.process_returns.enqueue(number).get(timeout=DEADLINE)[1] for number in range(3)]

        for executor in book.EXECUTORS:
            assert [value for value, _ in values[executor]] == [0, 2, 4, 6, 8]
        assert {pid for _, pid in values["thread"] + values["asyncio"]} == {os.getpid()}
        pids = {pid for _, pid in values["process"]}
        assert os.getpid() not in pids
        assert len(set(warm)) == 1
        assert warm[0] in pids

    @each_executor
    def test_an_error_comes_with_its_traceback(self, app: ModuleType, executor: str) -> None:
        with app.mill.worker():
            result = task(app, executor, "raises").enqueue()
            with pytest.raises(JobFailed) as failed:
                result.get(timeout=DEADLINE)

        assert (failed.value.error_type, failed.value.error) == ("ValueError", "boom")
        assert failed.value.traceback.splitlines()[1].endswith(f"in {executor}_raises")

    @each_executor
    def test_the_context_is_there(self, app: ModuleType, executor: str) -> None:
        with app.mill.worker():
            result = task(app, executor, "looks").using(headers={"trace": "1"}).enqueue()

            assert result.get(timeout=DEADLINE) == (result.id, 1, {"trace": "1"}, False, False, True)

    @each_executor
    def test_signal_handlers_hear_of_it_in_the_worker(self, app: ModuleType, executor: str) -> None:
        heard: list[tuple[str, int]] = []

        @app.mill.on("started", "succeeded")
        def hear(event: Event) -> None:
            heard.append((event.kind, os.getpid()))

        with app.mill.worker():
            task(app, executor, "returns").enqueue(1).get(timeout=DEADLINE)
            wait_for(lambda: len(heard) == 2)

        assert heard == [("started", os.getpid()), ("succeeded", os.getpid())]


class TestLimits:
    @each_executor
    def test_at_the_soft_limit_it_is_told_and_retried(
        self, app: ModuleType, executor: str, notes: Notes
    ) -> None:
        result = task(app, executor, "soft").enqueue()
        with app.mill.worker(), pytest.raises(JobFailed) as failed:
            result.get(timeout=DEADLINE)

        assert (failed.value.reason, failed.value.error_type) == (Reason.TIMEOUT, "TimeoutError")
        assert failed.value.error == "ran longer than its soft_timeout of 0.3 s"
        assert f"in {executor}_soft" in failed.value.traceback
        assert notes("told") == [executor] * 2
        assert result.job().attempt == 2

    @each_executor
    def test_what_it_saves_at_the_soft_limit_is_its_result(self, app: ModuleType, executor: str) -> None:
        with app.mill.worker():
            assert task(app, executor, "saves").enqueue().get(timeout=DEADLINE) == "what there is"

    @each_executor
    def test_at_the_hard_limit_it_is_stopped_and_retried(
        self, app: ModuleType, executor: str, notes: Notes
    ) -> None:
        result = task(app, executor, "hard").enqueue()
        with app.mill.worker(), pytest.raises(JobFailed) as failed:
            result.get(timeout=DEADLINE)

        assert failed.value.error == "ran longer than its timeout of 0.3 s"
        assert notes("start") == [executor] * 2

    @each_executor
    def test_one_that_goes_on_after_the_soft_limit_is_stopped_at_the_hard_one(
        self, app: ModuleType, executor: str, notes: Notes
    ) -> None:
        result = task(app, executor, "goes_on").enqueue()
        with app.mill.worker(), pytest.raises(JobFailed) as failed:
            result.get(timeout=DEADLINE)

        assert notes("told") == [executor]
        assert failed.value.error == "ran longer than its timeout of 1 s"


class TestCancelling:
    @each_executor
    def test_a_running_job_is_stopped_and_can_clean_up(
        self, app: ModuleType, executor: str, notes: Notes
    ) -> None:
        result = task(app, executor, "runs").using(retries=3).enqueue()
        with app.mill.worker():
            wait_for(lambda: notes("start"))
            assert result.cancel()
            with pytest.raises(JobCancelled, match="revoked"):
                result.get(timeout=DEADLINE)

        assert notes("cleanup") == [executor]
        job = result.job()
        assert (job.state, job.reason, job.attempt) == (State.CANCELLED, Reason.REVOKED, 1)


class TestStoppedGroups:
    MORE = """
        ENDED = []

        async def child(name):
            try:
                await asyncio.sleep(60)
            finally:
                ENDED.append(name)

        @mill.task(soft_timeout=0.3, timeout=30)
        async def waits_for_children(body):
            try:
                async with asyncio.TaskGroup() as group:
                    for name in ("anna", "bert"):
                        group.create_task(child(name))
                    await asyncio.sleep(body)
            except* SoftTimeout:
                note("told", *sorted(ENDED))
                raise
    """

    @pytest.mark.parametrize("body", [0, 60], ids=["the group waits", "its body waits"])
    def test_the_children_of_a_group_are_cancelled_before_it_is_told(
        self, write: Callable[..., ModuleType], notes: Notes, body: int
    ) -> None:
        app = write(self.MORE)
        with app.mill.worker(), pytest.raises(JobFailed, match="soft_timeout"):
            app.waits_for_children.enqueue(body).get(timeout=DEADLINE)

        assert notes("told") == ["anna bert"]


class TestStoppedProcesses:
    """Only the function is told, only where that is safe, and its time counts from its call."""

    MORE = """
        @mill.wrap
        def takes_its_time(context: Context):
            if context.task == "starts_slowly":
                _sleep(1)
            try:
                yield
            finally:
                if context.task == "fails_at_once":
                    _sleep(1)
                    note("wrapped", "up")

        @mill.task(name="starts_slowly", executor="process", soft_timeout=0.5, timeout=30)
        def starts_slowly(seconds):
            try:
                _sleep(seconds)
            except SoftTimeout:
                note("told", "slow")
                return "told"
            return "in time"

        @mill.task(name="fails_at_once", executor="process", soft_timeout=0.3)
        def fails_at_once():
            raise ValueError("at once")

        @mill.task(executor="process", soft_timeout=0.2, timeout=30)
        def imports_slowly(folder):
            import sys
            sys.path.insert(0, folder)
            try:
                import slow_module
                _sleep(60)
            except SoftTimeout:
                return "slow_module" in sys.modules

        @mill.task(executor="process", soft_timeout=0.2, timeout=30)
        def enqueues_for_ever():
            while True:
                thread_returns.using(delay=3600).enqueue(1)
    """

    @pytest.fixture
    def app(self, write: Callable[..., ModuleType]) -> ModuleType:
        return write(self.MORE)

    def test_a_limit_that_comes_after_the_function_has_raised_changes_nothing(
        self, app: ModuleType, notes: Notes
    ) -> None:
        with app.mill.worker(process_slots=1):
            _, pid = app.process_returns.enqueue(1).get(timeout=DEADLINE)
            with pytest.raises(JobFailed, match="ValueError: at once"):
                app.fails_at_once.enqueue().get(timeout=DEADLINE)
            assert app.process_returns.enqueue(1).get(timeout=DEADLINE) == (2, pid)

        assert notes("wrapped") == ["up"]

    def test_what_is_around_the_function_does_not_count(self, app: ModuleType) -> None:
        with app.mill.worker(process_slots=1):
            assert app.starts_slowly.enqueue(0).get(timeout=DEADLINE) == "in time"
            assert app.starts_slowly.enqueue(60).get(timeout=DEADLINE) == "told"

    def test_an_import_is_not_interrupted_and_what_follows_it_is(
        self, app: ModuleType, tmp_path: Path
    ) -> None:
        (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(1)\n")
        with app.mill.worker(process_slots=1):
            assert app.imports_slowly.enqueue(str(tmp_path)).get(timeout=DEADLINE) is True

    def test_one_that_is_always_in_the_store_is_told_before_it_enters_it_again(self, app: ModuleType) -> None:
        with app.mill.worker(process_slots=1), pytest.raises(JobFailed, match="soft_timeout") as failed:
            app.enqueues_for_ever.enqueue().get(timeout=DEADLINE)

        assert "_storage" not in failed.value.traceback


class TestProcesses:
    MORE = """
        PIDS = []

        @mill.on_start
        def warm_up():
            PIDS.append(os.getpid())

        @mill.on_stop
        def cool_down():
            note("stopped", os.getpid())

        @mill.wrap
        def around(context: Context):
            note("around", os.getpid())
            yield

        @mill.task(executor="process")
        def started():
            return PIDS, os.getpid()

        @mill.task(executor="process")
        def enqueues(number):
            with mill.lock("serial"):
                return thread_returns.enqueue(number).id

        @mill.task(executor="process")
        def dies(how):
            note("start", os.getpid())
            os.kill(os.getpid(), how) if how > 0 else os._exit(-how)

        @mill.task(executor="process")
        def prints_and_ends():
            raise SystemExit("enough")

        @mill.task(executor="process", timeout=1)
        def leaves_something():
            import subprocess
            child = subprocess.Popen(["sleep", "1000"])
            note("child", child.pid)
            child.wait()

        @mill.task(executor="process")
        def forks_and_dies():
            if not os.fork():
                note("child", os.getpid())
                time.sleep(1000)
            os.kill(os.getpid(), signal.SIGKILL)

        @mill.task(executor="process")
        def will_not_stop():
            words = iter(["start"])
            while True:
                try:
                    for word in words:
                        note(word, os.getpid())
                    time.sleep(1000)
                except BaseException:
                    note("shrugs", os.getpid())

        @mill.task(executor="process")
        def asks(context: Context):
            try:
                note("start", os.getpid())
                time.sleep(1000)
            except CancelRequested:
                note("asked", context.cancel_requested)
                raise

        @mill.task(executor="process", timeout=0.5)
        def computes():
            "One call in C that lets no other thread run."
            note("start", os.getpid())
            return pow(3, 10**8) % 7
    """

    @pytest.fixture
    def app(self, write: Callable[..., ModuleType]) -> ModuleType:
        return write(self.MORE)

    @pytest.mark.parametrize(
        "how, cause",
        [
            (signal.SIGKILL, "was killed by SIGKILL"),
            (signal.SIGSEGV, "SIGSEGV"),
            (-7, "ended with exit code 7"),
        ],
        ids=["SIGKILL", "SIGSEGV", "os._exit"],
    )
    def test_one_that_dies_takes_its_job_along_and_no_other(
        self, app: ModuleType, notes: Notes, how: int, cause: str
    ) -> None:
        with app.mill.worker(process_slots=1):
            result = app.dies.enqueue(int(how))
            other = app.process_returns.enqueue(1)
            with pytest.raises(JobFailed) as failed:
                result.get(timeout=DEADLINE)
            assert other.get(timeout=DEADLINE)[0] == 2

        assert failed.value.reason == Reason.CRASHED
        assert cause in failed.value.error
        assert len(set(notes("start"))) == 3

    def test_one_that_has_forked_a_child_is_missed_all_the_same_and_takes_that_along(
        self, app: ModuleType, notes: Notes
    ) -> None:
        with app.mill.worker(process_slots=1), pytest.raises(JobFailed, match="crashed"):
            app.forks_and_dies.enqueue().get(timeout=DEADLINE)

        wait_for(lambda: all(is_gone(int(child)) for child in notes("child")), "the children have gone")

    def test_one_that_died_while_it_had_nothing_to_do_is_replaced(self, app: ModuleType) -> None:
        with app.mill.worker(process_slots=1):
            _, pid = app.process_returns.enqueue(1).get(timeout=DEADLINE)
            os.kill(pid, signal.SIGKILL)
            _, other = app.process_returns.enqueue(1).get(timeout=DEADLINE)

        assert other != pid

    def test_system_exit_is_an_error_like_others(self, app: ModuleType) -> None:
        with app.mill.worker(), pytest.raises(JobFailed, match="SystemExit: enough"):
            app.prints_and_ends.enqueue().get(timeout=DEADLINE)

    def test_handlers_and_wrappers_are_called_in_it(self, app: ModuleType, notes: Notes) -> None:
        with app.mill.worker(process_slots=1):
            pids, pid = app.started.enqueue().get(timeout=DEADLINE)
            assert app.started.enqueue().get(timeout=DEADLINE) == ([pid], pid)

        assert pids == [pid]
        assert notes("around") == [str(pid)] * 2
        assert set(notes("stopped")) == {str(pid), str(os.getpid())}

    def test_the_store_is_there_too(self, app: ModuleType) -> None:
        with app.mill.worker():
            job_id = app.enqueues.enqueue(4).get(timeout=DEADLINE)
            assert app.mill.result(job_id).get(timeout=DEADLINE)[0] == 8

    def test_at_the_hard_limit_what_it_has_started_ends_with_it(self, app: ModuleType, notes: Notes) -> None:
        with app.mill.worker(), pytest.raises(JobFailed, match="ran longer than its timeout"):
            app.leaves_something.enqueue().get(timeout=DEADLINE)

        wait_for(lambda: is_gone(int(notes("child")[0])), "the child has gone")

    def test_code_in_c_that_lets_no_other_thread_run_is_stopped_at_the_hard_limit(
        self, app: ModuleType, notes: Notes
    ) -> None:
        with app.mill.worker(), pytest.raises(JobFailed, match="ran longer than its timeout"):
            app.computes.enqueue().get(timeout=DEADLINE)

        assert is_gone(int(notes("start")[0]))

    def test_one_that_is_cancelled_and_goes_on_is_killed(self, app: ModuleType, notes: Notes) -> None:
        result = app.will_not_stop.enqueue()
        with app.mill.worker():
            wait_for(lambda: notes("start"))
            result.cancel()
            with pytest.raises(JobCancelled, match="revoked"):
                result.get(timeout=DEADLINE)

        assert notes("shrugs") == notes("start")

    def test_the_context_says_that_it_is_cancelled(self, app: ModuleType, notes: Notes) -> None:
        result = app.asks.enqueue()
        with app.mill.worker():
            wait_for(lambda: notes("start"))
            result.cancel()
            with pytest.raises(JobCancelled):
                result.get(timeout=DEADLINE)

        assert notes("asked") == ["True"]

    def test_what_runs_when_the_grace_is_over_goes_back_unburnt(self, app: ModuleType, notes: Notes) -> None:
        result = app.will_not_stop.enqueue()
        with app.mill.worker(grace=0):
            wait_for(lambda: notes("start"))

        job = result.job()
        assert (job.state, job.attempt) == (State.QUEUED, 0)
        assert is_gone(int(notes("start")[0]))

    def test_what_it_cannot_import_fails_the_job_and_says_why(
        self, write: Callable[..., ModuleType], tmp_path: Path
    ) -> None:
        app = write(self.MORE)
        (tmp_path / f"{app.__name__}.py").write_text("raise LookupError('no settings')")
        with app.mill.worker(), pytest.raises(JobFailed, match="no settings") as failed:
            app.started.enqueue().get(timeout=DEADLINE)

        assert failed.value.error_type == "LookupError"
        assert failed.value.error == f"{app.__name__}, imported by a process of its own: no settings"

    def test_a_task_that_is_not_there_under_any_name_is_told_so(
        self, write: Callable[..., ModuleType], tmp_path: Path
    ) -> None:
        app = write(self.MORE)
        (tmp_path / f"{app.__name__}.py").write_text("")
        with app.mill.worker(), pytest.raises(JobFailed, match=f"at the top level of {app.__name__}"):
            app.started.enqueue().get(timeout=DEADLINE)

    def test_a_store_in_memory_is_refused(self, write: Callable[..., ModuleType]) -> None:
        app = write(url="memory://")
        with app.mill.worker(), pytest.raises(JobFailed, match="lives in this one: use a file"):
            app.process_returns.enqueue(1).get(timeout=DEADLINE)


def is_gone(pid: int) -> bool:
    """Whether it runs no more; a zombie, which waits for its parent to ask, does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
