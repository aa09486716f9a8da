"""Log records that are made while a job runs, wherever in the program, go to that job's notes as well."""

from __future__ import annotations

import functools
import logging
from typing import Any

from taskmill._app.context import job_in_progress


@functools.cache
def install() -> None:
    """Have each record that is made in this process looked at, once and for good.

    By the factory of records, not by a handler: a handler at the root makes `logging.basicConfig` do nothing, takes the
    place of the one of last resort, is thrown out by `dictConfig`, and hears nothing of loggers that do not propagate.
    """
    make = logging.getLogRecordFactory()

    def make_and_note(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        context = job_in_progress()
        if context is not None:
            level, notes = context.log_level, context.notes
            # makeLogRecord makes one without a level, to be filled in with what another process has logged.
            if level is not None and notes is not None and record.levelno and record.levelno >= level:
                notes.log(record)
        return record

    logging.setLogRecordFactory(make_and_note)
