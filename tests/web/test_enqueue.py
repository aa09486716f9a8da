"""The form that enqueues a task: from its signature, checked as a call is."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from taskmill import Context, Mill
from taskmill._app import steering
from taskmill._core.record import Job
from tests.web.browser import Browser


@pytest.fixture
def calls(mill: Mill) -> Mill:
    """With a task of each kind of parameter."""

    @mill.task(name="pay", queue="money", priority=5)
    def pay(
        context: Context,
        order: int,
        /,
        to: str,
        amount: Decimal = Decimal(1),
        *,
        note: str = "none",
        token: str = "",
    ) -> None: ...

    @mill.task(name="tick")
    def tick() -> None: ...

    mill.app.storage.jobs.add([])
    return mill


def field(browser: Browser, name: str, address: str = "/enqueue?task=pay") -> str:
    found = re.search(f'<input[^>]* name="{re.escape(name)}"[^>]*>', browser.get(address).body)
    assert found is not None
    return found[0]


def enqueued(calls: Mill, browser: Browser, **form: Any) -> Job:
    answer = browser.post("/tasks/enqueue", {"task": "pay"} | form)
    assert answer.status == 303, answer.body
    job = calls.app.storage.inspection.job(answer["location"].rpartition("/")[2])
    assert job is not None
    return job


def test_each_parameter_has_a_field(calls: Mill, browser: Browser) -> None:
    assert "required" in field(browser, "with.order")
    assert "required" in field(browser, "with.to")
    assert 'placeholder="Decimal(&#39;1&#39;)"' in field(browser, "with.amount")
    assert 'type="password"' in field(browser, "with.token")
    assert 'value="money"' in field(browser, "queue")
    assert "with.context" not in browser.get("/enqueue?task=pay").body
    assert "It takes no arguments." in browser.get("/enqueue?task=tick").body


def test_what_is_given_becomes_a_job(calls: Mill, browser: Browser) -> None:
    given = {"with.order": "17", "with.to": "12", "with.amount": '{"!decimal":"2.50"}', "with.note": "a b"}

    job = enqueued(calls, browser, **given, queue="slow", priority="-3", delay="60")

    assert calls.app.codec.decode_call(job.args) == (
        (17,),
        {"to": "12", "amount": Decimal("2.50"), "note": "a b"},
    )
    assert (job.task, job.queue, job.priority) == ("pay", "slow", -3)
    assert (job.run_at - job.enqueued_at).total_seconds() == 60


def test_what_is_left_empty_is_left_to_its_default(calls: Mill, browser: Browser) -> None:
    job = enqueued(calls, browser, **{"with.order": "1", "with.to": "ann"})

    assert calls.app.codec.decode_call(job.args) == ((1,), {"to": "ann"})
    assert (job.queue, job.priority) == ("money", 5)


@pytest.mark.parametrize(
    "form, wrong",
    [
        ({}, "missing a required"),
        ({"with.order": "1"}, "missing a required argument"),
        ({"with.order": "1", "with.to": "a", "priority": "101"}, "priority"),
        ({"with.order": "1", "with.to": "a", "priority": "x"}, "invalid literal"),
        ({"with.order": "1", "with.to": "a", "delay": "-1"}, "delay"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_lost(
    form: dict[str, str], wrong: str, calls: Mill, browser: Browser
) -> None:
    answer = browser.post("/tasks/enqueue", {"task": "pay", "with.note": "kept", **form})

    assert answer.status == 400
    assert wrong in answer.body
    assert 'value="kept"' in answer.body
    assert steering.find(calls.app) == []


def test_it_is_filled_in_like_another_job_but_for_its_secrets(calls: Mill, browser: Browser) -> None:
    task = calls.app.tasks["pay"]
    job_id = task.using(queue="x").enqueue(17, to="17", amount=Decimal("1.5"), note="a b", token="t0p").id
    address = f"/enqueue?task=pay&like={job_id}"

    assert 'value="17"' in field(browser, "with.order", address)
    assert 'value="&#34;17&#34;"' in field(browser, "with.to", address)
    assert 'value="{&#34;!decimal&#34;: &#34;1.5&#34;}"' in field(browser, "with.amount", address)
    assert 'value="a b"' in field(browser, "with.note", address)
    assert 'value=""' in field(browser, "with.token", address)
    assert 'value="x"' in field(browser, "queue", address)
    assert "t0p" not in browser.get(address).body


def test_what_has_a_secret_in_it_is_left_out_too(calls: Mill, browser: Browser) -> None:
    @calls.task(name="send")
    def send(to: dict[str, Any], options: dict[Any, Any]) -> None: ...

    job_id = send.enqueue({"deep": [{"password": "t0p"}]}, {"pin": "t0p", 1: 2}).id
    plain_id = send.enqueue({"deep": [{"name": "ann"}]}, {}).id

    page = browser.get(f"/enqueue?task=send&like={job_id}").body

    assert "t0p" not in page
    assert "ann" in browser.get(f"/enqueue?task=send&like={plain_id}").body


def test_a_task_that_is_not_known_has_no_form(calls: Mill, browser: Browser) -> None:
    assert browser.get("/enqueue?task=nobody").status == 404
    assert browser.post("/tasks/enqueue", {"task": "nobody"})["location"] == "/tasks"


def test_the_form_holds_still_and_says_nothing_of_it(calls: Mill, browser: Browser) -> None:
    body = browser.get("/enqueue?task=pay").body

    assert re.search('<main id="page"[^>]* data-still>', body)
    assert not re.search(">\\s*still\\s*<", body)
