"""Spans as the SDK receives them: of a program that enqueues here, and of a worker in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from taskmill import Mill, Snooze
from taskmill._core.secrecy import HIDDEN
from taskmill.contrib.opentelemetry import instrument
from tests.cli.process import Programs
from tests.contrib.conftest import Applied

APP = """
    import os
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from taskmill import Mill
    from taskmill.contrib import opentelemetry

    mill = Mill("sqlite:///jobs.db")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    opentelemetry.instrument(mill, tracer_provider=provider)

    @mill.task(name="add", queue="mail")
    def add(a, b):
        return a + b

    @mill.task(name="aadd", queue="mail")
    async def aadd(a, b):
        return a + b

    @mill.task(name="elsewhere", queue="mail", executor="process")
    def elsewhere(a, b):
        return a + b

    @mill.on_stop
    def write_down():
        "What this process has left, for the test to read."
        with open(f"spans-{os.getpid()}", "w") as file:
            file.write("\\x00".join(span.to_json() for span in exporter.get_finished_spans()))
"""


class Watch:
    """A mill in memory whose spans and metrics are kept."""

    def __init__(self, **options: Any) -> None:
        self.mill = Mill("memory://")
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        instrument(
            self.mill,
            tracer_provider=self.provider,
            meter_provider=MeterProvider([self.reader]),
            **options,
        )

    def run(self) -> None:
        with self.mill.worker(threads=1, burst=True):
            pass

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def counted(self) -> dict[str, float]:
        """The values of counters, and how often histograms were fed."""
        found: dict[str, float] = {}
        data = self.reader.get_metrics_data()
        assert data is not None
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        value = point.count if isinstance(point, HistogramDataPoint) else point.value
                        found[metric.name] = found.get(metric.name, 0) + value
        return found


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.mill.close()


def context_of(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def links_of(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def test_attempts_in_other_processes_are_linked_to_their_enqueues(
    application: Applied, programs: Programs
) -> None:
    app: ModuleType = application(APP)
    tasks = [app.add, app.aadd, app.elsewhere]
    results = {task.name: task.enqueue(1, 2) for task in tasks}

    assert programs.run("worker", "app", "--burst")[0] == 0

    written = [file.read_text() for file in Path().glob("spans-*")]
    spans = [json.loads(text) for texts in written for text in texts.split("\0") if text]
    processed = {span["attributes"]["taskmill.task.name"]: span for span in spans}
    assert len(spans) == len(processed) == 3
    for task, sent in zip(tasks, app.exporter.get_finished_spans(), strict=True):
        assert (sent.name, sent.kind) == ("send mail", SpanKind.PRODUCER)
        assert_is_linked(processed[task.name], sent, results[task.name].id)


def assert_is_linked(processed: dict[str, Any], sent: ReadableSpan, job_id: str) -> None:
    assert (processed["name"], processed["kind"]) == ("process mail", "SpanKind.CONSUMER")
    [link] = processed["links"]
    trace_id, span_id = context_of(sent)
    assert int(link["context"]["trace_id"], 16) == trace_id
    assert int(link["context"]["span_id"], 16) == span_id
    assert processed["parent_id"] is None
    assert ":" in processed["attributes"].pop("messaging.client.id")
    assert processed["attributes"].pop("taskmill.task.name") == (sent.attributes or {})["taskmill.task.name"]
    assert processed["attributes"] == {
        "messaging.system": "taskmill",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": job_id,
        "taskmill.job.attempt": 1,
    }


def test_the_enqueue_of_one_job(watch: Watch) -> None:
    add = watch.mill.task(name="add", queue="mail")(lambda a: a)
    with watch.provider.get_tracer("test").start_as_current_span("request") as request:
        result = add.enqueue(1)

    [sent] = watch.named("send mail")
    assert sent.parent is not None
    assert sent.parent.span_id == request.get_span_context().span_id
    assert dict(sent.attributes or {}) == {
        "messaging.system": "taskmill",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "mail",
        "messaging.message.id": result.id,
        "taskmill.task.name": "add",
    }


def test_several_at_once_are_created_each_and_sent_together(watch: Watch) -> None:
    add = watch.mill.task(name="add", queue="mail")(lambda a: a)
    other = watch.mill.task(name="other", queue="files")(lambda a: a)
    watch.mill.enqueue_many([add.s(1), add.s(2), other.s(3)])
    watch.run()

    created = [*watch.named("create mail"), *watch.named("create files")]
    [sent] = watch.named("send")
    processed = [*watch.named("process mail"), *watch.named("process files")]
    assert {span.kind for span in created} == {SpanKind.PRODUCER}
    assert sent.kind is SpanKind.CLIENT
    assert (sent.attributes or {})["messaging.batch.message_count"] == 3
    assert sorted(links_of(sent)) == sorted(map(context_of, created))
    assert sorted(link for span in processed for link in links_of(span)) == sorted(map(context_of, created))


def test_steps_of_a_pipeline_say_what_they_belong_to(watch: Watch) -> None:
    add = watch.mill.task(name="add")(lambda a: a)
    (add.s(1) | add.s()).enqueue()

    told = {
        (span.attributes or {})["messaging.message.conversation_id"] for span in watch.named("create default")
    }
    assert len(told) == 1


def test_with_parent_it_is_one_trace() -> None:
    watch = Watch(parent=True)
    add = watch.mill.task(name="add")(lambda: None)
    add.enqueue()
    watch.run()

    [sent], [processed] = watch.named("send default"), watch.named("process default")
    assert processed.parent is not None
    assert (processed.parent.trace_id, processed.parent.span_id) == context_of(sent)
    assert links_of(processed) == [context_of(sent)]


def test_each_attempt_that_fails_says_why(watch: Watch) -> None:
    @watch.mill.task(retries=1, retry_delay=0)
    def fail() -> None:
        raise LookupError("nowhere")

    fail.enqueue()
    watch.run()

    first, second = watch.named("process default")
    assert [(span.attributes or {})["taskmill.job.attempt"] for span in (first, second)] == [1, 2]
    assert first.status.status_code is StatusCode.ERROR
    assert (first.attributes or {})["error.type"] == "LookupError"
    assert [event.name for event in first.events] == ["exception"]


def test_why_is_said_without_the_secrets_of_the_job(watch: Watch) -> None:
    @watch.mill.task
    def login(password: str) -> None:
        raise LookupError(f"not {password}")

    login.enqueue("hunter22")
    watch.run()

    [span] = watch.named("process default")
    assert span.status.description == f"not {HIDDEN}"
    [event] = span.events
    assert (event.attributes or {})["exception.message"] == f"not {HIDDEN}"
    assert "in login\n" in str((event.attributes or {})["exception.stacktrace"])
    assert "hunter22" not in span.to_json()


def test_an_error_that_cannot_be_written_stays_what_it_is(watch: Watch) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @watch.mill.task
    def fail() -> None:
        raise Broken

    result = fail.enqueue()
    watch.run()

    error = result.job().error
    assert error is not None
    assert error.type.endswith("Broken")
    [span] = watch.named("process default")
    assert (span.attributes or {})["error.type"] == error.type


def test_a_task_that_asks_to_be_snoozed_has_not_failed(watch: Watch) -> None:
    @watch.mill.task
    def later() -> None:
        raise Snooze(60)

    later.enqueue()
    watch.run()

    [processed] = watch.named("process default")
    assert processed.status.status_code is StatusCode.UNSET
    assert "error.type" not in (processed.attributes or {})


def test_an_enqueue_that_fails_says_why(watch: Watch) -> None:
    @watch.mill.task
    def add() -> None: ...

    watch.mill.app.storage.close()
    watch.mill.app.storage.jobs = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        add.enqueue()

    [sent] = watch.named("send default")
    assert sent.status.status_code is StatusCode.ERROR


def test_metrics(watch: Watch) -> None:
    @watch.mill.task
    def add() -> None: ...

    watch.mill.enqueue_many([add.s(), add.s()])
    add.enqueue()
    watch.run()

    assert watch.counted() == {
        "messaging.client.sent.messages": 3,
        "messaging.client.operation.duration": 2,
        "messaging.client.consumed.messages": 3,
        "messaging.process.duration": 3,
    }
