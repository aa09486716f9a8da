"""What a program does with jobs, among its own metrics; needs ``taskmill[prometheus]``.

What the processes of ``taskmill worker`` do, that tells itself: ``--http HOST:PORT``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from taskmill import Event, Mill
from taskmill._core.meter import Meter
from taskmill._worker.probes.families import of_jobs

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def count_enqueued(*mills: Mill, registry: CollectorRegistry = REGISTRY) -> Counter:
    """Count what this process enqueues into *mills*, as ``taskmill_jobs_enqueued_total{task,queue}`` of *registry*.

    A job is counted when it is stored: one that joins a transaction after that is committed, one whose key is known
    already never. It is one of prometheus_client's own counters, so that several processes can be added up by its
    multi-process mode. To be called once for each registry; ValueError where that has such a counter.

    >>> from taskmill.contrib import prometheus
    >>> counter = prometheus.count_enqueued(mill)
    """
    counter = Counter("taskmill_jobs_enqueued", "Jobs enqueued.", ["task", "queue"], registry=registry)

    def count(event: Event) -> None:
        counter.labels(event.task, event.queue).inc()

    for mill in mills:
        mill.on("enqueued")(count)
    return counter


def count_all(mill: Mill, *, registry: CollectorRegistry = REGISTRY) -> None:
    """Count what this process enqueues, and what becomes of the jobs that it runs itself (`Mill.worker`).

    The names are those of a worker's ``/metrics``, as far as they are of what it has counted. Instead of
    `count_enqueued`, and once for each registry; ValueError where that has one of them.

    >>> from taskmill.contrib import prometheus
    >>> prometheus.count_all(mill)
    """
    meter = mill.app.meter = Meter()
    registry.register(_Counted(meter))


class _Counted:
    """What prometheus_client asks."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def describe(self) -> Iterator[Metric]:
        """All families, by whose names the registry notices two of a kind."""
        return of_jobs(())

    def collect(self) -> Iterator[Metric]:
        """What was counted so far."""
        return of_jobs(self._meter.counts())
