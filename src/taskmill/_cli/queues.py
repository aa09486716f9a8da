"""``taskmill queues``: how much there is to do."""

from __future__ import annotations

import json
import sys
from typing import Any

from taskmill._app import steering
from taskmill._cli import exit_code, store
from taskmill._cli.parser import Parser
from taskmill._cli.text import Column, put, table, terminal_width
from taskmill._core.job import State
from taskmill._storage.base import QueueCount

_COLUMNS = (
    Column("QUEUE", shrinks=True),
    Column("DUE", to_right=True),
    *(Column(state.upper(), to_right=True) for state in State),
)


def configure(parser: Parser) -> None:
    """The commands and their options."""
    parser.describe("Look at the queues of a store.", example="  taskmill queues list")
    listing = parser.command("list", "how many jobs each queue holds, by state")
    listing.describe(
        "Count the jobs of each queue by state. DUE is the part of QUEUED that a worker could start now.",
        example="  taskmill queues list --json",
    )
    store.add_options(listing)


def run(arguments: Any) -> int:
    """Print the counts."""
    with store.open_app(arguments) as app:
        counts = steering.queues(app)
    if arguments.json:
        put(json.dumps({"queues": [_as_json(count) for count in counts]}))
    elif counts:
        rows = [
            (count.queue, count.due, *(count.states.get(state, 0) for state in State)) for count in counts
        ]
        put(*table(_COLUMNS, rows, terminal_width()))
    else:
        print("no jobs", file=sys.stderr)
    return exit_code.OK


def _as_json(count: QueueCount) -> dict[str, Any]:
    return {"queue": count.queue, "due": count.due} | {
        str(state): count.states.get(state, 0) for state in State
    }
