"""The log of a worker for programs: one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from datetime import UTC, datetime
from typing import Any

from taskmill._app.context import job_in_progress
from taskmill._core.job import Claimed
from taskmill._worker.logbook import Ending


class JsonFormatter(logging.Formatter):
    """Members that do not apply are left out; those of a job are there where it logs, and where its end is logged."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, which nothing in it can break."""
        ending = getattr(record, "taskmill", None)
        ending = ending if isinstance(ending, Ending) else None
        told: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **_job(ending),
            "worker": f"{platform.node()}:{os.getpid()}",
            **_span(),
        }
        if ending is not None and ending.traceback:
            told["msg"] = told["msg"].removesuffix(f"\n{ending.traceback}")
            told["exc"] = ending.traceback
        elif record.exc_info:
            told["exc"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        return json.dumps(told, default=str)


def _job(ending: Ending | None) -> dict[str, Any]:
    if ending is not None:
        duration = {} if ending.seconds is None else {"duration_ms": round(ending.seconds * 1_000, 3)}
        return _told(ending.claimed) | duration
    context = job_in_progress()
    return {} if context is None else _told(context.claimed)


def _told(claimed: Claimed) -> dict[str, Any]:
    return {
        "job_id": claimed.job_id,
        "task": claimed.task,
        "queue": claimed.queue,
        "attempt": claimed.attempt,
    }


def _span() -> dict[str, str]:
    """That of OpenTelemetry, in a program that has loaded it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
