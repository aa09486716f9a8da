"""What the workers counted, as curves by the minute."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from taskmill._core.tally import Tally, quantile

MINUTES = 60
# An attempt that is retried has failed too, this time.
_KINDS = {"succeeded": ("succeeded",), "failed": ("failed", "retrying", "crashed")}
_RAN = frozenset(kind for kinds in _KINDS.values() for kind in kinds)


class Curves(NamedTuple):
    """Two charts, as the script of the page takes them, and how many attempts ended in a minute of the latest ones."""

    ended: str
    ran: str
    rate: float
    is_empty: bool


def curves(tallies: Sequence[Tally], minute: int) -> Curves:
    """Of the hour that ends with *minute*; the last minute is not over, so the rate is that of the five before it."""
    minutes = range(minute - MINUTES + 1, minute + 1)
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    buckets: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for at, _, event, bucket, count in tallies:
        counts[event][at] += count
        if event in _RAN:
            buckets[at][bucket] += count
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
        _chart(
            minutes,
            [
                ("p50", "--running", _within(buckets, minutes, 0.5)),
                ("p95", "--blocked", _within(buckets, minutes, 0.95)),
            ],
            "s",
        ),
        sum(ended) / 5,
        not tallies,
    )


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
