"""The jobs that a program enqueues, among its own metrics; needs ``taskmill[prometheus]``.

What workers do, each of them tells itself: ``taskmill worker ... --http HOST:PORT``.
"""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from taskmill import Event, Mill


def count_enqueued(*mills: Mill, registry: CollectorRegistry = REGISTRY) -> Counter:
    """Count what this process enqueues into *mills*, as ``taskmill_jobs_enqueued_total{task,queue}`` of *registry*.

    A job is counted when it is stored: one that joins a transaction after that is committed, one whose key is known
    already never. To be called once for each registry; it raises ValueError where that has such a counter.

    >>> from taskmill.contrib import prometheus
    >>> counter = prometheus.count_enqueued(mill)
    """
    counter = Counter("taskmill_jobs_enqueued", "Jobs enqueued.", ["task", "queue"], registry=registry)

    def count(event: Event) -> None:
        counter.labels(event.task, event.queue).inc()

    for mill in mills:
        mill.on("enqueued")(count)
    return counter
