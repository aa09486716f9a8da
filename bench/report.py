"""The table of a run, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.figure import PAUSED_SYNC, SYNC, Better, Figure, Lookup, Measurement, Medians
from bench.machine import description
from bench.subjects import SUBJECTS

OURS = "taskmill"
UNKNOWN = "-"


def head(medians: Medians, rounds: int, *, quick: bool) -> str:
    size = ", a tenth of the size" if quick else ""
    return (
        f"{description()}; a durable 4 KiB write (a sync) takes {medians['', SYNC]:.2f} ms, "
        f"after a pause {medians['', PAUSED_SYNC]:.2f} ms, which the latencies are held against; "
        f"medians over rounds: {rounds}{size}."
    )


def table(measurements: Iterable[Measurement], medians: Medians) -> Iterator[str]:
    """A row for each figure: ours, what is wanted, and each other subject with how many times ours is better."""
    measurements = list(measurements)
    others = _others(measurements, medians)
    titles = [column for subject in others for column in (SUBJECTS[subject].title, "times")]
    yield from markdown(
        ["figure", OURS, "target", "reached", *titles],
        (
            [
                figure.title,
                *_our_cells(measurement, figure, medians),
                *_their_cells(key, figure, others, medians),
            ]
            for measurement in measurements
            for figure in measurement.figures
            for key in [measurement.key(figure)]
        ),
    )


def _others(measurements: Sequence[Measurement], medians: Medians) -> list[str]:
    """The other subjects that were measured, in their order."""
    measured = {subject for subject, _ in medians}
    named = dict.fromkeys(subject for each in measurements for subject in each.subjects)
    return [subject for subject in named if subject in measured and subject != OURS]


def _our_cells(measurement: Measurement, figure: Figure, medians: Medians) -> list[str]:
    key = measurement.key(figure)
    value = medians.get((OURS, key))
    if value is None:
        return [UNKNOWN, _wanted(figure), UNKNOWN]
    look_up = lookup(key, medians)
    reached = [figure.is_reached(target, value, look_up) for target in figure.targets]
    return [number(value), _wanted(figure), ", ".join(_ANSWERS[each] for each in reached) or UNKNOWN]


_ANSWERS = {True: "yes", False: "no", None: "?"}
_SIGNS: dict[Better, str] = {"higher": ">=", "lower": "<="}


def _wanted(figure: Figure) -> str:
    return ", ".join(f"{_SIGNS[figure.better]} {target}" for target in figure.targets) or UNKNOWN


def lookup(key: str, medians: Medians) -> Lookup:
    """What targets of the figure *key* refer to."""

    def look_up(name: str) -> float | None:
        if name in {SYNC, PAUSED_SYNC}:
            return medians.get(("", name))
        return medians.get((name, key) if name in SUBJECTS else (OURS, name))

    return look_up


def _their_cells(key: str, figure: Figure, others: Iterable[str], medians: Medians) -> Iterator[str]:
    ours = medians.get((OURS, key))
    for subject in others:
        theirs = medians.get((subject, key))
        yield UNKNOWN if theirs is None else number(theirs)
        yield times(ours, theirs, figure.better) if figure.is_comparable else UNKNOWN


def times(ours: float | None, theirs: float | None, better: Better) -> str:
    """How many times *ours* is the better one."""
    if not ours or not theirs:
        return UNKNOWN
    return f"{ours / theirs if better == 'higher' else theirs / ours:.1f}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
