"""``taskmill move``: all jobs of a store into another one."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from typing import Any

from taskmill._app.moving import Moved, move
from taskmill._cli import exit_code, store
from taskmill._cli.parser import Parser
from taskmill._cli.text import put
from taskmill._core.wording import clean, counted, listed
from taskmill._storage.open import open_storage, shown
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
    parser.add_argument("--from", metavar="URL", dest="source", required=True, help="the store that is left")
    parser.add_argument(
        "--to", metavar="URL", dest="target", required=True, help="the store to live in; made if need be"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for programs")


def run(arguments: Any) -> int:
    """Move, and tell what was moved and what was left."""
    for url in (arguments.source, arguments.target):
        store.check_shared(url)
    with closing(open_storage(arguments.source)) as source, closing(open_storage(arguments.target)) as target:
        if not source.exists():
            raise StoreUnavailable(f"there is no store at {shown(source.url)}: nothing was moved")
        moved = move(source, target, _Progress())
    put(json.dumps(moved._asdict()) if arguments.json else _as_text(moved))
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
    jobs, schedules = counted(moved.jobs, "job"), counted(moved.schedules, "schedule")
    return f"{jobs}, {schedules} and {counted(moved.pauses, 'pause')} moved"


class _Progress:
    """Once a second, for people."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, jobs: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= 1:
            self._told_at = now
            _tell(f"{counted(jobs, 'job')} moved so far")


def _tell(message: str) -> None:
    print(f"taskmill: {clean(message)}", file=sys.stderr)
