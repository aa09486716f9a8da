"""What the log says when an attempt has ended."""

from __future__ import annotations

import logging

import pytest

from taskmill._core import lifecycle
from taskmill._core.job import Claimed, ErrorInfo, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._core.outcome import Outcome, Released, Unknown
from taskmill._core.retry import RetryPolicy
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._worker.logbook import log_ending
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker, a_job

ERROR = ErrorInfo("ValueError", "no", "Traceback")


@pytest.fixture
def claimed(clock: FakeClock) -> Claimed:
    storage = MemoryStorage(clock)
    storage.jobs.add([a_job("j", task="shop.pay")])
    return Worker(storage).claim_one()


@pytest.mark.parametrize(
    "transition, level",
    [
        (Transition(State.FAILED, "failed", error=ERROR), logging.ERROR),
        (Transition(State.QUEUED, "retrying", error=ERROR), logging.WARNING),
        (lifecycle.after_crash(ERROR, crashes=0), logging.WARNING),
        (Transition(State.QUEUED, "released"), logging.INFO),
        (Transition(State.SUCCEEDED, "succeeded"), logging.DEBUG),
    ],
)
def test_it_names_the_task_and_the_job_and_is_as_loud_as_it_is_bad(
    claimed: Claimed, transition: Transition, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log_ending(Settlement(claimed, transition), 0)

    [record] = caplog.records
    assert record.levelno == level
    assert record.getMessage().startswith(f"shop.pay j (attempt 1 of 1) {transition.event}")


def test_an_error_is_told_with_its_traceback_only_where_it_is_the_last(
    claimed: Claimed, caplog: pytest.LogCaptureFixture
) -> None:
    log_ending(Settlement(claimed, Transition(State.FAILED, "failed", error=ERROR)), 0)
    log_ending(Settlement(claimed, Transition(State.QUEUED, "retrying", error=ERROR)), 0)

    first, second = caplog.messages
    assert first == "shop.pay j (attempt 1 of 1) failed: ValueError: no\nTraceback"
    assert second == "shop.pay j (attempt 1 of 1) retrying: ValueError: no"


@pytest.mark.parametrize(
    "outcome, told",
    [
        (Released(), "released: its worker stops"),
        (Released("all threads are busy"), "released: all threads are busy"),
        (Unknown(), "released: here is no task of that name, or no slot of its executor"),
    ],
)
def test_a_job_that_is_given_back_says_why(
    claimed: Claimed, outcome: Outcome, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log_ending(Settlement(claimed, lifecycle.end(claimed, outcome, RetryPolicy(), 0)), 0)

    assert caplog.messages == [f"shop.pay j (attempt 1 of 1) {told}"]
