"""What is said of a process that ended under a job."""

from __future__ import annotations

import signal

import pytest

from taskmill._core.crash import described


@pytest.mark.parametrize(
    "status, said",
    [
        (3, "ended with exit code 3, in the middle of it"),
        (0, "ended with exit code 0, in the middle of it"),
        (-signal.SIGSEGV, "was killed by SIGSEGV: a fault in a C extension or in Python itself"),
        (-signal.SIGTERM, "was killed by SIGTERM"),
        (-99, "was killed by signal 99"),
    ],
)
def test_the_signal_or_the_exit_code_is_named(status: int, said: str) -> None:
    assert str(described(status)) == f"Crashed: the process that ran it {said}"


def test_where_it_was_killed_the_lack_of_memory_is_hinted_at() -> None:
    assert "had no memory left" in described(-signal.SIGKILL).message
