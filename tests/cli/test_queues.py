from __future__ import annotations

import io

import pytest

from taskmill import Mill, State, Task
from taskmill.errors import ResultNotKept
from tests.cli.shell import Shell, Terminal


@pytest.fixture
def nothing(mill: Mill) -> Task[[], None]:
    @mill.task(name="nothing")
    def nothing() -> None: ...

    return nothing


def work(mill: Mill) -> None:
    with mill.worker(burst=True, threads=1):
        pass


class TestQueues:
    def test_counts_by_state(self, shell: Shell, mill: Mill, nothing: Task[[], None]) -> None:
        nothing.enqueue()
        work(mill)
        nothing.enqueue()
        nothing.using(delay=60).enqueue()
        nothing.using(queue="mail").enqueue()

        status, out, err = shell("queues", "list")

        assert (status, err) == (0, "")
        assert [line.split() for line in out.splitlines()] == [
            ["QUEUE", "DUE", "BLOCKED", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "PAUSED"],
            ["default", "1", "0", "2", "0", "1", "0", "0", "-"],
            ["mail", "1", "0", "1", "0", "0", "0", "0", "-"],
        ]

    def test_json(self, shell: Shell, nothing: Task[[], None]) -> None:
        nothing.enqueue()

        assert shell("queues", "list", "--json").json == {
            "queues": [
                {
                    "queue": "default",
                    "due": 1,
                    "blocked": 0,
                    "queued": 1,
                    "running": 0,
                    "succeeded": 0,
                    "failed": 0,
                    "cancelled": 0,
                    "paused_at": None,
                }
            ]
        }

    def test_an_empty_store(self, shell: Shell, mill: Mill) -> None:
        assert mill.events() == []

        assert shell("queues", "list") == (0, "", "no jobs\n")
        assert shell("queues", "list", "--json").json == {"queues": []}


class TestPauses:
    def test_a_queue_is_paused_and_goes_on(self, shell: Shell, nothing: Task[[], None]) -> None:
        nothing.enqueue()

        assert shell("queues", "pause", "default") == (0, "queue 'default' paused\n", "")
        assert shell("queues", "pause", "default").out == "queue 'default': that was so already\n"
        [told] = shell("queues", "--json").json["queues"]
        assert (told["due"], told["paused_at"] is not None) == (1, True)
        assert shell("queues", "resume", "default", "--json").json == {"queue": "default", "done": True}
        assert shell("queues", "--json").json["queues"][0]["paused_at"] is None

    def test_a_name_that_no_job_has_is_done_as_told_and_doubted(
        self, shell: Shell, nothing: Task[[], None]
    ) -> None:
        nothing.using(queue="mail").enqueue()

        status, out, err = shell("queues", "pause", "mial")

        assert (status, out) == (0, "queue 'mial' paused\n")
        assert err == "there is no job in queue 'mial' (did you mean 'mail'?)\n"
        assert [line.split()[0] for line in shell("queues").out.splitlines()[1:]] == ["mail", "mial"]


class TestPurge:
    def test_waiting_jobs_of_one_queue(self, shell: Shell, nothing: Task[[], None]) -> None:
        stays = nothing.enqueue()
        for _ in range(3):
            nothing.using(queue="mail").enqueue()

        assert shell("purge", "--queue", "mail", "--yes") == (0, "3 jobs deleted\n", "")
        assert stays.state is State.QUEUED

    def test_ended_jobs(self, shell: Shell, mill: Mill, nothing: Task[[], None]) -> None:
        nothing.enqueue()
        work(mill)
        stays = nothing.enqueue()

        assert shell("purge", "--ended", "--yes", "--json").json == {"deleted": 1}
        assert stays.state is State.QUEUED

    def test_it_asks_at_a_terminal(
        self, shell: Shell, nothing: Task[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = nothing.enqueue()
        monkeypatch.setattr("sys.stdin", Terminal("n\ny\n"))

        refused, agreed = shell("purge"), shell("purge", "--queue", "default")

        assert (refused.status, refused.out) == (1, "")
        assert refused.err.startswith("Delete 1 waiting job of all queues in sqlite:///")
        assert refused.err.endswith("? [y/N] nothing was deleted\n")
        assert "of queue 'default' in" in agreed.err
        assert (agreed.status, agreed.out) == (0, "1 job deleted\n")
        with pytest.raises(ResultNotKept):
            result.job()

    def test_without_a_terminal_it_wants_yes(
        self, shell: Shell, nothing: Task[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = nothing.enqueue()
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

        status, out, err = shell("purge")

        assert (status, out) == (2, "")
        assert err == "taskmill: error: purge deletes jobs for good: add --yes where nobody can be asked\n"
        assert result.state is State.QUEUED
