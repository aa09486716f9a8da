"""What a worker answers to those who watch it, of a supervisor that is driven by hand."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

import pytest

from taskmill._core.census import Serves
from taskmill._core.instant import SECOND
from taskmill._core.lifecycle import Settlement
from taskmill._core.meter import BOUNDS, Meter
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._worker.messages import Pulse
from taskmill._worker.probes.site import Site
from taskmill._worker.probes.store import Store
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker, a_job, failed, retrying, succeeded
from tests.worker.builders import Faults, FaultyStorage
from tests.worker.house import House
from tests.worker.samples import Samples


class Answer(NamedTuple):
    status: str
    text: str


class Watched:
    """A supervisor with a store, and what stands before them."""

    def __init__(self, clock: FakeClock) -> None:
        self.storage = MemoryStorage(clock)
        self.faults = Faults()
        self.house = House(FaultyStorage(self.storage, self.faults), clock)
        probed: Any = FaultyStorage(self.storage, self.faults)
        probed.health = self.storage.health
        self._site = Site(self.house.supervisor, Store(lambda: probed), "1.2.3")

    def ask(self, path: str) -> Answer:
        environ: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        begun: list[Any] = []
        body = b"".join(self._site(environ, lambda *head: begun.append(head)))
        return Answer(begun[0][0], body.decode())

    def samples(self) -> Samples:
        return Samples(self.ask("/metrics").text)


@pytest.fixture
def watched(clock: FakeClock) -> Watched:
    return Watched(clock)


def test_one_that_starts_is_well_and_not_ready(watched: Watched) -> None:
    watched.house.step()

    assert watched.ask("/healthz") == ("200 OK", "starting\n")
    assert watched.ask("/readyz") == ("503 Service Unavailable", "starting\n")


def test_whoever_asks_at_the_very_moment_that_it_is_ready_hears_no_two_things(watched: Watched) -> None:
    seen: list[Answer] = []
    watched.house.on_ready = lambda _: seen.append(watched.ask("/readyz"))

    watched.house.start()

    assert seen == [("200 OK", "processes at work: 1 of 1\n")]


def test_one_that_drains_is_well_and_not_ready(watched: Watched) -> None:
    watched.house.start()

    watched.house.supervisor.ask_to_stop()

    told = "stopping: running jobs may finish within 25 s\n"
    assert watched.ask("/readyz") == ("503 Service Unavailable", told)
    assert watched.ask("/healthz") == ("200 OK", told)


def test_one_whose_store_cannot_be_reached_is_well_and_not_ready(watched: Watched) -> None:
    watched.house.start()
    assert watched.ask("/readyz").status == "200 OK"

    watched.faults.break_down("inspection.paused")

    answer = watched.ask("/readyz")
    assert answer.status == "503 Service Unavailable"
    assert "jobs.db" in answer.text
    assert watched.ask("/healthz").status == "200 OK"


def test_one_that_is_silent_is_neither(watched: Watched) -> None:
    process = watched.house.start()

    watched.house.step(31)

    told = f"process {process.pid} has given no sign of life for 30 s\n"
    assert watched.ask("/healthz") == ("503 Service Unavailable", told)


def test_a_supervisor_whose_own_loop_stands_still_is_not_well(watched: Watched) -> None:
    process = watched.house.start()

    watched.house.clock.travel(31)
    watched.house.hear(process, Pulse(is_sure=True))

    assert "the supervisor has given no sign of life" in watched.ask("/healthz").text


def test_a_mistake_of_ours_is_an_answer_too(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.house.start()
    watched.faults.break_down("inspection.paused", ZeroDivisionError())

    assert watched.ask("/readyz").status == "500 Internal Server Error"
    assert "ZeroDivisionError" in caplog.text


class TestMetrics:
    def test_what_children_counted_adds_up_and_outlives_them(self, watched: Watched) -> None:
        first = watched.house.start()
        meter = Meter()
        meter.happened("enqueued", [("add", "mail"), ("add", "mail")])
        watched.house.hear(first, Pulse(is_sure=True, counts=meter.take()))
        watched.house.die(first)
        second = watched.house.start()
        meter.happened("enqueued", [("add", "mail")])
        watched.house.hear(second, Pulse(is_sure=True, counts=meter.take()))

        assert watched.samples()("taskmill_jobs_enqueued_total", task="add", queue="mail") == 3

    def test_endings_by_what_they_came_to(self, watched: Watched, clock: FakeClock) -> None:
        process = watched.house.start()
        watched.storage.jobs.add([a_job(name, max_attempts=2) for name in "abc"])
        clock.travel(2)
        worker, meter = Worker(watched.storage), Meter()
        started_at = clock.wall()
        transitions = [succeeded(), failed(), retrying()]
        settlements = [
            Settlement(claimed, transition, started_at)
            for claimed, transition in zip(worker.claim(), transitions, strict=True)
        ]
        meter.ended(settlements, started_at + round(0.02 * SECOND))
        watched.house.hear(process, Pulse(is_sure=True, counts=meter.take()))

        found = watched.samples()

        kind = {"task": "add", "queue": "default"}
        assert found("taskmill_jobs_finished_total", **kind, state="succeeded") == 1
        assert found("taskmill_jobs_finished_total", **kind, state="failed") == 1
        assert found("taskmill_jobs_retried_total", **kind) == 1
        assert found("taskmill_job_duration_seconds_count", **kind) == 3
        assert found("taskmill_job_duration_seconds_sum", **kind) == pytest.approx(0.06)
        assert found("taskmill_job_duration_seconds_bucket", **kind, le="0.01") == 0
        assert found("taskmill_job_duration_seconds_bucket", **kind, le="0.025") == 3
        assert found("taskmill_job_duration_seconds_bucket", **kind, le="+Inf") == 3
        assert found("taskmill_job_wait_seconds_sum", **kind) == pytest.approx(6)
        assert found("taskmill_job_wait_seconds_bucket", **kind, le="1.0") == 0
        assert found("taskmill_job_wait_seconds_bucket", **kind, le="2.5") == 3

    def test_slots_of_all_children_together(self, watched: Watched) -> None:
        process = watched.house.start()
        slots = (("thread", 3, 1), ("asyncio", 0, 10))
        watched.house.hear(process, Pulse(is_sure=True, slots=slots))

        found = watched.samples()

        assert found("taskmill_worker_slots", executor="thread", state="busy") == 3
        assert found("taskmill_worker_slots", executor="asyncio", state="free") == 10

    def test_what_the_store_holds(self, watched: Watched, clock: FakeClock) -> None:
        watched.house.start()
        watched.storage.jobs.add([a_job("a"), a_job("b"), a_job("c", delay=60 * SECOND)])
        Worker(watched.storage)
        clock.travel(5)

        found = watched.samples()

        assert found("taskmill_queue_jobs", queue="default", state="queued") == 3
        assert found("taskmill_queue_oldest_seconds", queue="default") == 5
        assert found("taskmill_workers", state="alive") == 1
        assert found("taskmill_build_info", version="1.2.3") == 1

    def test_a_store_in_trouble_hides_nothing_that_was_counted(self, watched: Watched) -> None:
        process = watched.house.start()
        meter = Meter()
        meter.happened("enqueued", [("add", "mail")])
        watched.house.hear(process, Pulse(is_sure=True, counts=meter.take()))
        watched.faults.break_down("inspection.queues")

        found = watched.samples()

        assert found("taskmill_jobs_enqueued_total", task="add", queue="mail") == 1
        assert "taskmill_queue_jobs" not in found.names


def test_an_autoscaler_is_told_of_queues(watched: Watched, clock: FakeClock) -> None:
    watched.house.start()
    watched.storage.jobs.add([a_job("a", queue="mail"), a_job("b", queue="mail", delay=60 * SECOND)])
    clock.travel(5)

    told = json.loads(watched.ask("/queues/mail").text)

    assert told == {"queued": 2, "running": 0, "oldest_seconds": 5.0, "backlog": 1}


def test_steps_end_where_the_conventions_say_and_go_on_for_long_jobs() -> None:
    assert BOUNDS[:3] + BOUNDS[-4:] == (0.005, 0.01, 0.025, 10, 30, 60, 300)


def test_schedules_that_are_late(watched: Watched, clock: FakeClock) -> None:
    watched.house.start()
    watched.storage.schedules.register(name="tidy", task="tidy", spec="every 60s")
    watched.storage.sessions.open(
        kind="worker", lease=SECOND * 300, serves=Serves(None, ["thread"], ["tidy"])
    )
    clock.travel(90)

    lag = watched.samples()("taskmill_schedule_lag_seconds", schedule="tidy")
    assert 0 < lag <= 90
