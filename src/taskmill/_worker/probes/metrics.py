"""What a worker tells Prometheus: what its processes have counted, and what the store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from taskmill._worker.probes.families import of_jobs, of_store
from taskmill._worker.probes.store import Store
from taskmill._worker.supervisor import Supervisor
from taskmill.errors import StoreError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Metrics:
    """The names of docs/operations.md. Where the store cannot be asked, what it would tell is left out."""

    def __init__(self, supervisor: Supervisor, store: Store, version: str) -> None:
        self._supervisor = supervisor
        self._store = store
        self._version = version
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry).decode()

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that nothing is asked when it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks."""
        build = GaugeMetricFamily("taskmill_build_info", "Always 1.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield from of_jobs(self._supervisor.meter.counts())
        yield self._slots()
        try:
            survey = self._store.survey()
        except StoreError:
            # /readyz says so; what is counted here is true all the same.
            return
        if survey is not None:
            yield from of_store(survey)

    def _slots(self) -> Metric:
        slots: Counter[tuple[str, str]] = Counter()
        for child in self._supervisor.children:
            for executor, busy, free in child.slots:
                slots[executor, "busy"] += busy
                slots[executor, "free"] += free
        family = GaugeMetricFamily(
            "taskmill_worker_slots", "Room for jobs in this worker.", labels=["executor", "state"]
        )
        for place, number in slots.items():
            family.add_metric(place, number)
        return family
