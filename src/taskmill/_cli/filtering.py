"""Which jobs a command means: by state, task, queue, any text, or the kind of their error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import islice
from typing import Any

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._app.failures import MOST, latest_failed
from taskmill._app.search import Search
from taskmill._cli.parser import Parser, moment, number, some_of
from taskmill._core.filter import EVERY, Filter
from taskmill._core.fingerprint import fingerprint
from taskmill._core.instant import instant_of
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._core.wording import clean, nearest

_STATES = [*map(str, State)]
# A command waits for all of them, unlike a page.
_PATIENCE = 60.0
_TEXTS = (
    ("--task", "NAME", "only of this task"),
    ("--queue", "NAME", "only in this queue"),
    ("--tag", "TAG", "only with this tag"),
    ("--text", "TEXT", "only with this in id, task, queue, key, tags, arguments, result or error"),
    ("--kind", "MARK", "only failed ones with an error of this kind, see taskmill errors"),
)
_NUMBERS = (
    ("--lowest", "only of this priority or a higher one"),
    ("--highest", "only of this priority or a lower one"),
    ("--session", "only those that this session has, or had; see taskmill workers"),
)
_MOMENTS = (
    ("--enqueued-from", "only those enqueued then or later: 90s, 5min, 3h, 2d ago, or ISO 8601 (UTC)"),
    ("--enqueued-before", "only those enqueued before"),
    ("--ended-from", "only those that ended then or later"),
    ("--ended-before", "only those that ended before"),
)


def add_options(parser: Parser) -> None:
    """The options that say which jobs."""
    parser.add_argument(
        "--state",
        action="extend",
        type=some_of("state", _STATES),
        metavar="STATE",
        help=f"only in this state, or these: {', '.join(_STATES)}; may be repeated",
    )
    for flag, metavar, told in _TEXTS:
        parser.add_argument(flag, metavar=metavar, help=told)
    for flag, told in _NUMBERS:
        parser.add_argument(flag, type=number, metavar="N", help=told)
    for flag, told in _MOMENTS:
        parser.add_argument(flag, type=moment, metavar="WHEN", help=told)


def has_any(arguments: Any) -> bool:
    """Whether one of them was given."""
    return filter_of(arguments) != EVERY or arguments.kind is not None


def filter_of(arguments: Any) -> Filter:
    """What the options say, but for the kind."""
    return Filter(
        states=tuple(State(state) for state in arguments.state or ()),
        task=arguments.task,
        queue=arguments.queue,
        tag=arguments.tag,
        lowest=arguments.lowest,
        highest=arguments.highest,
        enqueued_from=instant_of(arguments.enqueued_from),
        enqueued_before=instant_of(arguments.enqueued_before),
        ended_from=instant_of(arguments.ended_from),
        ended_before=instant_of(arguments.ended_before),
        session=arguments.session,
        text=arguments.text,
    )


def jobs_of(app: Application, wanted: Filter, kind: str | None, *, limit: int) -> Iterator[Job]:
    """The jobs that are wanted, newest first; those of a *kind* of error are looked for in the latest failed ones."""
    if kind is None:
        return Search(app.storage.inspection, wanted).all(limit=limit)
    failed = latest_failed(app.storage, wanted, patience=_PATIENCE).jobs
    return islice((job for job in failed if fingerprint(job.task, job.reason, job.error).mark == kind), limit)


def described(wanted: Filter, kind: str | None) -> str:
    """Which jobs these are, for the audit."""
    said = {field.name: getattr(wanted, field.name) for field in fields(wanted)} | {"kind": kind}
    told = [f"{name}={_told(value)}" for name, value in said.items() if value not in {None, ()}]
    return f"jobs with {', '.join(told)}" if told else "all jobs"


def _told(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def none_found(app: Application, arguments: Any, *, kind: str = "jobs") -> str:
    """That there are no such jobs, with the names that may have been meant."""
    queues = [count.queue for count in steering.queues(app)]
    told = f"no {kind}"
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
