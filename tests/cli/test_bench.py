from __future__ import annotations

import signal
from contextlib import closing

import pytest

from taskmill import Mill, State, Task
from taskmill._cli import bench
from taskmill._core.identity import new_job_id
from tests.cli.process import Programs
from tests.cli.shell import Shell

RATES = ("sync_seconds", "enqueue_per_second", "enqueue_many_per_second")
OF_A_WORKER = ("drain_per_second", "result_p50_seconds", "result_p99_seconds")


@pytest.fixture
def nothing(mill: Mill) -> Task[[], None]:
    @mill.task(name="nothing")
    def nothing() -> None: ...

    return nothing


def queues(shell: Shell) -> list[str]:
    return [queue["queue"] for queue in shell("queues", "list", "--json").json["queues"]]


class TestBench:
    def test_it_tells_each_figure_and_what_it_does(self, shell: Shell, nothing: Task[[], None]) -> None:
        nothing.enqueue()

        status, out, err = shell("bench", "--jobs", "10")

        assert status == 0
        assert [line.rpartition("  ")[0].strip() for line in out.splitlines()] == [
            "FIGURE",
            "sync of the disk, p50",
            "enqueue, one by one",
            "enqueue_many, 1,000 a call",
            "drain, 4 threads",
            "enqueue to result, p50",
            "enqueue to result, p99",
        ]
        assert err.startswith("measuring sqlite:///")
        assert err.endswith("' are deleted afterwards\n")

    def test_json(self, shell: Shell, nothing: Task[[], None]) -> None:
        nothing.enqueue()

        told = shell("bench", "--jobs", "10", "--json").json

        assert told["jobs"] == 10
        assert told["queue"].startswith("taskmill-bench-")
        assert all(told[name] > 0 for name in RATES + OF_A_WORKER)

    def test_the_jobs_of_the_store_stay_as_they_are_and_its_own_go(
        self, shell: Shell, mill: Mill, nothing: Task[[], None]
    ) -> None:
        waiting = nothing.enqueue()

        assert shell("bench", "--jobs", "10").status == 0

        assert waiting.state is State.QUEUED
        assert queues(shell) == ["default"]

    def test_beside_a_worker_nothing_is_due_and_only_enqueueing_is_measured(
        self, shell: Shell, mill: Mill, nothing: Task[[], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        with mill.worker():
            nothing.enqueue().get(timeout=45)
            answer = shell("bench", "--jobs", "10", "--json")

        assert "only enqueueing is measured: a worker serves this store, process " in answer.err
        assert all(answer.json[name] > 0 for name in RATES)
        assert [answer.json[name] for name in OF_A_WORKER] == [None, None, None]
        assert "taskmill bench" not in caplog.text
        assert queues(shell) == ["default"]

    def test_interrupted_it_deletes_its_jobs_too(
        self, shell: Shell, nothing: Task[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> float:
            raise KeyboardInterrupt

        nothing.enqueue()
        monkeypatch.setattr(bench, "_results", interrupt)

        assert shell("bench", "--jobs", "10").status == 130
        assert queues(shell) == ["default"]

    def test_of_a_server_the_disk_is_not_measured(self, shell: Shell, redis_url: str) -> None:
        with closing(Mill(f"{redis_url}?name={new_job_id()}")) as mill:
            mill.task(name="nothing")(lambda: None).enqueue()

            told = shell("bench", "--jobs", "10", "--json", "--url", mill.url).json

        assert told["sync_seconds"] is None
        assert all(told[name] > 0 for name in RATES[1:] + OF_A_WORKER)

    def test_ctrl_c_in_the_middle(self, shell: Shell, nothing: Task[[], None], programs: Programs) -> None:
        nothing.enqueue()
        program = programs.start("bench", "--jobs", "100000000")
        program.first_word()

        program.signal(signal.SIGINT)

        assert program.end()[0] == 130
        assert queues(shell) == ["default"]
