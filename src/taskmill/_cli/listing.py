"""``taskmill jobs list``: the latest jobs, and with --follow what becomes of them from now on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from taskmill._app.application import Application
from taskmill._app.search import is_wanted
from taskmill._cli import exit_code, filtering, store
from taskmill._cli.job import as_json, when
from taskmill._cli.output import note, put_json, put_lines, put_table
from taskmill._cli.parser import Parser, positive
from taskmill._cli.text import Column, Line, Span, word
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.label import label_of
from taskmill._core.record import Job
from taskmill._core.wording import clean
from taskmill._storage.base import Storage
from taskmill.errors import ConfigurationError

_COLUMNS = (
    Column("JOB"),
    Column("STATE"),
    Column("TASK", shrinks=True),
    Column("WHEN", to_right=True, optional=True),
    Column("ATTEMPT", to_right=True, optional=True),
    Column("QUEUE", shrinks=True, optional=True),
)
# In seconds: so often is asked whether something has changed.
_LOOK = 0.25
# So many of the latest changes are seen at a look.
_SEEN = 500


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "List the latest jobs that match all that is given, newest first; with --follow, what happens to such "
        "jobs, as it happens.",
        example="  taskmill jobs list --state failed,cancelled --task shop.send_mail --limit 50\n"
        "  taskmill jobs --queue mail --follow",
    )
    filtering.add_options(parser)
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="at most so many")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with each job that changes, until Ctrl-C"
    )
    store.add_options(parser)
    parser.set_defaults(action=_list)


def _list(app: Application, arguments: Any) -> int:
    wanted = filtering.filter_of(arguments)
    if arguments.follow and arguments.kind is not None:
        raise ConfigurationError(
            "--follow knows no kinds of errors: give it --state failed, or list without --follow"
        )
    if arguments.follow:
        return _follow(app, arguments, wanted)
    jobs = [*filtering.jobs_of(app, wanted, arguments.kind, limit=arguments.limit)]
    if arguments.json:
        put_json({"jobs": [as_json(job) for job in jobs]})
        return exit_code.OK
    now = to_datetime(app.storage.now())
    rows = [
        (job.job_id, label_of(job, now), job.task, when(job, now), _attempts(job), job.queue) for job in jobs
    ]
    if rows:
        put_table(_COLUMNS, rows)
    else:
        note(filtering.none_found(app, arguments))
    return exit_code.OK


def _attempts(job: Job) -> str:
    told = f"{job.attempt}/{job.max_attempts}"
    return f"{told}, crashes: {job.crashes}" if job.crashes else told


# --- as it happens


def _follow(app: Application, arguments: Any, wanted: Filter) -> int:
    """Until it is interrupted, or nobody reads any more."""
    changes = _Changes(app.storage)
    latest = [*filtering.jobs_of(app, wanted, None, limit=arguments.limit)]
    for job in reversed(latest):
        _tell(app.storage, job, is_json=arguments.json)
    while True:
        for job in changes.wait():
            if is_wanted(job, wanted):
                _tell(app.storage, job, is_json=arguments.json)


def _tell(storage: Storage, job: Job, *, is_json: bool) -> None:
    if is_json:
        put_json(as_json(job))
    else:
        put_lines([_line(job, to_datetime(storage.now()))])


class _Changes:
    """What happens to the jobs of a store from now on."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._began_at = to_datetime(storage.now())
        self._version = storage.version()
        self._known = self._marks(storage.inspection.recent(_SEEN))

    def wait(self) -> list[Job]:
        """The jobs that have changed, the first ones first; waits until there are some."""
        while True:
            time.sleep(_LOOK)
            before, self._version = self._version, self._storage.version()
            changed = [] if self._version == before else self._look()
            if changed:
                return changed

    def _look(self) -> list[Job]:
        known, recent = self._known, self._storage.inspection.recent(_SEEN)
        self._known = self._marks(recent)
        if known and len(recent) >= _SEEN and not known.keys() & self._known.keys():
            note(f"taskmill: more than {_SEEN} changes at once: some are not shown")
        changed = (job for job in recent if known.get(job.job_id) != self._known[job.job_id])
        # Where later ones are deleted, older ones are among the latest again.
        news = (job for job in changed if job.job_id in known or _changed_at(job) >= self._began_at)
        return sorted(news, key=_changed_at)

    @staticmethod
    def _marks(jobs: Iterable[Job]) -> dict[str, tuple[object, ...]]:
        return {job.job_id: _mark(job) for job in jobs}


def _mark(job: Job) -> tuple[object, ...]:
    return job.state, job.fence, job.attempt, job.run_at, len(job.attempts)


def _changed_at(job: Job) -> datetime:
    moments = (job.enqueued_at, job.claimed_at, job.started_at, job.ended_at)
    ends = (attempt.ended_at for attempt in job.attempts)
    return max(moment for moment in (*moments, *ends) if moment is not None)


def _line(job: Job, now: datetime) -> Line:
    error = f"  {job.error.type}: {job.error.message}" if job.error else ""
    label = label_of(job, now)
    return [
        Span(f"{_changed_at(job).astimezone():%H:%M:%S}  {clean(job.job_id)}  "),
        word(label),
        Span(" " * max(0, 9 - len(label))),
        Span(clean(f"  {job.task}{error}")),
    ]
