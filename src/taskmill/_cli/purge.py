"""``taskmill purge``: delete jobs."""

from __future__ import annotations

import json
import sys
from typing import Any

from taskmill._app import audit, steering
from taskmill._app.application import Application
from taskmill._cli import exit_code, person, store
from taskmill._cli.parser import Parser
from taskmill._cli.text import put
from taskmill._core.job import FINAL, State
from taskmill._core.wording import clean
from taskmill._storage.open import shown
from taskmill.errors import ConfigurationError

_WAITING = frozenset({State.BLOCKED, State.QUEUED})


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Delete all waiting jobs, or all that have ended, of one queue or of all. Running jobs are never deleted. "
        "It asks before; without a terminal it wants --yes.",
        example="  taskmill purge --queue mail\n  taskmill purge --ended --yes",
    )
    parser.add_argument("--queue", metavar="NAME", help="only in this queue")
    parser.add_argument(
        "--ended", action="store_true", help="delete ended jobs, with their results, not waiting ones"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Ask, delete, and tell how many."""
    with store.open_app(arguments) as app:
        if not arguments.yes and not _agreed(app, arguments):
            print("nothing was deleted", file=sys.stderr)
            return exit_code.FAILURE
        deleted = steering.purge(app, queue=arguments.queue, ended=arguments.ended)
        what = f"purge of {'ended' if arguments.ended else 'waiting'} jobs"
        audit.note(app, person.here(), what, arguments.queue or "all queues", number=deleted)
    put(json.dumps({"deleted": deleted}) if arguments.json else f"{deleted} jobs deleted")
    return exit_code.OK


def _agreed(app: Application, arguments: Any) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError("purge deletes jobs for good: add --yes where nobody can be asked")
    kind = "ended" if arguments.ended else "waiting"
    place = f"queue {arguments.queue!r}" if arguments.queue else "all queues"
    question = f"Delete {_count(app, arguments)} {kind} jobs of {place} in {shown(app.storage.url)}? [y/N] "
    print(clean(question), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _count(app: Application, arguments: Any) -> int:
    states = FINAL if arguments.ended else _WAITING
    counts = [count for count in steering.queues(app) if arguments.queue in {None, count.queue}]
    return sum(number for count in counts for state, number in count.states.items() if state in states)
