"""Background jobs that start as one SQLite file and lose nothing.

>>> from taskmill import Mill
>>> mill = Mill("sqlite:///jobs.db")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskmill import errors
from taskmill._app.context import Context, current_job
from taskmill._app.result import Result
from taskmill._app.signature import Pipeline, Signature
from taskmill._app.task import CoroutineTask, Task
from taskmill._app.visitor import Visitor
from taskmill._core.event import Event
from taskmill._core.job import State
from taskmill._core.remark import LogLine, Progress
from taskmill.errors import Cancel, CancelRequested, Retry, Snooze, SoftTimeout
from taskmill.mill import Mill

if TYPE_CHECKING:
    from taskmill._app.outgoing import Outgoing
    from taskmill._core.record import Job
    from taskmill._core.schedule import cron, every

__all__ = [
    "Cancel",
    "CancelRequested",
    "Context",
    "CoroutineTask",
    "Event",
    "Job",
    "LogLine",
    "Mill",
    "Outgoing",
    "Pipeline",
    "Progress",
    "Result",
    "Retry",
    "Signature",
    "Snooze",
    "SoftTimeout",
    "State",
    "Task",
    "Visitor",
    "cron",
    "current_job",
    "errors",
    "every",
]


def __getattr__(name: str) -> Any:
    # Schedules load a cron parser and time zones, which a program without periodic tasks need not wait for.
    if name in {"cron", "every"}:
        from taskmill._core import schedule  # noqa: PLC0415

        return getattr(schedule, name)
    if name == "Job":
        from taskmill._core.record import Job  # noqa: PLC0415  (only for those who look at jobs)

        return Job
    if name == "Outgoing":
        from taskmill._app.outgoing import Outgoing  # noqa: PLC0415  (only for those who annotate a wrapper)

        return Outgoing
    raise AttributeError(f"module 'taskmill' has no attribute {name!r}")
