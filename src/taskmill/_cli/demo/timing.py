"""When jobs run: later, never, or by the clock."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from taskmill import Job, Mill, State, cron, every
from taskmill._app import steering
from taskmill._cli.demo import tasks
from taskmill._cli.demo.measure import PATIENCE, SOON, error_of, said, shown, until
from taskmill._cli.demo.process import Process
from taskmill._cli.demo.story import Show, step
from taskmill._core.filter import Filter
from taskmill._core.instant import SECOND, from_datetime, to_datetime
from taskmill._core.job import Reason
from taskmill._core.schedule import Schedule
from taskmill._storage.base import ScheduleState
from taskmill.errors import JobCancelled

mill = tasks.mill

_BEATS = 3
_MINUTES = 3


@step("Scheduling by delay, timedelta or datetime")
def scheduling(show: Show) -> None:
    """A scheduled job never starts early, and starts within milliseconds of its time."""
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    scheduled = {
        "delay=1": tasks.moment.using(delay=1).enqueue(),
        "delay=timedelta(seconds=1.25)": tasks.moment.using(delay=timedelta(seconds=1.25)).enqueue(),
        f"run_at={at:%H:%M:%S.%f}": tasks.moment.using(run_at=at).enqueue(),
    }
    with mill.worker():
        for option, result in scheduled.items():
            late = (result.get(PATIENCE) - result.job().run_at).total_seconds()
            show.expect(0 <= late < SOON, f"{option}: ran {shown(late)} after its time")


@step("A revoked job never runs")
def revoking(show: Show) -> None:
    """What is cancelled in time never runs, and its result says so."""
    spared = tasks.note.using(delay=1).enqueue("spared")
    revoked = tasks.note.using(delay=1).enqueue("revoked")
    show.expect(revoked.cancel(), "two jobs are due in 1 s; cancel() of the second one returned True")
    with mill.worker():
        spared.get(PATIENCE)
        time.sleep(0.3)
    show.expect("spared" in tasks.RAN, "the first one ran when its time came")
    job = revoked.job()
    is_untouched = "revoked" not in tasks.RAN and job.fence == 0
    show.expect(is_untouched, f"0.3 s later the second one is {job.state} and was claimed {job.fence} times")
    error = error_of(revoked)
    is_told = isinstance(error, JobCancelled) and error.reason == Reason.REVOKED
    show.expect(is_told, f"its get() raised {said(error)}")


@step("Periodic tasks, by cron and by the second")
def periodic(show: Show) -> None:
    """Each slot of a schedule runs once, however many workers there are and whichever of them restarts."""
    heart = tasks.heart(mill.url)
    with Process("beat", mill.url) as other:
        show.tell(f"every(seconds={tasks.BEAT}): process {other.pid} is {other.line()}, and so is this one")
        with heart.worker(threads=1):
            _show_beats(show, heart, 0, 1)
        show.tell("the worker in this process restarts")
        with heart.worker(threads=1):
            _minutes_by_hand(show)
            _show_beats(show, heart, 1, _BEATS)
        status = other.terminate()
    show.expect(status == 0, f"the other worker ended on SIGTERM, with status {status}")
    _expect_each_slot_once(show, heart)
    _show_minutes(show, heart)
    heart.purge(queue=tasks.HEART)
    heart.close()


def _beats(heart: Mill) -> list[Job]:
    found = steering.find(heart.app, Filter(task=tasks.HEARTBEAT, states=[State.SUCCEEDED]))
    return sorted(found, key=lambda job: job.enqueued_at)


def _show_beats(show: Show, heart: Mill, already: int, wanted: int) -> None:
    until(lambda: len(_beats(heart)) >= wanted)
    for job in _beats(heart)[already:wanted]:
        slot = to_datetime(_slot(job))
        late = ((job.started_at or job.enqueued_at) - slot).total_seconds()
        show.table(
            f"slot {slot:%H:%M:%S} ran {shown(late)} after, in process {heart.result(job.job_id).get()}"
        )


def _slot(job: Job) -> int:
    return every(seconds=tasks.BEAT).latest_until(from_datetime(job.enqueued_at), after=0) or 0


def _expect_each_slot_once(show: Show, heart: Mill) -> None:
    schedule = _schedule(heart, tasks.HEARTBEAT)
    slots = [_slot(job) for job in steering.find(heart.app, Filter(task=tasks.HEARTBEAT))]
    covered = (schedule.last_slot - min(slots)) // (tasks.BEAT * SECOND) + 1
    is_once = len(slots) == len(set(slots)) == schedule.fired
    is_whole = schedule.fired + schedule.skipped >= covered
    show.expect(
        is_once and is_whole,
        f"{covered} slots came by: {schedule.fired} fired, {schedule.skipped} skipped, {len(slots)} jobs in "
        f"{len(set(slots))} different slots",
    )


def _schedule(heart: Mill, name: str) -> ScheduleState:
    return next(schedule for schedule in heart.app.storage.schedules.list() if schedule.name == name)


def _minutes_by_hand(show: Show) -> None:
    """A minute is long to wait for, so a clock is moved by hand, in a store in memory."""
    clock = HandClock(datetime(2026, 1, 1, 11, 58, tzinfo=UTC))
    mill = Mill("memory://", clock=clock)
    ran: list[datetime] = []

    @mill.periodic(cron("* * * * *"))
    def minutely() -> None:
        ran.append(clock.now)

    with mill.worker(threads=1):
        until(lambda: bool(mill.app.storage.schedules.list()))
        for _ in range(_MINUTES):
            _pass_a_minute(clock, ran)
    show.expect(
        len(ran) == len(set(ran)) == _MINUTES,
        f"cron('* * * * *') in memory, its clock moved by hand: {_times(ran, '%H:%M')}",
    )


def _pass_a_minute(clock: HandClock, ran: list[datetime]) -> None:
    before = len(ran)
    clock.now += timedelta(minutes=1)
    until(lambda: len(ran) > before)


class HandClock:
    """A wall clock that is moved by hand."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def wall(self) -> int:
        """Microseconds since the epoch."""
        return from_datetime(self.now)

    def monotonic(self) -> int:
        """That of the system."""
        return time.monotonic_ns() // 1_000


def _show_minutes(show: Show, heart: Mill) -> None:
    minutely = _schedule(heart, tasks.MINUTELY)
    came_by = f"{minutely.fired} came by meanwhile" if minutely.fired else "none came by meanwhile"
    show.tell(
        f"it runs here too, by the real clock: next at {_next_slots(cron('* * * * *'), '%H:%M')}; {came_by}"
    )
    show.tell(f"every(seconds=15) would be next at {_next_slots(every(seconds=15), '%H:%M:%S')}")


def _next_slots(schedule: Schedule, form: str) -> str:
    slots = [from_datetime(datetime.now(UTC))]
    for _ in range(3):
        slots.append(schedule.next_after(slots[-1]) or 0)
    return _times(map(to_datetime, slots[1:]), form)


def _times(moments: Iterable[datetime], form: str) -> str:
    return ", ".join(f"{moment:{form}}" for moment in moments)
