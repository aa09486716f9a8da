"""Which tasks there are, what they are set to, and how they have done lately."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from starlette.responses import Response

from taskmill._app.task import BaseTask
from taskmill._core.census import Waiting
from taskmill._core.instant import MINUTE, SECOND, to_datetime
from taskmill._core.job import DEFAULT_QUEUE
from taskmill._core.tally import WAITED, Tally
from taskmill._web.charts import Spread, spread_of
from taskmill._web.visit import Visit

HOURS = 3
# A bar of the rates is of so many minutes.
_SPAN = 10
_SPANS = 60 * HOURS // _SPAN
_MOST_TASKS = 500
_FAILED = frozenset({"failed", "retrying", "crashed"})
_ENDED = _FAILED | {"succeeded"}
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
    """A task: what waits, and how its attempts have ended in the last hours.

    `rates` says how many ended in each ten minutes, `bars` how many ran for how long.
    """

    name: str
    summary: str
    queued: int
    due: int
    ended: int
    failed: int
    wait: Spread | None
    run: Spread | None
    rates: Sequence[int]
    bars: Sequence[tuple[str, int]]
    is_known: bool


@dataclass(slots=True)
class Counted:
    """The attempts of a task: by how they ended, by how long they waited and ran, and by when they ended."""

    events: Counter[str] = field(default_factory=Counter)
    waited: Counter[int] = field(default_factory=Counter)
    ran: Counter[int] = field(default_factory=Counter)
    rates: list[int] = field(default_factory=lambda: [0] * _SPANS)


def show(visit: Visit) -> Response:
    """One line for each."""
    now = to_datetime(visit.reader.storage.now())
    return visit.page("tasks.html", now=now, tasks=lines_of(visit), hours=HOURS)


def lines_of(visit: Visit) -> list[Line]:
    """Those that are known here, or to the store; by name."""
    survey = visit.reader.survey.get()
    now = visit.reader.storage.now()
    known = {task.name: task for task in visit.app.tasks}
    minute = now // MINUTE
    counted = _counted(visit.reader.storage.statistics.series(since=minute - 60 * HOURS + 1), minute)
    waiting: defaultdict[str, list[Waiting]] = defaultdict(list)
    for each in survey.census.waiting:
        waiting[each.task].append(each)
    names = {*known, *counted, *waiting, *(task for serves in survey.census.working for task in serves.tasks)}
    return [
        _line(name, known.get(name), waiting[name], counted.get(name, Counted()))
        for name in sorted(names)[:_MOST_TASKS]
    ]


def _counted(tallies: Iterable[Tally], minute: int) -> dict[str, Counted]:
    """By task; each is looked at once only, for there are tens of thousands of them."""
    found: defaultdict[str, Counted] = defaultdict(Counted)
    for at, task, event, bucket, number in tallies:
        counted = found[task]
        if event == WAITED:
            counted.waited[bucket] += number
        elif event in _ENDED:
            counted.events[event] += number
            counted.ran[bucket] += number
            counted.rates[_SPANS - 1 - max(minute - at, 0) // _SPAN] += number
    return dict(found)


def _line(name: str, task: BaseTask[..., Any] | None, waiting: Sequence[Waiting], counted: Counted) -> Line:
    return Line(
        name,
        "" if task is None else _summary(task),
        sum(each.queued for each in waiting),
        sum(each.due for each in waiting),
        counted.events.total(),
        sum(counted.events[event] for event in _FAILED),
        spread_of(counted.waited),
        spread_of(counted.ran),
        counted.rates,
        _bars(counted.ran),
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


def _bars(buckets: Counter[int]) -> list[tuple[str, int]]:
    """How many ran up to how long, as nearly as the buckets tell."""
    bars = []
    last = -1.0
    for name, end in _STEPS:
        inside = (count for bucket, count in buckets.items() if last < (1 << bucket) * 0.75 / SECOND <= end)
        bars.append((name, sum(inside)))
        last = end
    return bars
