"""What the workers counted, as curves by the minute, and what it comes to."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from taskmill._core.instant import MINUTE
from taskmill._core.tally import WAITED, Tally, quantile
from taskmill._storage.base import Storage

MINUTES = 60
# An attempt that is retried has failed too, this time.
_KINDS = {"succeeded": ("succeeded",), "failed": ("failed", "retrying", "crashed")}
_RAN = frozenset(kind for kinds in _KINDS.values() for kind in kinds)


class Spread(NamedTuple):
    """Within which time half of them were done, and all but one in twenty."""

    middle: timedelta
    slow: timedelta


class Curves(NamedTuple):
    """The charts, as the script of the page takes them; how many attempts ended in a minute of the latest ones.

    `wait` and `run` are of all that was counted; None of nothing.
    """

    ended: str
    waited: str
    ran: str
    rate: float
    number: int
    wait: Spread | None
    run: Spread | None


def curves_until(storage: Storage, now: int) -> Curves:
    """Of the hour that ends *now*, as the workers have counted."""
    minute = now // MINUTE
    return curves(storage.statistics.series(since=minute - MINUTES + 1), minute)


def curves(tallies: Sequence[Tally], minute: int) -> Curves:
    """Of the hour that ends with *minute*; the last minute is not over, so the rate is that of the five before it."""
    minutes = range(minute - MINUTES + 1, minute + 1)
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    ran: defaultdict[int, Counter[int]] = defaultdict(Counter)
    waited: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for at, _, event, bucket, count in tallies:
        counts[event][at] += count
        if event in _RAN:
            ran[at][bucket] += count
        elif event == WAITED:
            waited[at][bucket] += count
    lines = {
        name: [sum(counts[kind][at] for kind in kinds) for at in minutes] for name, kinds in _KINDS.items()
    }
    ended = [sum(counts[kind][at] for kind in _RAN) for at in range(minute - 5, minute)]
    return Curves(
        _chart(
            minutes,
            [("succeeded", "--succeeded", lines["succeeded"]), ("failed", "--failed", lines["failed"])],
            "",
        ),
        _times(waited, minutes),
        _times(ran, minutes),
        sum(ended) / 5,
        sum(map(sum, lines.values())),
        _spread(waited),
        _spread(ran),
    )


def _times(buckets: Mapping[int, Counter[int]], minutes: Sequence[int]) -> str:
    series = [
        ("p50", "--running", _within(buckets, minutes, 0.5)),
        ("p95", "--blocked", _within(buckets, minutes, 0.95)),
    ]
    return _chart(minutes, series, "s")


def _spread(buckets: Mapping[int, Counter[int]]) -> Spread | None:
    return spread_of(sum(buckets.values(), Counter()))


def spread_of(buckets: Mapping[int, int]) -> Spread | None:
    """Of durations, counted by bucket."""
    middle, slow = (quantile(buckets.items(), share) for share in (0.5, 0.95))
    if middle is None or slow is None:
        return None
    return Spread(timedelta(microseconds=middle), timedelta(microseconds=slow))


def _within(buckets: Mapping[int, Counter[int]], minutes: Iterable[int], share: float) -> list[float | None]:
    """Within how many seconds that share of them ran, minute by minute."""
    found = (quantile(buckets[at].items(), share) for at in minutes)
    return [None if micros is None else round(micros / 1_000_000, 6) for micros in found]


def _chart(minutes: Iterable[int], series: Sequence[tuple[str, str, Sequence[Any]]], unit: str) -> str:
    return json.dumps(
        {
            "unit": unit,
            "series": [{"label": label, "tone": tone} for label, tone, _ in series],
            "data": [[at * 60 for at in minutes], *(values for *_, values in series)],
        }
    )
