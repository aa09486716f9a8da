"""How things stand, as lines: what `taskmill status` prints and `taskmill top` keeps on the screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from taskmill._app.survey import Survey
from taskmill._cli.doctor import summary
from taskmill._cli.text import Column, Line, Span, fields, plain, table, word
from taskmill._cli.workers import alive
from taskmill._core.instant import MINUTE, SECOND
from taskmill._core.job import State
from taskmill._core.wording import clean, counted, span
from taskmill._storage.base import QueueCount, Storage
from taskmill._storage.urls import shown

_MINUTES = 60
_GAP = "  "
_FAILED = frozenset({"failed", "retrying", "crashed"})
_COLUMNS = (
    Column("QUEUE", shrinks=True),
    Column("DUE", to_right=True),
    Column("QUEUED", to_right=True),
    Column("RUNNING", to_right=True),
    Column("FAILED", to_right=True, optional=True),
    Column("OLDEST", to_right=True),
    Column("WORKERS", to_right=True),
)


def lines_of(storage: Storage, survey: Survey, width: int | None) -> Iterator[Line]:
    """The store, its jobs by state, who works, what became of the latest hour, and each queue."""
    yield from fields(
        [
            ("Store", shown(storage.url)),
            ("Health", summary(survey.findings)),
            ("Workers", _workers(survey)),
            ("Last hour", _latest(storage)),
        ],
        width,
    )
    yield []
    yield from _states(survey.counts, width)
    if survey.queues:
        yield []
        paused = storage.inspection.paused()
        yield from table(_COLUMNS, [_row(queue, survey, paused) for queue in survey.queues], width)


def _workers(survey: Survey) -> str:
    working = alive(survey.census)
    if not working:
        return "none alive"
    held = sum(presence.held for presence in working)
    return f"{len(working):,} alive, with {counted(held, 'job')}"


def _latest(storage: Storage) -> str:
    """What the workers have counted."""
    since = storage.now() // MINUTE - _MINUTES + 1
    events: Counter[str] = Counter()
    for tally in storage.statistics.series(since=since):
        events[tally.event] += tally.number
    failed = sum(events[event] for event in _FAILED)
    ended = events["succeeded"] + failed
    if not ended:
        return "no attempt ended"
    return f"{counted(ended, 'attempt')}, {failed:,} failed ({100 * failed / ended:.1f} %)"


def _states(counts: Mapping[State, int], width: int | None) -> Iterator[Line]:
    """Those of them that fit in a line, and the others below."""
    line: list[Span] = []
    for state in State:
        number = counts.get(state, 0)
        told = [word(state) if number else Span(state), Span(f" {number:,}")]
        if line and width is not None and len(plain([*line, *told])) + len(_GAP) > width:
            yield line
            line = []
        line += [*([Span(_GAP)] if line else []), *told]
    yield line


def _row(queue: QueueCount, survey: Survey, paused: Mapping[str, datetime]) -> tuple[object, ...]:
    oldest = survey.census.waits().get(queue.queue)
    serving = sum(serves.has_queue(queue.queue) for serves in survey.census.working)
    states = (State.QUEUED, State.RUNNING, State.FAILED)
    return (
        clean(queue.queue),
        f"{queue.due:,}",
        *(f"{queue.states.get(state, 0):,}" for state in states),
        "-" if oldest is None else span(oldest / SECOND),
        "paused" if queue.queue in paused else f"{serving:,}",
    )
