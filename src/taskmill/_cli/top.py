"""``taskmill top``: how things stand, kept on the screen."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from os import terminal_size
from shutil import get_terminal_size
from typing import Any

from taskmill._app.reading import Reader
from taskmill._cli import exit_code, live, status, store
from taskmill._cli.output import put_json
from taskmill._cli.overview import lines_of
from taskmill._cli.parser import Parser, seconds
from taskmill._cli.text import Column, Line, Span, beginning, table, word
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._core.wording import ago, clean, span
from taskmill.errors import ConfigurationError, StoreError

_RUNNING = (Column("RUNNING"), Column("TASK", shrinks=True), Column("FOR", to_right=True))
_FAILED = (
    Column("FAILED"),
    Column("TASK", shrinks=True),
    Column("WHEN", to_right=True),
    Column("ERROR", shrinks=True, ends=True),
)
_MOST = 50
_SHORTEST = 0.1


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Keep on the screen how things stand: jobs by state, queues, workers, what runs and what failed last. "
        "The key q, or Ctrl-C, ends it. With --json: a line for each look, as `taskmill status` has it.",
        example="  taskmill top\n  taskmill top --every 5 --app shop.tasks:mill",
    )
    parser.add_argument("--every", type=seconds, default=1.0, metavar="SECONDS", help="how often to look")
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Draw until told to stop."""
    pause = max(arguments.every, _SHORTEST)
    if not arguments.json and not live.is_possible():
        raise ConfigurationError(
            "top needs a terminal: `taskmill status` says it once, `taskmill top --json` in lines"
        )
    with store.open_app(arguments) as app, closing(Reader(app)) as reader:
        if arguments.json:
            _print(reader, pause)
        else:
            _draw(reader, pause)
    return exit_code.OK


def _print(reader: Reader, pause: float) -> None:
    while True:
        put_json(status.as_json(reader.storage, reader.survey.get()))
        time.sleep(pause)


def _draw(reader: Reader, pause: float) -> None:
    with live.screen() as screen:
        while True:
            screen.draw(_frame(reader, get_terminal_size()))
            if live.wants_to_quit(pause):
                return


def _frame(reader: Reader, size: terminal_size) -> list[Line]:
    """What fits on the screen; a store in trouble is told there, and asked again."""
    try:
        lines = [*_lines(reader, size.columns)]
    except StoreError as trouble:
        told = clean(f": {trouble}")
        at = f"{datetime.now().astimezone():%H:%M:%S}  "
        lines = [[Span(at), word("error"), Span(beginning(told, size.columns - len(at) - len("error")))]]
    foot: Line = [Span("q: quit", "dim")]
    # The cursor has a line of its own.
    return [*lines[: max(0, size.lines - 2)], foot]


def _lines(reader: Reader, width: int) -> Iterator[Line]:
    storage = reader.storage
    yield from lines_of(storage, reader.survey.get(), width)
    now = to_datetime(storage.now())
    running = reader.inspection.find(Filter(states=[State.RUNNING]), limit=_MOST)
    yield from _section(_RUNNING, [_running(job, now) for job in running], width)
    failed = reader.inspection.find(Filter(states=[State.FAILED]), limit=_MOST)
    yield from _section(_FAILED, [_failed(job, now) for job in failed], width)


def _section(columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int) -> Iterator[Line]:
    if rows:
        yield []
        yield from table(columns, rows, width)


def _running(job: Job, now: datetime) -> tuple[object, ...]:
    began_at = job.started_at or job.claimed_at or now
    return job.job_id, job.task, span((now - began_at).total_seconds())


def _failed(job: Job, now: datetime) -> tuple[object, ...]:
    error = str(job.error) if job.error else job.reason or ""
    return job.job_id, job.task, ago(job.ended_at or now, now), error
