"""``taskmill move``: all jobs of a store into another one."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any

from taskmill._app.moving import Moved, move
from taskmill._cli import exit_code, store
from taskmill._cli.output import put, put_json
from taskmill._cli.parser import Parser
from taskmill._cli.progress import Progress
from taskmill._cli.text import contents
from taskmill._core.wording import clean, counted, listed
from taskmill._storage.open import open_storage
from taskmill._storage.urls import shown
from taskmill.errors import StoreUnavailable

_SHOWN = 10


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Move jobs, schedules and pauses to another store, of whatever kind, while workers work in both. What "
        "runs stays, and is told of by status 1: run it again then, as you can where it was killed. "
        "docs/operations.md says how a queue moves house.",
        example="  taskmill move --from sqlite:///jobs.db --to postgresql://app@db/app\n"
        "  taskmill move --from sqlite:///jobs.db --to redis://localhost --json",
    )
    parser.require("--from", metavar="URL", dest="source", help="the store that is left")
    parser.require("--to", metavar="URL", dest="target", help="the store to live in; made if need be")
    parser.add_argument("--json", action="store_true", help="one JSON object for programs")


def run(arguments: Any) -> int:
    """Move, and tell what was moved and what was left."""
    for url in (arguments.source, arguments.target):
        store.check_shared(url)
    with closing(open_storage(arguments.source)) as source, closing(open_storage(arguments.target)) as target:
        if not source.exists():
            raise StoreUnavailable(f"there is no store at {shown(source.url)}: nothing was moved")
        moved = move(source, target, Progress("moved"))
    if arguments.json:
        put_json(moved._asdict())
    else:
        put(_as_text(moved))
    if moved.known:
        names = listed([*moved.known[:_SHOWN], *(["others"] if len(moved.known) > _SHOWN else [])])
        _tell(f"{counted(len(moved.known), 'job')} dropped, as their ids or keys were there already: {names}")
    if moved.left:
        _tell(
            f"{counted(moved.left, 'job')} left: they run, or a step of theirs does, so run this again later"
        )
        return exit_code.FAILURE
    return exit_code.OK


def _as_text(moved: Moved) -> str:
    return f"{contents(moved.jobs, moved.schedules, moved.pauses)} moved"


def _tell(message: str) -> None:
    print(f"taskmill: {clean(message)}", file=sys.stderr)
