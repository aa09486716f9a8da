"""examples/tutorial.py does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "examples" / "tutorial.py"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    done = subprocess.run(
        [sys.executable, PROGRAM],
        cwd=tmp_path_factory.mktemp("tutorial"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_results_are_waited_for_or_not(output: str) -> None:
    assert "quick_add: 42" in output
    assert "slow_io, waited for: slept 0.5 s" in output
    assert "'pi': 3.141" in output


def test_a_retried_job_succeeds_and_a_hopeless_one_fails_for_good(output: str) -> None:
    assert "flaky_network_call: OK on attempt 3 of 4" in output
    assert "failed for good: ConnectionError, attempts before it: 1" in output


def test_jobs_under_a_lock_run_one_at_a_time(output: str) -> None:
    seconds = [
        (float(begin), float(end)) for begin, end in re.findall(r"time: \w+ ([\d.]+) to ([\d.]+)", output)
    ]

    assert len(seconds) == 3
    for (_, ended), (begun, _) in pairwise(seconds):
        assert (begun - ended) % 60 < 30  # across the minute, too


def test_a_scheduled_job_runs_and_a_revoked_one_does_not(output: str) -> None:
    assert "scheduled: slept 0.1 s" in output
    assert "revoked: tutorial.slow_io was cancelled (revoked)" in output


def test_a_pipeline_hands_its_results_on(output: str) -> None:
    assert "pipeline: {'stored': 115," in output
    assert "its steps: [23, 115]" in output


def test_the_heart_beats(output: str) -> None:
    assert output.count("[heartbeat]") >= 3


def test_the_latest_events_are_read_back(output: str) -> None:
    latest = output.partition("the latest events, read from the file:\n")[2]

    assert len(latest.splitlines()) == 8
    assert "tutorial.heartbeat()" in latest
