"""All that is counted in a store, and judged from it, at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from taskmill._app.doctor import worst_first
from taskmill._core.census import Census
from taskmill._core.diagnosis import diagnose
from taskmill._core.finding import Finding
from taskmill._core.job import State
from taskmill._storage.base import QueueCount, Storage


class Survey(NamedTuple):
    """The census, the counts of each queue, and the findings, the worst first."""

    census: Census
    queues: Sequence[QueueCount]
    findings: Sequence[Finding]

    @property
    def due(self) -> int:
        """How many jobs could run now."""
        return sum(queue.due for queue in self.queues)

    @property
    def counts(self) -> Counter[State]:
        """How many jobs there are in each state."""
        counts: Counter[State] = Counter()
        for queue in self.queues:
            counts.update(queue.states)
        return counts


def survey_of(storage: Storage, surroundings: Iterable[Finding]) -> Survey:
    """Count all jobs; *surroundings* are the findings of `Health.findings`, which are asked for less often."""
    census = storage.health.census()
    return Survey(census, storage.inspection.queues(), worst_first([*surroundings, *diagnose(census)]))
