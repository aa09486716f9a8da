"""Tells of the engine's events in the words and the order of Huey's signals."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from taskmill import Cancel, Event, Retry, Snooze
from taskmill._core.event import EventKind
from taskmill._core.job import Reason
from taskmill.errors import ResultError
from taskmill.huey import moment, signals
from taskmill.huey.exceptions import CancelExecution, RetryTask, TaskException, TaskLockedException
from taskmill.huey.task import AFTER, ETA, Task

if TYPE_CHECKING:
    from taskmill.huey.api import Huey

logger = logging.getLogger("huey")

# The first is told by whoever runs the function, of the second Huey knows nothing.
_KINDS = [kind for kind in get_args(EventKind) if kind not in {"started", "rescued"}]


@dataclass(slots=True)
class _Attempt:
    """What only the thread knew that ran the function."""

    task: Task
    error: Exception | None = None
    is_delayed: bool = False


class Teller:
    """Sends the signals of one Huey in this process."""

    def __init__(self, huey: Huey) -> None:
        self._huey = huey
        self._enqueueing: set[str] = set()
        # By job id, from the start of an attempt until its end is stored. An attempt whose job was given to
        # another process, because this one was taken for dead, leaves its entry behind.
        self._attempts: dict[str, _Attempt] = {}
        self.signal = signals.Signal()
        huey.mill.on(*_KINDS)(self._on_event)

    @contextmanager
    def enqueueing(self, tasks: Sequence[Task]) -> Iterator[None]:
        """Around the storing of *tasks* and what follows them.

        "enqueued" comes before they are stored, else a quick worker would be heard of first. The engine's own
        event comes after, and for all steps of a pipeline at once.
        """
        job_ids = [step.id for task in tasks for step in task.steps]
        self._enqueueing.update(job_ids)
        try:
            for task in tasks:
                self.signal.send(signals.SIGNAL_ENQUEUED, task)
            yield
        finally:
            self._enqueueing.difference_update(job_ids)
        for task in tasks:
            if moment.ahead(task.eta, utc=self._huey.utc):
                self.signal.send(signals.SIGNAL_SCHEDULED, task)

    def begins(self, task: Task, *, is_requeued: bool) -> None:
        """The function is about to be called; *is_requeued*: its time has come, so Huey enqueues it again."""
        self._attempts[task.id] = _Attempt(task)
        if is_requeued:
            self.signal.send(signals.SIGNAL_ENQUEUED, task)
        self.signal.send(signals.SIGNAL_EXECUTING, task)

    def raised(self, task: Task, error: Exception, *, is_delayed: bool) -> None:
        """The function raised; the signals follow when the store knows what comes of it.

        *is_delayed*: a further attempt, if there is one, waits for its time.
        """
        self._attempts[task.id] = _Attempt(task, error, is_delayed)
        if isinstance(error, CancelExecution | RetryTask | Cancel | Retry | Snooze):
            logger.info("Task %s raised %r.", task.id, error)
        elif isinstance(error, TaskLockedException):
            logger.warning("Task %s not run, %s.", task.id, error)
        else:
            logger.error("Unhandled exception in task %s.", task.id, exc_info=error)

    def _on_event(self, event: Event) -> None:
        if event.kind == "enqueued" and event.job_id in self._enqueueing:
            return
        known = self._attempts.pop(event.job_id, None)
        attempt = known or _Attempt(self._task_of(event))
        send, task = self.signal.send, attempt.task
        match event.kind:
            case "enqueued":
                send(signals.SIGNAL_ENQUEUED, task)
            case "unblocked":
                self._tell_unblocked(task)
            case "succeeded":
                send(signals.SIGNAL_COMPLETE, task)
            case "failed":
                self._tell_error(task, attempt.error or _error_of(event))
            case "retrying" | "snoozed":
                self._tell_error(task, attempt.error)
                send(signals.SIGNAL_RETRYING, task)
                send(signals.SIGNAL_SCHEDULED if attempt.is_delayed else signals.SIGNAL_ENQUEUED, task)
            case "cancelled":
                self._tell_error(task, attempt.error)
                self._tell_cancelled(task, event.reason)
            case "released" if known:
                send(signals.SIGNAL_INTERRUPTED, task)
            case _:
                pass  # given back before it was begun

    def _tell_unblocked(self, task: Task) -> None:
        """A later step of a pipeline: Huey would only now make it, with the result of the step before."""
        try:
            headers = self._huey.mill.result(task.id).job().headers
            task.extend(self._huey.mill.result(headers[AFTER]).get(timeout=0))
        except (ResultError, KeyError):  # deleted meanwhile, or a pipeline of Mill
            headers = {}
        self.signal.send(signals.SIGNAL_ENQUEUED, task)
        if ETA in headers:
            self.signal.send(signals.SIGNAL_SCHEDULED, task)

    def _tell_error(self, task: Task, error: Exception | None) -> None:
        match error:
            case None | RetryTask() | Snooze():
                pass
            case CancelExecution() | Cancel():
                self.signal.send(signals.SIGNAL_CANCELED, task)
            case TaskLockedException():
                self.signal.send(signals.SIGNAL_LOCKED, task)
            case _:
                self.signal.send(signals.SIGNAL_ERROR, task, error)

    def _tell_cancelled(self, task: Task, reason: str | None) -> None:
        match reason:
            case Reason.REVOKED:
                logger.warning("Task %r was revoked, not executing", task)
                self.signal.send(signals.SIGNAL_REVOKED, task)
            case Reason.EXPIRED:
                logger.info("Task %r expired, not executing.", task)
                self.signal.send(signals.SIGNAL_EXPIRED, task)
            case _:
                pass  # by its task: told as its error; a step after one that failed: Huey never made it

    def _task_of(self, event: Event) -> Task:
        wrapper = self._huey.tasks.get(event.task)
        name = wrapper.name if wrapper else event.task.rpartition(".")[2]
        return Task(name=name, id=event.job_id, args=event.args, kwargs=event.kwargs or {}, wrapper=wrapper)


def _error_of(event: Event) -> TaskException:
    """Of a job that failed without an error of its function: its arguments or its result cannot be stored."""
    message = event.error.message if event.error else str(event.reason)
    return TaskException({"error": message, "task_id": event.job_id, "retries": 0, "traceback": ""})
