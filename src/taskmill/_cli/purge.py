"""``taskmill purge``: delete jobs."""

from __future__ import annotations

from typing import Any

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._cli import consent, exit_code, person, store
from taskmill._cli.output import put, put_json
from taskmill._cli.parser import Parser
from taskmill._cli.progress import Progress
from taskmill._core.job import FINAL, State
from taskmill._core.wording import counted
from taskmill._storage.urls import shown

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
    consent.add_option(parser)
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Ask, delete, and tell how many."""
    with store.open_app(arguments) as app:
        if not _is_wanted(app, arguments):
            return exit_code.FAILURE
        progress = Progress("deleted")
        what = f"purge of {'ended' if arguments.ended else 'waiting'} jobs"
        with person.noting(app, what, arguments.queue or "all queues") as count:

            def tell(number: int) -> None:
                count(number)
                progress(number)

            deleted = steering.purge(app, queue=arguments.queue, ended=arguments.ended, on_progress=tell)
    if arguments.json:
        put_json({"deleted": deleted})
    else:
        put(f"{counted(deleted, 'job')} deleted")
    return exit_code.OK


def _is_wanted(app: Application, arguments: Any) -> bool:
    kind = "ended" if arguments.ended else "waiting"
    place = f"queue {arguments.queue!r}" if arguments.queue else "all queues"
    number = 0 if arguments.yes else _count(app, arguments)
    return consent.is_given(
        f"Delete {counted(number, f'{kind} job')} of {place} in {shown(app.storage.url)}?",
        beforehand=arguments.yes,
        why="purge deletes jobs for good",
        otherwise="nothing was deleted",
    )


def _count(app: Application, arguments: Any) -> int:
    states = FINAL if arguments.ended else _WAITING
    counts = [count for count in steering.queues(app) if arguments.queue in {None, count.queue}]
    return sum(number for count in counts for state, number in count.states.items() if state in states)
