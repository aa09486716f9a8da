"""Huey's exceptions; errors in the store and in arguments are those of `taskmill.errors`.

HueyException
├── ConfigurationError     an option that is wrong, or that taskmill.huey does not have
├── ResultTimeout          a result that did not come in time
└── TaskLockedException    ``with huey.lock_task(name)`` while somebody else holds it
TaskException              what a result handle raises for a job that did not succeed
RetryTask                  raised by a task: run me again, at no cost to its retries
CancelExecution            raised by a task: stop here
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any


class HueyException(Exception):
    """The root of Huey's errors."""


class ConfigurationError(HueyException):
    """An option is wrong, or taskmill.huey does not have it; the message says which there are."""


class ResultTimeout(HueyException):
    """The job has not ended within the timeout; it goes on."""


class TaskLockedException(HueyException):
    """Somebody else holds the lock."""


class TaskException(Exception):
    """The job did not succeed; *metadata* has the keys ``error``, ``traceback``, ``retries`` and ``task_id``."""

    def __init__(self, metadata: dict[str, Any] | None = None, *args: object) -> None:
        self.metadata = metadata or {}
        # In Huey its repr says nothing, and a program that prints that shows nothing.
        super().__init__(*(args or (str(self),)))

    def __str__(self) -> str:
        return str(self.metadata.get("error") or "unknown error")


class RetryTask(Exception):
    """Run the job again: at *eta*, after *delay* seconds, else after the task's own delay; burns no retry."""

    def __init__(
        self, msg: object = None, eta: datetime | None = None, delay: float | timedelta | None = None
    ) -> None:
        super().__init__(msg)
        self.eta = eta
        self.delay = delay


class CancelExecution(Exception):
    """Stop: for good (*retry* False), not for good (True), or for as long as retries are left (None)."""

    def __init__(self, msg: object = None, retry: bool | None = None) -> None:  # noqa: FBT001  (as in Huey)
        super().__init__(*(() if msg is None else (msg,)))
        self.retry = retry


def refuse_unknown(where: str, options: Iterable[str], supported: Collection[str]) -> None:
    """Name the first of *options* that taskmill.huey does not have, and those that it has."""
    for option in options:
        if option not in supported:
            raise ConfigurationError(
                f"{where} has no option {option!r} in taskmill.huey: it has {', '.join(supported)}"
            )
