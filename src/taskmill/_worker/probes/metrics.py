"""What a worker tells Prometheus: what its processes have counted, and what the store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from taskmill._core.diagnosis import lag_of
from taskmill._core.instant import SECOND
from taskmill._core.job import FINAL
from taskmill._core.meter import BOUNDS, Count
from taskmill._worker.probes.store import Store, Survey
from taskmill._worker.supervisor import Supervisor
from taskmill.errors import StoreError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_KIND = ("task", "queue")
_EDGES = (*(str(float(bound)) for bound in BOUNDS), "+Inf")


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
        yield from _of_jobs(self._supervisor.meter.counts())
        yield self._slots()
        try:
            survey = self._store.survey()
        except StoreError:
            # /readyz says so; what is counted here is true all the same.
            return
        if survey is not None:
            yield from _of_store(survey)

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


def _of_jobs(counts: Iterable[Count]) -> Iterator[Metric]:
    """What happened in the processes of this worker since it started."""
    enqueued = CounterMetricFamily("taskmill_jobs_enqueued", "Jobs enqueued by this worker.", labels=_KIND)
    finished = CounterMetricFamily(
        "taskmill_jobs_finished", "Jobs that came to their end in this worker.", labels=(*_KIND, "state")
    )
    retried = CounterMetricFamily(
        "taskmill_jobs_retried", "Attempts that failed and will be repeated.", labels=_KIND
    )
    duration = HistogramMetricFamily(
        "taskmill_job_duration_seconds", "From the start of an attempt until its end is stored.", labels=_KIND
    )
    wait = HistogramMetricFamily(
        "taskmill_job_wait_seconds", "From when a job is due until an attempt starts.", labels=_KIND
    )
    for count in counts:
        kind = (count.task, count.queue)
        for event, number in count.events:
            if event == "enqueued":
                enqueued.add_metric(kind, number)
            elif event == "retrying":
                retried.add_metric(kind, number)
            elif event in FINAL:
                finished.add_metric((*kind, event), number)
        if any(count.runs):
            duration.add_metric(kind, _steps(count.runs), count.run_time / SECOND)
            wait.add_metric(kind, _steps(count.waits), count.wait_time / SECOND)
    return iter((enqueued, finished, retried, duration, wait))


def _steps(numbers: Iterable[int]) -> list[tuple[str, float]]:
    """Each with all that took less."""
    total, found = 0, []
    for edge, number in zip(_EDGES, numbers, strict=True):
        total += number
        found.append((edge, float(total)))
    return found


def _of_store(survey: Survey) -> Iterator[Metric]:
    """What the store holds, whoever is at work on it: every worker tells the same."""
    census, queues = survey
    jobs = GaugeMetricFamily("taskmill_queue_jobs", "Jobs in the store.", labels=["queue", "state"])
    oldest = GaugeMetricFamily(
        "taskmill_queue_oldest_seconds", "For how long the first due job has been waiting.", labels=["queue"]
    )
    waits = census.waits()
    for queue, states, _ in queues:
        for state, number in states.items():
            jobs.add_metric((queue, state), number)
        oldest.add_metric((queue,), waits.get(queue, 0) / SECOND)
    workers = GaugeMetricFamily(
        "taskmill_workers", "Processes that run jobs, on this store.", labels=["state"]
    )
    lives = Counter(session.life for session in census.sessions if session.kind == "worker")
    for life in ("alive", "silent", "gone"):
        workers.add_metric((life,), lives[life])
    lag = GaugeMetricFamily(
        "taskmill_schedule_lag_seconds", "For how long a slot is overdue.", labels=["schedule"]
    )
    known = {task for serves in census.working for task in serves.tasks}
    for schedule in census.schedules:
        # One that the program has no more is late for ever, and nobody needs to know.
        if schedule.task in known and (micros := lag_of(schedule, census.now)) is not None:
            lag.add_metric((schedule.name,), micros / SECOND)
    return iter((jobs, oldest, workers, lag))
