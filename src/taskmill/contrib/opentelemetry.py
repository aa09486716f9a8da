"""Spans and metrics of OpenTelemetry, by its conventions for messaging; needs ``taskmill[otel]``.

>>> from taskmill.contrib import opentelemetry
>>> opentelemetry.instrument(mill)
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context as Surroundings
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode, TracerProvider

from taskmill import Context, Mill, Outgoing
from taskmill._app.application import Application
from taskmill._app.scrubbing import scrubbed
from taskmill._core.job import Claimed
from taskmill._worker.attempt import info_of
from taskmill.errors import Cancel, Snooze

_SYSTEM = {"messaging.system": "taskmill"}

Attributes = Mapping[str, str | int]


def instrument(
    mill: Mill,
    *,
    parent: bool = False,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Let what *mill* enqueues and runs leave spans; to be called where it is made, in programs and workers alike.

    - One job enqueued is ``send QUEUE``; several are ``create QUEUE`` each, and one ``send`` with links to them.
    - An attempt is ``process QUEUE``, linked to what created the job. With *parent* it is a child of that, too, so that
      one trace has it all; traces become as long as jobs take then.
    - The context travels in the headers of the job, by the propagators that are set up (``traceparent``, ``baggage``).

    The providers are the global ones, if none are given. An error of the task is recorded with its stack, as it is
    stored: without secrets; that it asks to be snoozed or cancelled is none. A job of executor "process" leaves its
    span in the process that runs it, so that one which is killed leaves none.
    """
    Instrument(
        mill.app,
        trace.get_tracer("taskmill", tracer_provider=tracer_provider),
        metrics.get_meter("taskmill", meter_provider=meter_provider),
        parent=parent,
    ).attach(mill)


class Instrument:
    """What `instrument` puts around the work of a mill."""

    def __init__(self, app: Application, tracer: trace.Tracer, meter: metrics.Meter, *, parent: bool) -> None:
        self._app = app
        self._tracer = tracer
        self._parent = parent
        self._client = f"{platform.node()}:{os.getpid()}"
        self._duration = meter.create_histogram("messaging.process.duration", "s", "How long attempts run.")
        self._operation = meter.create_histogram(
            "messaging.client.operation.duration", "s", "How long it takes to enqueue."
        )
        self._sent = meter.create_counter("messaging.client.sent.messages", "{message}", "Jobs enqueued.")
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Attempts begun."
        )

    def attach(self, mill: Mill) -> None:
        """Go around its enqueues and attempts, outside of wrappers that are registered later."""
        mill.wrap_enqueue(self.send)
        mill.wrap(self.process)

    @contextmanager
    def send(self, jobs: Sequence[Outgoing]) -> Iterator[None]:
        """Around an enqueue."""
        queues = {job.queue for job in jobs}
        attributes = _operation("send", "send", queues.pop() if len(queues) == 1 else None)
        began_at = time.perf_counter()
        with self._sending(jobs, attributes) as span, self._failure_noted(span):
            yield
        self._operation.record(time.perf_counter() - began_at, attributes)
        self._sent.add(len(jobs), attributes)

    @contextmanager
    def _sending(self, jobs: Sequence[Outgoing], attributes: Attributes) -> Iterator[Span]:
        name = _name(attributes)
        if len(jobs) == 1:
            told = {**attributes, **_of_job(jobs[0])}
            with self._span(name, SpanKind.PRODUCER, told) as span:
                propagate.inject(jobs[0].headers)
                yield span
            return
        links = [Link(self._create(job).get_span_context()) for job in jobs]
        told = {**attributes, "messaging.batch.message_count": len(jobs)}
        with self._span(name, SpanKind.CLIENT, told, links) as span:
            yield span

    def _create(self, job: Outgoing) -> Span:
        attributes = {**_operation("create", "create", job.queue), **_of_job(job)}
        with self._span(_name(attributes), SpanKind.PRODUCER, attributes) as span:
            propagate.inject(job.headers)
        return span

    @contextmanager
    def process(self, context: Context) -> Iterator[None]:
        """Around an attempt."""
        creation = propagate.extract(context.headers)
        created_by = trace.get_current_span(creation).get_span_context()
        metered = {**_operation("process", "process", context.queue), "taskmill.task.name": context.task}
        attributes = {
            **metered,
            "messaging.message.id": context.id,
            "messaging.client.id": self._client,
            "taskmill.job.attempt": context.attempt,
        }
        self._consumed.add(1, metered)
        began_at = time.perf_counter()
        # What travels beside the span goes on, with or without it as the parent.
        around = creation if self._parent else trace.set_span_in_context(INVALID_SPAN, creation)
        links = [Link(created_by)] if created_by.is_valid else []
        with self._span(_name(attributes), SpanKind.CONSUMER, attributes, links, around) as span:
            try:
                with self._failure_noted(span, context.claimed):
                    yield
            finally:
                self._duration.record(time.perf_counter() - began_at, metered)

    @contextmanager
    def _failure_noted(self, span: Span, claimed: Claimed | None = None) -> Iterator[None]:
        try:
            yield
        except (Cancel, Snooze):
            # How the task ends its job, or puts it off: nothing went wrong.
            raise
        except BaseException as error:
            info = scrubbed(self._app, claimed, info_of(error))
            span.set_attribute("error.type", info.type)
            span.set_status(StatusCode.ERROR, info.message)
            # As Span.record_exception does it, which would tell the secrets.
            told = {"type": info.type, "message": info.message, "stacktrace": info.traceback}
            span.add_event("exception", {f"exception.{name}": value for name, value in told.items()})
            raise

    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link] = (),
        around: Surroundings | None = None,
    ) -> AbstractContextManager[Span]:
        return self._tracer.start_as_current_span(
            name,
            around,
            kind,
            attributes,
            links,
            record_exception=False,
            set_status_on_exception=False,
        )


def _operation(name: str, kind: str, queue: str | None) -> dict[str, str | int]:
    place = {} if queue is None else {"messaging.destination.name": queue}
    return {**_SYSTEM, "messaging.operation.name": name, "messaging.operation.type": kind, **place}


def _name(attributes: Attributes) -> str:
    """Of the operation and its queue, if it is one."""
    return f"{attributes['messaging.operation.name']} {attributes.get('messaging.destination.name', '')}".rstrip()


def _of_job(job: Outgoing) -> dict[str, str | int]:
    pipeline = {} if job.pipeline is None else {"messaging.message.conversation_id": job.pipeline}
    return {"messaging.message.id": job.id, "taskmill.task.name": job.task, **pipeline}
