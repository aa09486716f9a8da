"""What workers count of the attempts that end: by the minute, and by how long they ran, in steps that stay few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

KEPT_MINUTES = 24 * 60
"""How long a minute is remembered."""


WAITED = "waited"
"""The event of an attempt that has started, by its bucket: for how long it had been due by then."""


class Tally(NamedTuple):
    """So many attempts of *task* came to *event* in a *minute* (counted since the epoch).

    They ran (of WAITED: waited) for so many microseconds as take *bucket* binary digits; those that never started have
    bucket 0. Each attempt that started and ended is counted twice: by how it ended, and as WAITED.
    """

    minute: int
    task: str
    event: str
    bucket: int
    number: int


def bucket_of(micros: int) -> int:
    """The bucket of a duration; of one that a clock has made negative, 0."""
    return micros.bit_length() if micros > 0 else 0


def quantile(counts: Iterable[tuple[int, int]], share: float) -> float | None:
    """Within which time, in microseconds, that *share* of all ran: *counts* says how many there are in which bucket.

    Inside of a bucket they are taken to be spread evenly, so it is right within a factor of two. None of nothing.
    """
    ordered = sorted(counts)
    left = sum(count for _, count in ordered) * share
    for bucket, count in ordered:
        if count and left <= count:
            begin = (1 << bucket) / 2 if bucket else 0.0
            return begin + ((1 << bucket) - begin) * (left / count)
        left -= count
    return None
