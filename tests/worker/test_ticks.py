"""What a worker does besides: heartbeat, rescue, schedule, prune, and the class that runs them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from taskmill import Mill, Outgoing, every
from taskmill._app import steering
from taskmill._app.context import Tenure
from taskmill._core.event import Event, Notice
from taskmill._core.filter import Filter
from taskmill._core.instant import SECOND, from_datetime
from taskmill._core.job import NewJob, State
from taskmill._core.lifecycle import Settlement
from taskmill._core.tally import WAITED, bucket_of
from taskmill._worker.outage import Outage
from taskmill._worker.service import Service, Tick
from taskmill._worker.ticks import prune, rescue
from taskmill._worker.ticks.heartbeat import Heartbeat
from taskmill._worker.ticks.prune import Prune
from taskmill._worker.ticks.rescue import Rescue
from taskmill._worker.ticks.schedule import LONGEST_REST, Schedule
from taskmill._worker.ticks.tally import Tallies
from taskmill.errors import StoreUnavailable
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker as Holder
from tests.conformance.builders import a_job, released, succeeded
from tests.worker.builders import LEASE, Lost, busy, claim, job_of, wait_for, with_faults


def a_service(*ticks: Tick) -> Service:
    return Service(ticks, Outage(logging.getLogger("taskmill.worker"), lambda: "no job is under way"))


class TestHeartbeat:
    def test_it_beats_three_times_in_a_lease(self, mill: Mill, clock: FakeClock) -> None:
        sessions = mill.app.storage.sessions
        tenure = Tenure(sessions.open(kind="worker", lease=LEASE))
        heartbeat = Heartbeat(sessions, tenure, LEASE, pytest.fail)

        for _ in range(5):
            clock.travel(heartbeat.tick())
            mill.app.storage.jobs.rescue()

        assert heartbeat.tick() == 10
        assert not tenure.lost

    def test_each_beat_is_good_for_two_thirds_of_a_lease(self, mill: Mill) -> None:
        faults = with_faults(mill)
        sessions = mill.app.storage.sessions
        tenure = Tenure(sessions.open(kind="worker", lease=LEASE))
        heartbeat = Heartbeat(sessions, tenure, LEASE, pytest.fail)
        before = time.monotonic()
        heartbeat.tick()
        sure_until = tenure.unsure_from
        faults.break_down("sessions.renew")
        with pytest.raises(type(busy())):
            heartbeat.tick()

        assert before + 20 <= sure_until <= time.monotonic() + 20
        assert tenure.unsure_from == sure_until

    def test_a_session_that_was_taken_for_dead_is_known_as_lost(self, mill: Mill, clock: FakeClock) -> None:
        sessions, rung = mill.app.storage.sessions, []
        tenure = Tenure(sessions.open(kind="worker", lease=LEASE))
        heartbeat = Heartbeat(sessions, tenure, LEASE, lambda: rung.append(True))
        clock.travel(31)
        mill.app.storage.jobs.rescue()

        heartbeat.tick()

        assert tenure.lost
        assert rung == [True]

    def test_a_process_that_stood_still_and_was_not_missed_lives_on(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        sessions = mill.app.storage.sessions
        tenure = Tenure(sessions.open(kind="worker", lease=LEASE))
        clock.travel(100)

        Heartbeat(sessions, tenure, LEASE, pytest.fail).tick()

        assert not tenure.lost
        assert mill.app.storage.jobs.rescue() == []


class TestRescue:
    def test_the_jobs_of_a_dead_worker_come_back_and_it_is_told(
        self, mill: Mill, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[Notice] = []
        mill.app.submit([NewJob(job_id=f"j{number}", task="t", args="[[],{}]") for number in range(2)])
        claim(mill)
        clock.travel(31)

        rest = Rescue(mill.app.storage.jobs, told.extend, LEASE).tick()

        assert rest == rescue.REST
        assert sorted(told) == [Notice("rescued", "j0"), Notice("rescued", "j1")]
        assert job_of(mill, "j0").state is State.QUEUED
        assert "took back 2 jobs from workers that died" in caplog.text

    def test_while_all_live_nothing_is_said(self, mill: Mill, caplog: pytest.LogCaptureFixture) -> None:
        Rescue(mill.app.storage.jobs, pytest.fail, LEASE).tick()

        assert not caplog.records

    def test_after_a_pause_of_the_whole_machine_it_lets_those_that_live_say_so_first(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        sessions, told = mill.app.storage.sessions, list[Notice]()
        rescue = Rescue(mill.app.storage.jobs, told.extend, LEASE, lambda: clock.monotonic() / SECOND)
        living, dead = (sessions.open(kind="worker", lease=LEASE) for _ in range(2))
        mill.app.submit(
            [NewJob(job_id=job_id, task="t", args="[[],{}]") for job_id in ("living's", "dead's")]
        )
        for session in (living, dead):
            claim(mill, session, thread=1)
        rescue.tick()
        clock.travel(100)

        rest = rescue.tick()
        sessions.renew(living)
        clock.travel(rest)
        rescue.tick()

        assert rest == 10
        assert told == [Notice("rescued", "dead's")]
        assert job_of(mill, "living's").state is State.RUNNING

    def test_a_tick_that_is_a_little_late_is_no_pause(self, mill: Mill, clock: FakeClock) -> None:
        told: list[Notice] = []
        mill.app.submit([NewJob(job_id="j", task="t", args="[[],{}]")])
        claim(mill)
        tick = Rescue(mill.app.storage.jobs, told.extend, LEASE, lambda: clock.monotonic() / SECOND).tick
        tick()
        for _ in range(3):
            clock.travel(12)
            tick()

        assert told == [Notice("rescued", "j")]


class TestPrune:
    def test_a_full_batch_is_followed_soon_and_the_last_one_by_a_rest(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        jobs = [NewJob(job_id=f"j{number}", task="t", args="[[],{}]") for number in range(prune.BATCH + 1)]
        mill.app.submit(jobs)
        for job in jobs:
            mill.app.storage.jobs.cancel(job.job_id)
        clock.travel(timedelta(days=2))
        tick = Prune(mill.app.storage.jobs).tick

        rests = [tick(), tick(), tick()]

        assert rests[0] < 1
        assert rests[1:] == [prune.REST, prune.REST]
        assert mill.app.storage.inspection.find() == []


class Slots:
    """The jobs that a periodic task got."""

    def __init__(self, mill: Mill, seconds: float = 10) -> None:
        @mill.periodic(every(seconds), name="tick")
        def tick() -> None: ...

        self._mill = mill

    def fired(self) -> int:
        return len(self._mill.app.storage.inspection.find(Filter(task="tick"), limit=1_000))

    def skipped(self) -> int:
        [state] = self._mill.app.storage.schedules.list()
        return state.skipped


class TestSchedule:
    def test_a_schedule_seen_for_the_first_time_owes_nothing(self, mill: Mill) -> None:
        slots = Slots(mill)

        Schedule(mill.app).tick()

        assert slots.fired() == 0

    def test_each_slot_fires_once_whoever_looks_and_however_often(self, mill: Mill, clock: FakeClock) -> None:
        slots, machines = Slots(mill), [Schedule(mill.app), Schedule(mill.app)]
        for machine in machines:
            machine.tick()

        for _ in range(30):
            clock.travel(1)
            for machine in machines * 2:
                machine.tick()

        assert (slots.fired(), slots.skipped()) == (3, 0)

    def test_what_goes_around_enqueues_goes_around_its_jobs(self, mill: Mill, clock: FakeClock) -> None:
        Slots(mill, 60)

        @mill.wrap_enqueue
        def tenant(jobs: Sequence[Outgoing]) -> Iterator[None]:
            for job in jobs:
                job.headers["tenant"] = "north"
            yield

        schedule = Schedule(mill.app)
        schedule.tick()
        clock.travel(60)
        schedule.tick()

        [job] = mill.app.storage.inspection.find(Filter(task="tick"))
        assert job.headers == {"tenant": "north"}

    def test_a_job_is_due_at_its_slot_however_late_that_is_seen(self, mill: Mill, clock: FakeClock) -> None:
        Slots(mill, 60)
        schedule = Schedule(mill.app)
        schedule.tick()
        clock.travel(200)
        schedule.tick()

        [job] = mill.app.storage.inspection.find(Filter(task="tick"))
        slot = from_datetime(job.run_at)
        assert slot % (60 * SECOND) == 0
        assert 0 <= clock.wall() - slot < 60 * SECOND

    @pytest.mark.parametrize("hours", [1, -1])
    def test_a_step_of_the_wall_clock_fires_no_slot_twice(
        self, mill: Mill, clock: FakeClock, hours: int
    ) -> None:
        slots, machines = Slots(mill, 60), [Schedule(mill.app) for _ in range(3)]
        machines[0].tick()
        for minute in range(150):
            if minute == 30:
                clock.step_wall(timedelta(hours=hours))
                # One of them was killed and began anew.
                machines[0] = Schedule(mill.app)
            clock.travel(60)
            for machine in machines:
                machine.tick()

        jobs = mill.app.storage.inspection.find(Filter(task="tick"), limit=1_000)
        assert len({from_datetime(job.run_at) // (60 * SECOND) for job in jobs}) == len(jobs)
        # Forward, an hour of slots is left out but for its latest; back, nothing fires until that time comes again.
        assert slots.fired() == 150 - (60 if hours < 0 else 0)
        assert slots.skipped() == (60 if hours > 0 else 0)

    def test_a_paused_one_fires_nothing_and_makes_nothing_up_for_it(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        slots, machines = Slots(mill), [Schedule(mill.app), Schedule(mill.app)]
        for machine in machines:
            machine.tick()
        clock.travel(10)
        machines[0].tick()
        steering.pause_schedule(mill.app, "tick")

        rests = []
        for _ in range(5):
            clock.travel(10)
            rests += [machine.tick() for machine in machines]
        in_the_pause = slots.fired()
        steering.resume_schedule(mill.app, "tick")
        for _ in range(2):
            rests += [machine.tick() for machine in machines]
        after_it = slots.fired()
        clock.travel(10)
        for _ in range(2):
            for machine in machines:
                machine.tick()

        assert (in_the_pause, after_it, slots.fired()) == (1, 1, 2)
        assert slots.skipped() == 0
        # Those who wait for the end of a pause are no burden, whether they knew of it or found out by a slot.
        assert sum(rest == 0 for rest in rests) <= len(machines)

    def test_each_slot_fires_once_over_a_restart(self, mill: Mill, clock: FakeClock) -> None:
        slots = Slots(mill)
        Schedule(mill.app).tick()

        for _ in range(20):
            clock.travel(1)
            Schedule(mill.app).tick()

        assert (slots.fired(), slots.skipped()) == (2, 0)

    def test_of_several_missed_slots_the_latest_runs_and_the_others_are_counted(
        self, mill: Mill, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        slots = Slots(mill)
        Schedule(mill.app).tick()
        clock.travel(55)

        Schedule(mill.app).tick()

        assert (slots.fired(), slots.skipped()) == (1, 4)
        assert "tick: 4 slots missed" in caplog.text

    def test_slots_that_another_worker_fired_were_not_missed(
        self, mill: Mill, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        slots, steady, stalled = Slots(mill), Schedule(mill.app), Schedule(mill.app)
        steady.tick()
        stalled.tick()
        for _ in range(5):
            clock.travel(10)
            steady.tick()
        clock.travel(10)

        stalled.tick()  # stood still for six slots, of which it comes first to the last one only

        assert (slots.fired(), slots.skipped()) == (6, 0)
        assert "missed" not in caplog.text

    def test_a_slot_older_than_an_hour_is_only_counted(self, mill: Mill, clock: FakeClock) -> None:
        slots = Slots(mill, seconds=86_400)
        Schedule(mill.app).tick()
        clock.travel(timedelta(days=1, seconds=86_399))  # past two slots, long after the second one at best
        now = clock.wall() // SECOND % 86_400

        Schedule(mill.app).tick()

        assert now > 3600
        assert slots.fired() == 0
        assert slots.skipped() >= 1

    def test_it_rests_until_the_next_slot_and_never_longer_than_the_clock_may_be_trusted(
        self, mill: Mill, clock: FakeClock
    ) -> None:
        Slots(mill)
        schedule = Schedule(mill.app)
        assert schedule.tick() == LONGEST_REST

        to_next = 10 - clock.wall() / SECOND % 10
        clock.travel(to_next - 0.25)

        assert schedule.tick() == pytest.approx(0.25, abs=1e-5)

    def test_what_is_fired_is_told(self, mill: Mill, clock: FakeClock) -> None:
        events: list[Event] = []
        mill.on("enqueued")(events.append)
        Slots(mill)
        schedule = Schedule(mill.app)
        schedule.tick()
        clock.travel(10)

        schedule.tick()

        assert [(event.kind, event.task) for event in events] == [("enqueued", "tick")]

    def test_a_handler_that_fails_does_not_make_a_slot_fire_twice(self, mill: Mill, clock: FakeClock) -> None:
        @mill.on("enqueued")
        def fails(event: Event) -> None:
            raise KeyboardInterrupt

        slots, schedule = Slots(mill), Schedule(mill.app)
        schedule.tick()
        clock.travel(10)
        schedule.tick()
        schedule.tick()

        assert slots.fired() == 1

    def test_a_lost_reply_does_not_make_a_slot_fire_twice(self, mill: Mill, clock: FakeClock) -> None:
        slots, schedule, faults = Slots(mill), Schedule(mill.app), with_faults(mill)
        schedule.tick()
        clock.travel(10)
        faults.plan("schedules.fire", Lost())

        service = a_service(schedule)
        service.run_due()
        schedule.tick()

        assert (slots.fired(), slots.skipped()) == (1, 0)


class Counting:
    def __init__(self, *answers: float | BaseException) -> None:
        self._answers = list(answers)
        self.count = 0

    def tick(self) -> float:
        self.count += 1
        answer: Any = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return float(answer)


class Failing(Counting):
    """One of another name."""


class TestService:
    def test_a_tick_is_run_when_its_rest_is_over(self) -> None:
        often, seldom = Counting(0), Counting(60)
        service = a_service(often, seldom)

        rests = [service.run_due() for _ in range(5)]

        assert (often.count, seldom.count) == (5, 1)
        assert max(rests) == 0

    def test_it_says_how_long_nothing_is_due(self) -> None:
        assert a_service(Counting(30), Counting(60)).run_due() == pytest.approx(30, abs=1)

    @pytest.mark.parametrize(
        "error, level",
        [
            (busy(), logging.WARNING),
            (StoreUnavailable("disk full"), logging.WARNING),
            (KeyError("x"), logging.ERROR),
        ],
        ids=repr,
    )
    def test_an_error_delays_its_tick_and_harms_no_other(
        self, error: BaseException, level: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        failing, steady = Failing(error), Counting(0)
        service = a_service(failing, steady)

        for _ in range(5):
            service.run_due()

        assert (failing.count, steady.count) == (1, 5)
        assert [record.levelno for record in caplog.records] == [level]

    def test_in_a_thread_it_runs_until_it_is_stopped(self) -> None:
        tick = Counting(0.001)
        service = a_service(tick)

        service.start("a-service")
        wait_for(lambda: tick.count >= 3)
        service.stop()

        count = tick.count
        assert service._thread is not None
        assert not service._thread.is_alive()
        assert tick.count == count


def test_the_dead_are_looked_for_several_times_a_second() -> None:
    # The promise is that jobs of a killed worker run again within a second.
    assert rescue.REST <= 0.5


class TestTallies:
    def test_what_ended_is_counted_by_how_long_it_waited_and_ran(self, mill: Mill, clock: FakeClock) -> None:
        storage = mill.app.storage
        storage.jobs.add([a_job("a"), a_job("b", delay=3 * SECOND), a_job("c")])
        holder = Holder(storage)
        clock.travel(4)
        claims = {claimed.job_id: claimed for claimed in holder.claim(3)}
        started_at = clock.wall()
        clock.travel(8)
        tallies, now = Tallies(storage.statistics), clock.wall()
        never_started = [Settlement(claims["c"], released(), None)]

        tallies.note([Settlement(claims[job_id], succeeded(), started_at) for job_id in "ab"], now)
        tallies.note(never_started, now)
        tallies.tick()
        tallies.tick()

        counted = [tally[1:] for tally in storage.statistics.series(since=0)]
        ran, one, four = (bucket_of(seconds * SECOND) for seconds in (8, 1, 4))
        assert counted == [
            ("add", "released", 0, 1),
            ("add", "succeeded", ran, 2),
            ("add", WAITED, one, 1),
            ("add", WAITED, four, 1),
        ]
