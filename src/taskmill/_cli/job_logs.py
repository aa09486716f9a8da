"""``taskmill logs``: what a job has logged, and goes on to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from taskmill._app.application import Application
from taskmill._cli import exit_code, store
from taskmill._cli.output import complain, put, put_json
from taskmill._cli.parser import Parser, positive
from taskmill._core.journal import placed_lines
from taskmill._core.remark import LogLine
from taskmill._core.wording import clean, clean_lines

# A line, and its place: the fence it was said under, and its number.
_Placed = tuple[tuple[int, int], LogLine]

# How often the store is asked whether it has changed.
_LOOK = 0.2


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Print what a job has logged, oldest line first. Status 1 if there is no such job.",
        example="  taskmill logs 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b --follow",
    )
    parser.add_argument("job_id", metavar="ID", help="the id of the job, as `taskmill jobs list` prints it")
    parser.add_argument("--attempt", type=positive, metavar="N", help="only of this attempt, from 1")
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="go on until the job has ended, within a second of what it logs; with --json one object a line",
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Print them."""
    with store.open_app(arguments) as app:
        if app.storage.inspection.outcome(arguments.job_id) is None:
            complain(f"there is no job {arguments.job_id!r}; `taskmill jobs list` prints whole ids")
            return exit_code.FAILURE
        if arguments.follow:
            for lines in _news(app, arguments):
                put(*(told for line in lines for told in _told(line, as_json=arguments.json)))
        else:
            _put_all(app, arguments)
    return exit_code.OK


def _put_all(app: Application, arguments: Any) -> None:
    sheets = app.storage.journals.read(arguments.job_id)
    lines = [*placed_lines(sheets, arguments.attempt)]
    if arguments.json:
        put_json({"lines": [_as_json(line) for line in lines]})
    else:
        put(*(told for line in lines for told in _told(line, as_json=False)))


def _news(app: Application, arguments: Any) -> Iterator[list[_Placed]]:
    """What is new, again and again until the job has ended or is gone."""
    seen, last = -1, (0, 0)
    while True:
        version = app.storage.version()
        if version != seen:
            seen = version
            # In this order: what an attempt has logged is stored before its end.
            outcome = app.storage.inspection.outcome(arguments.job_id)
            placed = [*placed_lines(app.storage.journals.read(arguments.job_id), arguments.attempt)]
            yield [(place, line) for place, line in placed if place > last]
            last = max([last, *(place for place, _ in placed)])
            if outcome is None or outcome.state.is_final:
                return
        time.sleep(_LOOK)


def _told(placed: _Placed, *, as_json: bool) -> list[str]:
    _, line = placed
    if as_json:
        return [json.dumps(_as_json(placed))]
    if not line.level:
        return [clean(line.message)]
    first, *more = clean_lines(line.message)
    at = line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [f"{at} {clean(line.level)} {clean(line.logger)}: {first}", *(f"    {text}" for text in more)]


def _as_json(placed: _Placed) -> dict[str, Any]:
    (fence, _), line = placed
    return {**line._asdict(), "fence": fence, "at": line.at.isoformat(timespec="microseconds")}
