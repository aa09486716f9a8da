"""What Sentry is sent, by a transport that keeps it: of a program that enqueues, and of a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from taskmill import Cancel, Mill, Snooze, current_job, every
from taskmill._core.secrecy import HIDDEN
from taskmill._storage.open import open_storage
from taskmill.contrib.sentry import TaskmillIntegration
from tests.cli.process import Programs
from tests.conformance.builders import a_job

APP = """
    import json, os
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.transport import Transport
    from taskmill import Mill
    from taskmill.contrib.sentry import TaskmillIntegration

    mill = Mill("sqlite:///jobs.db")

    class Written(Transport):
        def capture_envelope(self, envelope):
            with open(f"sent-{os.getpid()}", "a") as file:
                for item in envelope.items:
                    if item.type == "event":
                        file.write(json.dumps(item.payload.json) + "\\n")

    sentry_sdk.init(
        dsn="http://key@localhost/1",
        transport=Written(),
        default_integrations=False,
        integrations=[TaskmillIntegration(mill), LoggingIntegration()],
    )

    @mill.task(name="fail", executor="process")
    def fail():
        raise LookupError("nowhere")

    @mill.task(name="leave", executor="process")
    def leave():
        raise SystemExit(3)
"""


class Kept(Transport):
    """Nothing leaves this process."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.items: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.items += [
            item.payload.json
            for item in envelope.items
            if item.type in {"event", "transaction", "check_in"} and item.payload.json
        ]

    def transactions(self) -> list[dict[str, Any]]:
        return [item for item in self.items if item.get("type") == "transaction"]

    def check_ins(self) -> list[tuple[str, str]]:
        return [(item["monitor_slug"], item["status"]) for item in self.items if "monitor_slug" in item]

    def errors(self) -> list[dict[str, Any]]:
        """Also what was only logged."""
        return [item for item in self.items if "exception" in item or "logentry" in item]


@pytest.fixture
def mill() -> Iterator[Mill]:
    mill = Mill("memory://")
    yield mill
    mill.close()


@pytest.fixture
def kept(mill: Mill, request: pytest.FixtureRequest) -> Iterator[Kept]:
    transport = Kept()
    options = getattr(request, "param", {})
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            dsn="http://key@localhost/1",
            transport=transport,
            traces_sample_rate=1.0,
            default_integrations=False,
            integrations=[TaskmillIntegration(mill, **options), LoggingIntegration()],
        )
        yield transport
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


def run(mill: Mill) -> None:
    with mill.worker(threads=1, burst=True):
        pass


def test_an_attempt_is_part_of_the_trace_of_its_enqueue(mill: Mill, kept: Kept) -> None:
    @mill.task(name="add", queue="mail")
    def add(a: int, b: int) -> int:
        return a + b

    with sentry_sdk.start_transaction(name="request"):
        result = add.enqueue(1, 2)
    run(mill)

    request, attempt = kept.transactions()
    [publish] = request["spans"]
    [process] = attempt["spans"]
    trace = attempt["contexts"]["trace"]
    assert (publish["op"], publish["description"]) == ("queue.publish", "add")
    assert publish["data"]["messaging.message.id"] == result.id
    assert publish["data"]["messaging.destination.name"] == "mail"
    assert publish["data"]["messaging.message.body.size"] == len("[[1,2],{}]")
    assert trace["trace_id"] == request["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == publish["span_id"]
    assert (trace["op"], attempt["transaction"]) == ("queue.task.taskmill", "add")
    assert attempt["transaction_info"] == {"source": "task"}
    assert process["op"] == "queue.process"
    assert process["data"]["messaging.message.id"] == result.id
    assert process["data"]["messaging.message.retry.count"] == 0
    assert process["data"]["messaging.message.receive.latency"] >= 0
    assert attempt["contexts"]["taskmill"] == {"id": result.id, "queue": "mail", "attempt": 1}


def test_an_error_that_ends_its_job_is_reported_with_its_trace(mill: Mill, kept: Kept) -> None:
    @mill.task(name="fail", retries=1, retry_delay=0)
    def fail() -> None:
        raise LookupError("nowhere")

    fail.enqueue()
    run(mill)

    [error] = kept.errors()
    [value] = error["exception"]["values"]
    assert (value["type"], value["value"]) == ("LookupError", "nowhere")
    assert value["mechanism"] == {"type": "taskmill", "handled": False}
    assert error["tags"]["taskmill.task"] == "fail"
    assert error["contexts"]["taskmill"]["attempt"] == 2
    assert error["contexts"]["trace"]["trace_id"] == kept.transactions()[-1]["contexts"]["trace"]["trace_id"]


def test_one_that_ran_in_a_process_of_its_own_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.py").write_text(dedent(APP), encoding="utf-8")
    with closing(open_storage("sqlite:///jobs.db")) as store:
        store.jobs.add([a_job(task=name, executor="process", args="[[],{}]") for name in ("fail", "leave")])

    assert programs.run("worker", "app", "--burst", "--process-slots", "1")[0] == 0

    sent = [json.loads(line) for file in tmp_path.glob("sent-*") for line in file.read_text().splitlines()]
    [reported] = [event for event in sent if "exception" in event]
    [logged] = [event for event in sent if "exception" not in event]
    assert reported["exception"]["values"][0]["value"] == "nowhere"
    # An exit is no error that is reported, and the log tells of it.
    assert "SystemExit" in logged["logentry"]["message"] % tuple(logged["logentry"]["params"])


def test_it_is_reported_without_the_secrets_of_the_job(mill: Mill, kept: Kept) -> None:
    @mill.task
    def login(user: str, password: str) -> None:
        words = [user, password]
        raise LookupError(f"not {words}")

    login.enqueue("ann", "hunter22")
    run(mill)

    [error] = kept.errors()
    [value] = error["exception"]["values"]
    assert value["value"] == f"not ['ann', '{HIDDEN}']"
    [frame] = value["stacktrace"]["frames"]
    assert frame["function"] == "login"
    assert frame["vars"]["user"] == "'ann'"
    assert "hunter22" not in json.dumps(error)


@pytest.mark.parametrize("kept", [{"retried": True}], indirect=True)
def test_if_wished_one_that_is_tried_again_is_reported_too(mill: Mill, kept: Kept) -> None:
    @mill.task(retries=1, retry_delay=0)
    def fail() -> None:
        raise LookupError("nowhere")

    fail.enqueue()
    run(mill)

    assert [error["contexts"]["taskmill"]["attempt"] for error in kept.errors()] == [1, 2]


def test_an_error_that_is_never_retried_ends_its_job_at_once(mill: Mill, kept: Kept) -> None:
    @mill.task(retries=3, no_retry_on=LookupError)
    def fail() -> None:
        raise LookupError("nowhere")

    fail.enqueue()
    run(mill)

    assert len(kept.errors()) == 1


@pytest.mark.parametrize("signal", [Snooze(60), Cancel("no more")], ids=["snooze", "cancel"])
def test_what_a_task_asks_for_is_no_error(mill: Mill, kept: Kept, signal: Exception) -> None:
    @mill.task
    def ask() -> None:
        raise signal

    ask.enqueue()
    run(mill)

    assert kept.errors() == []
    assert len(kept.transactions()) == 1


def test_jobs_that_are_enqueued_together_are_one_span(mill: Mill, kept: Kept) -> None:
    @mill.task(name="add")
    def add(a: int) -> int:
        return a

    with sentry_sdk.start_transaction(name="request"):
        mill.enqueue_many(add.s(n) for n in range(3))
    run(mill)

    request, *attempts = kept.transactions()
    [publish] = request["spans"]
    assert {each["contexts"]["trace"]["parent_span_id"] for each in attempts} == {publish["span_id"]}
    assert "messaging.message.id" not in publish["data"]


def test_scopes_of_attempts_do_not_mix(mill: Mill, kept: Kept) -> None:
    @mill.task(name="tagged")
    def tagged(number: int) -> None:
        sentry_sdk.set_tag(f"number-{number}", "here")
        raise LookupError(number)

    tagged.enqueue(1)
    tagged.enqueue(2)
    run(mill)

    first, second = kept.errors()
    assert "number-1" in first["tags"]
    assert "number-1" not in second["tags"]


def test_baggage_of_others_is_kept(mill: Mill, kept: Kept) -> None:
    seen: list[str] = []

    @mill.task
    def look() -> None:
        seen.append(current_job().headers["baggage"])

    with sentry_sdk.start_transaction(name="request"):
        look.using(headers={"baggage": "tenant=north"}).enqueue()
    run(mill)

    [baggage] = seen
    assert baggage.startswith("tenant=north,sentry-")


@pytest.mark.parametrize("kept", [{"monitors": True}], indirect=True)
def test_if_wished_what_has_a_schedule_checks_in(mill: Mill, kept: Kept) -> None:
    is_broken = [True]

    @mill.periodic(every(3600), name="shop.Tidy")
    def tidy() -> None:
        if is_broken.pop():
            raise LookupError

    @mill.task
    def other() -> None: ...

    tidy.enqueue()
    run(mill)
    is_broken.append(False)
    tidy.enqueue()
    other.enqueue()
    run(mill)

    slug = "shop-tidy"
    assert kept.check_ins() == [(slug, "in_progress"), (slug, "error"), (slug, "in_progress"), (slug, "ok")]


def test_otherwise_nothing_checks_in(mill: Mill, kept: Kept) -> None:
    @mill.periodic(every(3600))
    def tidy() -> None: ...

    tidy.enqueue()
    run(mill)

    assert kept.check_ins() == []
