"""A store in which every text is one that somebody has made up to do harm, or that breaks what was not made for it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from taskmill import Mill
from taskmill._core.deed import Deed
from taskmill._core.identity import new_job_id
from taskmill._core.instant import HOUR
from taskmill._core.job import ErrorInfo, Reason, State
from taskmill._core.journal import PROGRESS, line_text, progress_text
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._storage.base import Writing
from tests.conformance.builders import Worker, a_job, a_pipeline

TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)",
    '" hx-get="/queues" hx-trigger="load',
    "</title></textarea></style><svg onload=alert(4)>",
    "javascript:alert(5)",
    "{{ 7 * 7 }}{% raw %}${7*7}<%= 7 %>",
    "<!--<script>",
    "&lt;b&gt;&quot;&#x3c;",
    "\u202etxt.exe\u202c \u2066x\u2069 \u200b",
    "\x1b[31mred\x07\r\nSet-Cookie: a=b\t|",
    "../../etc/passwd?x=1&y=2#z;%00%2e%2e/",
    "a" * 3_000,
    "wide " * 400,
    "\U0001f4a9\u0301\u0489 \u05d0\u05d1 \u65e5\u672c\u8a9e",
    "' or 1=1; drop table taskmill_job; --",
)


def fill(mill: Mill) -> None:
    """A job in each state for each text, all of whose texts it is."""
    storage = mill.app.storage
    worker = Worker(storage)
    for number, text in enumerate(TEXTS):
        storage.jobs.add([*_jobs(text, number)])
        for claimed in worker.claim(3):
            storage.journals.write(worker.session, [Writing(claimed, _said(text), [])])
            worker.settle(claimed, _endings(text)[claimed.attempt - 1 if claimed.max_attempts > 1 else 2])
        for claimed in worker.claim(1):
            worker.turn(
                Settlement(
                    claimed, Transition(State.SUCCEEDED, "succeeded", json.dumps({text: [text]})), None
                )
            )
        storage.audit.append(Deed(new_job_id(), text, text, text, text, number))
        storage.schedules.register(name=text, task=text, spec=text)
        storage.limits.acquire(text, worker.session)
        storage.sessions.open(kind=text[:200], lease=HOUR)
    storage.jobs.pause(TEXTS[0])


def _said(text: str) -> list[tuple[int, str]]:
    return [(PROGRESS, progress_text(1, 2, text, 1)), (1, line_text(1, text, text, text))]


def _jobs(text: str, number: int) -> Iterator:
    said = {
        "task": text,
        "queue": text,
        "args": json.dumps([[text, {text: [text]}], {text: text, "password": text}]),
        "tags": json.dumps([text]),
        "headers": json.dumps({text: text}),
    }
    yield a_job(max_attempts=2, priority=9, **said)
    yield a_job(priority=8, **said)
    yield a_job(priority=7, lock=text, **said)
    yield a_job(delay=HOUR, key=text, **said)
    yield from a_pipeline(f"{number}-1", f"{number}-2", pipeline=text, **said, delay=HOUR)


def _endings(text: str) -> list[Transition]:
    error = ErrorInfo(text, text, f'Traceback\n  File "{text}", line 1, in {text}\n{text}')
    return [
        Transition(State.QUEUED, "retrying", error=error, reason=Reason.ERROR),
        Transition(State.FAILED, "failed", error=error, reason=Reason.ERROR),
        Transition(State.FAILED, "failed", error=error, reason=Reason.ERROR),
    ]
