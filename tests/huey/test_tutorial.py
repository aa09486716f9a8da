"""The tutorial's program over taskmill.huey: it runs to its end, and what it says is so."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator
from itertools import pairwise

import pytest

from taskmill import Job, Mill, State
from taskmill._core.filter import Filter
from tests.huey.tutorial import Run

pytestmark = pytest.mark.timeout(180)  # its 54 s, if it has the machine for itself


@pytest.fixture
def mill(tutorial: Run) -> Iterator[Mill]:
    mill = Mill(tutorial.url)
    yield mill
    mill.close()


def jobs_of(mill: Mill, task: str) -> list[Job]:
    """Oldest first, with their attempts."""
    found = mill.app.storage.inspection.find(Filter(task=f"tutorial.{task}"))
    return [mill.result(job.job_id).job() for job in reversed(found)]


def test_it_runs_to_its_end(tutorial: Run) -> None:
    assert tutorial.status == 0, tutorial.stderr
    assert tutorial.stdout.startswith("Huey backend: SqliteHuey\nSQLite DB at: tutorial-data/huey_demo.db\n")
    assert tutorial.stdout.endswith("Stopping consumer gracefully...\nConsumer stopped.\n")
    assert tutorial.seconds > 52


def test_its_results_come(tutorial: Run) -> None:
    assert tutorial.said("quick_add result:") == "42"
    assert tutorial.said("slow_io result:") == "slept=0.75"
    assert tutorial.said("scheduled slow_io result:") == "slept=0.25"
    assert tutorial.said("scheduled handle:").startswith("<Result: task ")


def test_the_context_task_knows_its_id(tutorial: Run, mill: Mill) -> None:
    [job] = jobs_of(mill, "cpu_pi_estimate")

    assert f"'task_id': '{job.job_id}'" in tutorial.said("pi payload:")


def test_jobs_under_one_lock_are_serialized(tutorial: Run, mill: Mill) -> None:
    jobs = sorted(jobs_of(mill, "locked_sync_job"), key=lambda job: job.started_at or job.enqueued_at)
    told = literal_eval("['" + tutorial.said("['"))

    assert [job.state for job in jobs] == [State.SUCCEEDED] * 3
    assert all(later.started_at >= earlier.ended_at for earlier, later in pairwise(jobs))
    assert [text.split(":")[1] for text in told] == ["run0", "run1", "run2"]


def test_what_is_told_of_the_flaky_task_is_its_final_outcome(tutorial: Run, mill: Mill) -> None:
    [job] = jobs_of(mill, "flaky_network_call")
    [line] = [line for line in tutorial.stdout.splitlines() if line.startswith("flaky_network_call")]
    failed = ["error", "retrying", "scheduled", "enqueued", "executing"] * (job.attempt - 1)

    assert job.state.is_final
    if job.state is State.SUCCEEDED:
        assert line == "flaky_network_call result: OK"
        assert tutorial.signals(job.job_id) == ["enqueued", "executing", *failed, "complete"]
    else:
        assert line.startswith("flaky_network_call failed even after retries: TaskException(")
        assert "Transient failure (simulated)" in line
        assert job.attempt == 4
        assert tutorial.signals(job.job_id) == ["enqueued", "executing", *failed, "error"]


def test_no_thread_died_and_the_consumer_ended_when_it_was_stopped(tutorial: Run) -> None:
    assert "Exception in thread" not in tutorial.stderr
    assert "ValueError" not in tutorial.stderr
    assert not tutorial.is_consumer_alive


def test_the_scheduled_call_starts_at_its_time(tutorial: Run, mill: Mill) -> None:
    _, scheduled, _ = jobs_of(mill, "slow_io")

    assert scheduled.started_at is not None
    assert scheduled.started_at >= scheduled.run_at
    assert tutorial.signals(scheduled.job_id) == [
        "enqueued",
        "scheduled",
        "enqueued",
        "executing",
        "complete",
    ]


def test_the_revoked_call_did_not_run_and_says_so(tutorial: Run, mill: Mill) -> None:
    *_, revoked = jobs_of(mill, "slow_io")

    assert tutorial.said("revoked task output:") == "None"
    assert (revoked.state, revoked.reason, revoked.started_at) == (State.CANCELLED, "revoked", None)
    assert tutorial.signals(revoked.job_id) == ["enqueued", "scheduled", "revoked"]
    assert "was revoked" in tutorial.stderr


def test_the_pipeline_hands_its_results_on(tutorial: Run) -> None:
    steps = ["fetch_number", "transform_number", "store_result"]
    told = [(event["task"], event["signal"]) for event in tutorial.events if event["task"] in steps]

    assert tutorial.said("pipeline final result:").startswith("[7, 35, {'stored_value': 35, 'stored_at': '")
    assert told == [(step, signal) for step in steps for signal in ("enqueued", "executing", "complete")]


def test_the_heart_beats_every_15_seconds_and_each_full_minute(tutorial: Run, mill: Mill) -> None:
    minutes, beats = jobs_of(mill, "heartbeat_minutely"), jobs_of(mill, "heartbeat")
    lines = [line for line in tutorial.stdout.splitlines() if line.startswith("[heartbeat] tick=")]

    # Where its end falls upon a full minute, what came in then is still there, as it should be.
    assert len(beats) == 3 + sum(job.state is State.SUCCEEDED for job in minutes)
    assert len(lines) == sum(job.state is State.SUCCEEDED for job in beats) >= 3
    assert all(job.enqueued_at.second == 0 for job in minutes)


def test_every_event_says_what_the_task_was_called_with(tutorial: Run) -> None:
    numbers = [event["args"] for event in tutorial.events if event["task"] == "transform_number"]

    assert {tuple(event) for event in tutorial.events} == {
        ("ts", "signal", "task", "id", "args", "kwargs", "exc")
    }
    assert numbers == [[5, 7]] * 3
    assert '"signal": "executing"' in tutorial.stdout
