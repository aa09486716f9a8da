"""Which jobs a command means: by state, task, queue, any text, or the kind of their error."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._app.check import nearest
from taskmill._app.failures import MOST, failures
from taskmill._app.search import Filter, Search
from taskmill._cli.parser import Parser, some_of
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._core.wording import clean

_STATES = [*map(str, State)]
# A command waits for all of them, unlike a page.
_PATIENCE = 60.0


def add_options(parser: Parser) -> None:
    """The options that say which jobs."""
    parser.add_argument(
        "--state",
        action="extend",
        type=some_of("state", _STATES),
        metavar="STATE",
        help=f"only in this state, or these: {', '.join(_STATES)}; may be repeated",
    )
    parser.add_argument("--task", metavar="NAME", help="only of this task")
    parser.add_argument("--queue", metavar="NAME", help="only in this queue")
    parser.add_argument(
        "--text", metavar="TEXT", help="only with this in id, key, tags, arguments, result or error"
    )
    parser.add_argument(
        "--kind", metavar="MARK", help="only failed ones with an error of this kind, see taskmill errors"
    )


def has_any(arguments: Any) -> bool:
    """Whether one of them was given."""
    return any((arguments.state, arguments.task, arguments.queue, arguments.text, arguments.kind))


def filter_of(arguments: Any) -> Filter:
    """What the options say, but for the kind."""
    states = [State(state) for state in arguments.state or ()]
    return Filter(states, arguments.task, arguments.queue, arguments.text)


def jobs_of(app: Application, wanted: Filter, kind: str | None, *, limit: int) -> Iterator[Job]:
    """The jobs that are wanted, newest first; those of a *kind* of error are looked for in the latest failed ones."""
    if kind is None:
        return Search(app.storage.inspection, wanted).all(limit=limit)
    found = failures(app.storage, wanted, patience=_PATIENCE)
    return islice((job for group in found.groups if group.kind.mark == kind for job in group.jobs), limit)


def none_found(app: Application, arguments: Any) -> str:
    """That there are no such jobs, with the names that may have been meant."""
    queues = [count.queue for count in steering.queues(app)]
    told = "no jobs"
    if arguments.queue is not None and arguments.queue not in queues:
        told += f" in queue {arguments.queue!r}{nearest(arguments.queue, queues)}"
    if arguments.task is not None:
        told += _task_hint(app, arguments.task)
    if arguments.kind is not None:
        told += f" with an error of kind {arguments.kind!r} among the latest {MOST:,} that failed"
    return clean(told)


def _task_hint(app: Application, task: str) -> str:
    """Of a name that neither the application knows nor any job that waits nor the latest that have ended."""
    known = {*app.tasks.names, *(job.task for job in app.storage.inspection.find(limit=MOST))}
    known.update(waiting.task for waiting in app.storage.health.census().waiting)
    return "" if task in known else f" of task {task!r}{nearest(task, known)}"
