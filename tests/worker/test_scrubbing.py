"""What is stored of an error, and told of it, has none of the secrets of its job."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from taskmill import Event, Mill
from taskmill._core.secrecy import HIDDEN
from taskmill.errors import JobFailed


def run(mill: Mill) -> None:
    with mill.worker(burst=True):
        pass


def login(user: str, password: str, options: dict[str, str]) -> None:
    told = f"{user}/{password} at {options['url']} with {options['api_key']}"
    raise ConnectionError(f"refused: {told}, token=other")


OPTIONS = {"url": "redis://:hidden0@cache", "api_key": "hidden1"}
CLEAN = f"refused: ann/{HIDDEN} at redis://:{HIDDEN}@cache with {HIDDEN}, token={HIDDEN}"


def test_no_secret_is_stored_nor_told(caplog: pytest.LogCaptureFixture) -> None:
    mill = Mill("memory://")
    told: list[Event] = []
    mill.on("failed", "retrying")(told.append)
    task = mill.task(name="login", retries=1, retry_delay=0)(login)
    caplog.set_level(logging.DEBUG)

    result = task.enqueue("ann", "hidden2", OPTIONS)
    run(mill)

    job = mill.app.storage.inspection.job(result.id)
    assert job is not None
    errors = [job.error, job.attempts[0].error, *(event.error for event in told)]
    assert [error and error.message for error in errors] == [CLEAN] * 4
    with pytest.raises(JobFailed) as raised:
        result.get(timeout=1)
    texts = [str(raised.value), caplog.text, *(error.traceback for error in errors if error)]
    assert all(CLEAN in text for text in texts)
    assert not [text for text in texts if "hidden" in text.replace(HIDDEN, "")]


def test_a_coroutine_has_no_more_of_them() -> None:
    mill = Mill("memory://")

    @mill.task(name="login")
    async def connect(password: str) -> None:
        raise ConnectionError(password)

    result = connect.enqueue(password="hidden2")
    run(mill)

    with pytest.raises(JobFailed, match=HIDDEN):
        result.get(timeout=1)


def test_the_result_of_the_step_before_is_an_argument_too() -> None:
    mill = Mill("memory://")

    @mill.task(name="sign")
    def sign() -> dict[str, str]:
        return {"token": "hidden3"}

    @mill.task(name="send")
    def send(signed: dict[str, str], password: str) -> None:
        raise ConnectionError(f"{signed['token']} {password}")

    result = (sign.s() | send.s("hidden4")).enqueue()
    run(mill)

    with pytest.raises(JobFailed, match=f"{HIDDEN} {HIDDEN}"):
        result.get(timeout=1)


@pytest.mark.parametrize("secrets, message", [(["iban"], HIDDEN), (None, "DE123456")])
def test_a_program_says_what_is_secret(secrets: Any, message: str) -> None:
    mill = Mill("memory://", secrets=secrets)

    @mill.task(name="pay")
    def pay(iban: str) -> None:
        raise ValueError(iban)

    result = pay.enqueue("DE123456")
    run(mill)

    with pytest.raises(JobFailed, match=message):
        result.get(timeout=1)
