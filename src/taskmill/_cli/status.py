"""``taskmill status``: how things stand, in one look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from taskmill._app.survey import Survey, survey_of
from taskmill._cli import doctor, exit_code, queues, store
from taskmill._cli.output import put_json, put_lines, terminal_width
from taskmill._cli.overview import lines_of
from taskmill._cli.parser import Parser
from taskmill._cli.text import Line
from taskmill._cli.workers import alive
from taskmill._core.job import State
from taskmill._storage.base import Storage
from taskmill._storage.urls import shown


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Say how things stand: jobs by state, queues, workers, the latest hour, and what the doctor finds. `taskmill "
        "top` shows the same, and goes on.",
        example="  taskmill status\n  taskmill status --app shop.tasks:mill --json",
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Print it."""
    with store.open_app(arguments) as app:
        survey = survey_of(app.storage, app.storage.health.findings())
        if arguments.json:
            put_json(as_json(app.storage, survey))
        else:
            put_lines(_lines(app.storage, survey))
    return exit_code.OK


def _lines(storage: Storage, survey: Survey) -> Iterator[Line]:
    yield from lines_of(storage, survey, terminal_width())
    for finding in survey.findings:
        yield []
        yield from doctor.as_lines(finding)


def as_json(storage: Storage, survey: Survey) -> dict[str, Any]:
    """All of it, for programs."""
    paused = storage.inspection.paused()
    counts = survey.counts
    working = alive(survey.census)
    return {
        "store": shown(storage.url),
        "states": {str(state): counts[state] for state in State},
        "due": survey.due,
        "queues": [queues.as_json(queue, paused) for queue in survey.queues],
        "workers": len(working),
        "findings": [doctor.as_json(finding) for finding in survey.findings],
    }
