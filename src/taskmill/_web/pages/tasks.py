"""Which tasks there are, what they are set to, and how they have done lately."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
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
    tallies = _by_task(visit.reader.storage.statistics.series(since=minute - 60 * HOURS + 1))
    waiting: defaultdict[str, list[Waiting]] = defaultdict(list)
    for each in survey.census.waiting:
        waiting[each.task].append(each)
    names = {*known, *tallies, *waiting, *(task for serves in survey.census.working for task in serves.tasks)}
    return [
        _line(name, known.get(name), waiting[name], tallies.get(name, ()), minute)
        for name in sorted(names)[:_MOST_TASKS]
    ]


def _by_task(tallies: Iterable[Tally]) -> dict[str, list[Tally]]:
    found: defaultdict[str, list[Tally]] = defaultdict(list)
    for tally in tallies:
        found[tally.task].append(tally)
    return dict(found)


def _line(
    name: str,
    task: BaseTask[..., Any] | None,
    waiting: Sequence[Waiting],
    tallies: Sequence[Tally],
    minute: int,
) -> Line:
    events: Counter[str] = Counter()
    ran: Counter[int] = Counter()
    waited: Counter[int] = Counter()
    rates = [0] * _SPANS
    for tally in tallies:
        if tally.event == WAITED:
            waited[tally.bucket] += tally.number
        elif tally.event in _FAILED or tally.event == "succeeded":
            events[tally.event] += tally.number
            ran[tally.bucket] += tally.number
            rates[_SPANS - 1 - max(minute - tally.minute, 0) // _SPAN] += tally.number
    return Line(
        name,
        "" if task is None else _summary(task),
        sum(each.queued for each in waiting),
        sum(each.due for each in waiting),
        events.total(),
        sum(events[event] for event in _FAILED),
        spread_of(waited),
        spread_of(ran),
        rates,
        _bars(ran),
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
