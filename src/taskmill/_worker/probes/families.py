"""The metrics of jobs, of what was counted and of what a store holds, as prometheus_client has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from taskmill._core.diagnosis import lag_of
from taskmill._core.instant import SECOND
from taskmill._core.job import FINAL
from taskmill._core.meter import BOUNDS, Count
from taskmill._worker.probes.store import Survey

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_KIND = ("task", "queue")
_EDGES = (*(str(float(bound)) for bound in BOUNDS), "+Inf")


def of_jobs(counts: Iterable[Count]) -> Iterator[Metric]:
    """What happened to jobs where that was counted."""
    enqueued = CounterMetricFamily("taskmill_jobs_enqueued", "Jobs enqueued here.", labels=_KIND)
    finished = CounterMetricFamily(
        "taskmill_jobs_finished", "Jobs that came to their end here.", labels=(*_KIND, "state")
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


def of_store(survey: Survey) -> Iterator[Metric]:
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
