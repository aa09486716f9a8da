"""Errors, traces and check-ins of jobs in Sentry; needs ``taskmill[sentry]``.

>>> import sentry_sdk
>>> from taskmill.contrib.sentry import TaskmillIntegration
>>> sentry_sdk.init(dsn="", integrations=[TaskmillIntegration(mill)])
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.crons import monitor
from sentry_sdk.integrations import Integration
from sentry_sdk.scope import add_global_event_processor
from sentry_sdk.tracing import Span
from sentry_sdk.utils import event_from_exception

from taskmill import Context, Mill, Outgoing
from taskmill._app.scrubbing import scrubber
from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed
from taskmill._worker.attempt import frames_of
from taskmill._worker.logbook import Ending
from taskmill.errors import Cancel, Interruption, Snooze

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

_ORIGIN = "auto.queue.taskmill"
_NO_SLUG = re.compile(r"[^a-z0-9_-]+")


class TaskmillIntegration(Integration):
    """To be made where *mill* is, in programs and workers alike.

    What enqueues is ``queue.publish``; an attempt is a transaction ``queue.task.taskmill`` of the same trace, with a
    span ``queue.process`` in it, and a scope of its own. An error that ends its job is reported, without secrets; with
    *retried* one that is tried again is, too. That a task asks to be snoozed or cancelled, or is interrupted, is no
    error. With *monitors* each attempt of a task that has one schedule checks in at the monitor of that name, in
    Sentry's spelling: ``shop.tasks.tidy`` is ``shop-tasks-tidy``.
    """

    identifier = "taskmill"
    origin = _ORIGIN

    def __init__(self, mill: Mill, *, retried: bool = False, monitors: bool = False) -> None:
        self._mill = mill
        self._retried = retried
        self._monitors = monitors
        mill.wrap_enqueue(self.publish)
        mill.wrap(self.process)

    @staticmethod
    def setup_once() -> None:
        """Nothing is patched: the mill knows what goes around its work."""
        add_global_event_processor(_unless_it_repeats)

    @contextmanager
    def publish(self, jobs: Sequence[Outgoing]) -> Iterator[None]:
        """Around an enqueue."""
        name = jobs[0].task if len({job.task for job in jobs}) == 1 else f"{len(jobs)} jobs"
        with sentry_sdk.start_span(op="queue.publish", name=name, origin=_ORIGIN) as span:
            span.set_data("messaging.system", "taskmill")
            span.set_data("messaging.destination.name", jobs[0].queue)
            if len(jobs) == 1:
                span.set_data("messaging.message.id", jobs[0].id)
                span.set_data("messaging.message.body.size", jobs[0].size)
            for job in jobs:
                _inject(job.headers)
            yield

    @contextmanager
    def process(self, context: Context) -> Iterator[None]:
        """Around an attempt."""
        with sentry_sdk.isolation_scope() as scope:
            scope.clear_breadcrumbs()
            scope.set_tag("taskmill.task", context.task)
            scope.set_context(
                "taskmill", {"id": context.id, "queue": context.queue, "attempt": context.attempt}
            )
            transaction = sentry_sdk.continue_trace(
                context.headers, op="queue.task.taskmill", name=context.task, source="task", origin=_ORIGIN
            )
            with (
                sentry_sdk.start_transaction(transaction),
                sentry_sdk.start_span(op="queue.process", name=context.task, origin=_ORIGIN) as span,
            ):
                _describe(span, context)
                try:
                    with self._monitor(context.task):
                        yield
                except (Cancel, Snooze, Interruption):
                    raise
                except Exception as error:
                    if self._is_to_be_reported(context, error):
                        self._mill.app.reported.note(context.claimed)
                        _report(error, scrubber(self._mill.app, context.claimed))
                    raise

    def has_reported(self, claimed: Claimed) -> bool:
        """Whether an error of that attempt was reported, in whichever process it ran."""
        return claimed in self._mill.app.reported

    def _monitor(self, task: str) -> AbstractContextManager[object]:
        names = [name for name, periodic in self._mill.app.periodics.items() if periodic.task.name == task]
        if not self._monitors or len(names) != 1:
            return nullcontext()
        return monitor(monitor_slug=_NO_SLUG.sub("-", names[0].lower()))

    def _is_to_be_reported(self, context: Context, error: Exception) -> bool:
        task = self._mill.app.tasks.find(context.task)
        is_last = context.attempt >= context.max_attempts or (
            task is not None and not task.is_retriable(error)
        )
        return self._retried or is_last


def _inject(headers: dict[str, str]) -> None:
    if traceparent := sentry_sdk.get_traceparent():
        headers["sentry-trace"] = traceparent
    if baggage := sentry_sdk.get_baggage():
        headers["baggage"] = ",".join(filter(None, [headers.get("baggage"), baggage]))


def _describe(span: Span, context: Context) -> None:
    latency = time.time() - context.claimed.due_at / SECOND
    span.set_data("messaging.system", "taskmill")
    span.set_data("messaging.message.id", context.id)
    span.set_data("messaging.destination.name", context.queue)
    span.set_data("messaging.message.retry.count", context.attempt - 1)
    span.set_data("messaging.message.receive.latency", max(0.0, latency * 1_000))


def _unless_it_repeats(event: Event, hint: Hint) -> Event | None:
    """The worker logs how the attempt has ended, too, of which Sentry's logging integration makes an event."""
    integration = sentry_sdk.get_client().get_integration(TaskmillIntegration)
    ending = getattr(hint.get("log_record"), "taskmill", None)
    if integration is None or not isinstance(ending, Ending) or not integration.has_reported(ending.claimed):
        return event
    return None


def _report(error: Exception, scrub: Callable[[str], str]) -> None:
    event, hint = event_from_exception(
        # The frames that call the function have all of its arguments among their variables.
        (type(error), error, frames_of(error)),
        client_options=sentry_sdk.get_client().options,
        mechanism={"type": "taskmill", "handled": False},
    )
    event["exception"] = _scrubbed(event["exception"], scrub)
    sentry_sdk.capture_event(event, hint=hint)


def _scrubbed(told: Any, scrub: Callable[[str], str]) -> Any:
    match told:
        case str():
            return scrub(told)
        case dict():
            return {name: _scrubbed(value, scrub) for name, value in told.items()}
        case list():
            return [_scrubbed(value, scrub) for value in told]
        case _:
            return told
