"""What the log says when an attempt has ended."""

from __future__ import annotations

import logging

import pytest

from taskmill._core import lifecycle
from taskmill._core.job import Claimed, ErrorInfo, State
from taskmill._core.lifecycle import Transition
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
    log_ending(claimed, transition)

    [record] = caplog.records
    assert record.levelno == level
    assert record.getMessage().startswith(f"shop.pay j (attempt 1 of 1) {transition.event}")


def test_an_error_is_told_with_its_traceback_only_where_it_is_the_last(
    claimed: Claimed, caplog: pytest.LogCaptureFixture
) -> None:
    log_ending(claimed, Transition(State.FAILED, "failed", error=ERROR))
    log_ending(claimed, Transition(State.QUEUED, "retrying", error=ERROR))

    first, second = caplog.messages
    assert first == "shop.pay j (attempt 1 of 1) failed: ValueError: no\nTraceback"
    assert second == "shop.pay j (attempt 1 of 1) retrying: ValueError: no"
