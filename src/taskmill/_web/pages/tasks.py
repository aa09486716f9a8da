"""Which tasks there are, what they are set to, and how they have done lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from starlette.responses import Response

from taskmill._app.task import BaseTask
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._web.pages.overview import Pace, pace
from taskmill._web.visit import Visit

# Of each task, so many of its latest jobs are looked at.
_LATEST = 100
_MOST_TASKS = 200


class Line(NamedTuple):
    """A task: what waits, and how the *latest* of its jobs have done."""

    name: str
    summary: str
    queued: int
    due: int
    pace: Pace
    states: Counter[State]
    bars: Sequence[tuple[str, int]]

    @property
    def failed_share(self) -> float | None:
        """Of those that succeeded or failed."""
        ended = self.states[State.SUCCEEDED] + self.states[State.FAILED]
        return self.states[State.FAILED] / ended if ended else None


_BUCKETS = (
    ("1 ms", timedelta(milliseconds=1)),
    ("10 ms", timedelta(milliseconds=10)),
    ("100 ms", timedelta(milliseconds=100)),
    ("1 s", timedelta(seconds=1)),
    ("10 s", timedelta(seconds=10)),
    ("1 min", timedelta(minutes=1)),
    ("longer", timedelta.max),
)


def show(visit: Visit) -> Response:
    """One line for each."""
    survey = visit.reader.survey.get()
    waiting: dict[str, tuple[int, int]] = {}
    for each in survey.census.waiting:
        queued, due = waiting.get(each.task, (0, 0))
        waiting[each.task] = queued + each.queued, due + each.due
    known = {task.name: task for task in visit.app.tasks}
    names = {*known, *waiting, *(task for serves in survey.census.working for task in serves.tasks)}
    names |= {job.task for job in visit.reader.inspection.recent(_LATEST)}
    lines = [
        _line(
            name,
            known.get(name),
            waiting.get(name, (0, 0)),
            visit.reader.inspection.find(task=name, limit=_LATEST),
        )
        for name in sorted(names)[:_MOST_TASKS]
    ]
    return visit.page("tasks.html", now=to_datetime(visit.reader.storage.now()), tasks=lines, latest=_LATEST)


def _line(
    name: str, task: BaseTask[..., object] | None, waiting: tuple[int, int], jobs: Sequence[Job]
) -> Line:
    ended = [job for job in jobs if job.state.is_final]
    return Line(
        name,
        "" if task is None else _summary(task),
        *waiting,
        pace(ended),
        Counter(job.state for job in ended),
        _bars(ended),
    )


def _summary(task: BaseTask[..., object]) -> str:
    """What it is set to, where that is not what all tasks are."""
    options = task.options
    said = [f"queue {options.queue}", f"executor {task.executor}"]
    if options.retries:
        said.append(f"{options.retries} retries")
    if options.timeout is not None:
        said.append(f"timeout {options.timeout} s")
    if options.lock is not None:
        said.append(f"lock {options.lock}")
    return ", ".join(said)


def _bars(jobs: Sequence[Job]) -> list[tuple[str, int]]:
    """How many ran for how long, up to each bucket's end."""
    runs = [job.ended_at - job.started_at for job in jobs if job.started_at and job.ended_at]
    bars, last = [], timedelta.min
    for name, end in _BUCKETS:
        bars.append((name, sum(last < run <= end for run in runs)))
        last = end
    return bars
