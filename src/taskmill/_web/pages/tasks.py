"""Which tasks there are, what they are set to, and how they have done lately."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.responses import Response

from taskmill._app.task import BaseTask
from taskmill._core.census import Waiting
from taskmill._core.instant import MINUTE, SECOND, to_datetime
from taskmill._core.job import DEFAULT_QUEUE
from taskmill._core.tally import Tally, quantile
from taskmill._web.visit import Visit

HOURS = 3
_MOST_TASKS = 500
_FAILED = frozenset({"failed", "retrying", "crashed"})
# The longest durations, in seconds, of the bars; the last one has no end.
_STEPS = (
    ("1 ms", 0.001),
    ("10 ms", 0.01),
    ("100 ms", 0.1),
    ("1 s", 1),
    ("10 s", 10),
    ("1 min", 60),
    ("longer", 1e12),
)


class Line(NamedTuple):
    """A task: what waits, and how its attempts have ended in the last hours."""

    name: str
    summary: str
    queued: int
    due: int
    ended: int
    failed: int
    middle: timedelta | None
    slow: timedelta | None
    bars: Sequence[tuple[str, int]]
    is_known: bool


def show(visit: Visit) -> Response:
    """One line for each."""
    now = to_datetime(visit.reader.storage.now())
    return visit.page("tasks.html", now=now, tasks=lines_of(visit), hours=HOURS)


def lines_of(visit: Visit) -> list[Line]:
    """Those that are known here, or to the store; by name."""
    survey = visit.reader.survey.get()
    now = visit.reader.storage.now()
    known = {task.name: task for task in visit.app.tasks}
    tallies = _by_task(visit.reader.storage.statistics.series(since=now // MINUTE - 60 * HOURS))
    waiting: defaultdict[str, list[Waiting]] = defaultdict(list)
    for each in survey.census.waiting:
        waiting[each.task].append(each)
    names = {*known, *tallies, *waiting, *(task for serves in survey.census.working for task in serves.tasks)}
    return [
        _line(name, known.get(name), waiting[name], tallies.get(name, ()))
        for name in sorted(names)[:_MOST_TASKS]
    ]


def _by_task(tallies: Iterable[Tally]) -> dict[str, list[Tally]]:
    found: defaultdict[str, list[Tally]] = defaultdict(list)
    for tally in tallies:
        found[tally.task].append(tally)
    return dict(found)


def _line(
    name: str, task: BaseTask[..., Any] | None, waiting: Sequence[Waiting], tallies: Sequence[Tally]
) -> Line:
    events: Counter[str] = Counter()
    buckets: Counter[int] = Counter()
    for tally in tallies:
        if tally.event in _FAILED or tally.event == "succeeded":
            events[tally.event] += tally.number
            buckets[tally.bucket] += tally.number
    return Line(
        name,
        "" if task is None else _summary(task),
        sum(each.queued for each in waiting),
        sum(each.due for each in waiting),
        events.total(),
        sum(events[event] for event in _FAILED),
        _within(buckets, 0.5),
        _within(buckets, 0.95),
        _bars(buckets),
        task is not None,
    )


def _summary(task: BaseTask[..., Any]) -> str:
    """What it is set to, where that is not what most are."""
    options = task.options
    said = [] if options.queue == DEFAULT_QUEUE else [f"queue {options.queue}"]
    if task.executor != "thread":
        said.append(f"executor {task.executor}")
    if options.retries:
        said.append(f"{options.retries} retries")
    if options.timeout is not None:
        said.append(f"timeout {options.timeout} s")
    if options.lock is not None:
        said.append(f"lock {options.lock}")
    return ", ".join(said)


def _within(buckets: Counter[int], share: float) -> timedelta | None:
    micros = quantile(buckets.items(), share)
    return None if micros is None else timedelta(microseconds=micros)


def _bars(buckets: Counter[int]) -> list[tuple[str, int]]:
    """How many ran up to how long, as nearly as the buckets tell."""
    bars = []
    last = -1.0
    for name, end in _STEPS:
        inside = (count for bucket, count in buckets.items() if last < (1 << bucket) * 0.75 / SECOND <= end)
        bars.append((name, sum(inside)))
        last = end
    return bars
