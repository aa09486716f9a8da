"""The log of a worker as programs read it: every line an object."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from taskmill._cli.json_log import JsonFormatter
from tests.cli.process import Programs

TALKATIVE = """
import logging
from taskmill import Mill

logging.basicConfig(format="of the application: %(message)s")
mill = Mill("sqlite:///jobs.db")

@mill.task(name="talk", queue="mail")
def talk():
    logging.getLogger("shop").warning("two\\nlines, %s", "told")

@mill.task(name="fail")
def fail():
    raise LookupError("nowhere")
"""


def test_every_line_is_an_object(programs: Programs, app: ModuleType, folder: Path) -> None:
    (folder / "talkative.py").write_text(TALKATIVE)
    talk, fail = app.mill.task(name="talk", queue="mail")(print), app.mill.task(name="fail")(print)
    told, failed = talk.enqueue(), fail.enqueue()

    status, _, err = programs.run("worker", "talkative", "--burst", "--log-format", "json", "-v")

    assert status == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
    assert all({"ts", "level", "logger", "msg", "worker"} <= line.keys() for line in lines)
    assert all(datetime.fromisoformat(line["ts"]).utcoffset() is not None for line in lines)
    assert " worker on sqlite:///" in lines[0]["msg"]
    [said] = [line for line in lines if line["logger"] == "shop"]
    assert said["msg"] == "two\nlines, told"
    assert (said["level"], said["job_id"], said["task"]) == ("warning", told.id, "talk")
    assert (said["queue"], said["attempt"]) == ("mail", 1)
    [error] = [line for line in lines if line["level"] == "error"]
    assert error["msg"] == f"fail {failed.id} (attempt 1 of 1) failed: LookupError: nowhere"
    assert error["exc"].startswith("Traceback ")
    assert error["job_id"] == failed.id
    assert error["duration_ms"] >= 0
    [ended] = [line for line in lines if line["msg"] == f"talk {told.id} (attempt 1 of 1) succeeded"]
    assert ended["level"] == "debug"
    assert re.fullmatch(r".+:\d+", ended["worker"])


def record(**members: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "shop", "levelname": "INFO", "msg": "hello"} | members)


def test_the_span_that_is_open_is_named() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        context = span.get_span_context()
        inside = json.loads(JsonFormatter().format(record()))
    outside = json.loads(JsonFormatter().format(record()))

    assert int(inside["trace_id"], 16) == context.trace_id
    assert int(inside["span_id"], 16) == context.span_id
    assert not {"trace_id", "span_id"} & outside.keys()


def test_an_error_is_told_with_its_stack() -> None:
    with pytest.raises(LookupError) as caught:
        raise LookupError("nowhere")
    told = json.loads(JsonFormatter().format(record(exc_info=(caught.type, caught.value, caught.tb))))

    assert told["exc"].splitlines()[-1] == "LookupError: nowhere"


def test_the_stack_that_was_asked_for_is_told() -> None:
    told = json.loads(JsonFormatter().format(record(stack_info="Stack (most recent call last):\n  here")))

    assert told["stack"].splitlines() == ["Stack (most recent call last):", "  here"]


def test_what_others_attach_to_a_record_harms_nothing() -> None:
    told = json.loads(JsonFormatter().format(record(taskmill="theirs")))

    assert (told["msg"], "job_id" in told) == ("hello", False)
