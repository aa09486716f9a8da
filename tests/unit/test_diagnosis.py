"""What is said of a census, and of one that is a little better nothing."""

from __future__ import annotations

from typing import Any

import pytest

from taskmill._core.census import Census, HeldLock, KnownSchedule, Life, OpenCrate, Presence, Serves, Waiting
from taskmill._core.diagnosis import diagnose
from taskmill._core.finding import Finding
from taskmill._core.identity import made_at, new_job_id
from taskmill._core.instant import HOUR, MINUTE, SECOND

NOW = 1_750_000_000 * SECOND
EVERYTHING = Serves(None, ["thread", "asyncio", "process"], ["add", "mail"])


def census(**others: Any) -> Census:
    """One in which nothing is wrong, but for what is given."""
    empty = {"sessions": [], "waiting": [], "locks": [], "schedules": [], "paused": {}}
    counts = {"ended": 0, "outlived": 0, "outlived_at": None, "attempts": 0, "payload": 0, "crate": None}
    return Census(**{"now": NOW, "newest": NOW, **empty, **counts, **others})


def presence(serves: Serves | None = EVERYTHING, *, life: Life = "alive", held: int = 0) -> Presence:
    return Presence(1, "worker", "host", 4711, life, serves, held)


def waiting(due: int = 1, *, queue: str = "default", executor: str = "thread", task: str = "add") -> Waiting:
    return Waiting(queue, executor, task, due + 1, due, NOW - 12 * SECOND if due else None)


def found(**others: Any) -> list[Finding]:
    return list(diagnose(census(**others)))


def names(**others: Any) -> list[str]:
    return [finding.name for finding in found(**others)]


class TestJobs:
    def test_nothing_is_said_of_jobs_that_a_worker_takes(self) -> None:
        assert names(sessions=[presence()], waiting=[waiting()]) == []

    def test_no_worker_is_alive(self) -> None:
        for sessions in ([], [presence(None)], [presence(life="silent")]):
            assert "no-worker" in names(sessions=sessions, waiting=[waiting()])
        assert names(waiting=[waiting(0)]) == []

    def test_a_paused_queue_is_no_backlog(self) -> None:
        old = waiting(5)._replace(oldest=NOW - HOUR)

        assert names(sessions=[presence()], waiting=[old]) == ["backlog"]
        [finding] = found(sessions=[presence()], waiting=[old], paused={"default": NOW - 2 * HOUR})

        assert (finding.name, finding.severity) == ("paused-queue", "note")
        assert finding.found == "queue 'default' has been paused for 2 h; 5 due jobs in it wait"

    def test_how_many_wait_and_since_when(self) -> None:
        [finding] = found(waiting=[waiting(1_200), waiting(300, queue="mail")])

        assert finding.severity == "error"
        assert finding.found == "1,500 due jobs wait, the oldest for 12 s, and no worker is alive"
        assert finding.advice == "start one: taskmill worker MODULE:MILL"

    def test_a_queue_that_nobody_serves(self) -> None:
        of_mail = presence(EVERYTHING._replace(queues=["mail"]))

        [finding] = found(
            sessions=[of_mail], waiting=[waiting(), waiting(2, task="x"), waiting(queue="mail")]
        )

        assert (finding.name, finding.severity) == ("unserved-queue", "error")
        assert finding.found == (
            "3 due jobs of queue 'default' wait, the oldest for 12 s, and no living worker serves that"
        )

    def test_what_is_not_due_needs_nobody_yet(self) -> None:
        assert names(sessions=[presence(EVERYTHING._replace(queues=["mail"]))], waiting=[waiting(0)]) == []

    def test_an_executor_for_which_nobody_has_room(self) -> None:
        of_threads = EVERYTHING._replace(executors=["thread"])
        others = EVERYTHING._replace(queues=["mail"])

        [finding] = found(
            sessions=[presence(of_threads), presence(others)], waiting=[waiting(executor="asyncio")]
        )

        assert finding.name == "unserved-executor"
        assert finding.found == (
            "1 due job for executor 'asyncio' of queue 'default' waits, the oldest for 12 s, and no living worker that "
            "serves the queue has room for them"
        )

    def test_a_task_that_nobody_knows(self) -> None:
        elsewhere = Serves(["mail"], ["thread"], ["new"])

        [finding] = found(sessions=[presence(), presence(elsewhere)], waiting=[waiting(task="new")])

        assert finding.name == "unknown-task"
        assert finding.found == (
            "1 due job of task 'new' waits, the oldest for 12 s, and no living worker that could take them knew the "
            "task when it started"
        )

    def test_such_a_job_that_is_not_due_may_find_a_worker_in_time(self) -> None:
        assert found(sessions=[presence()], waiting=[waiting(0, task="new")]) == []

    def test_who_waits_for_long_though_somebody_works(self) -> None:
        late = waiting(7)._replace(oldest=NOW - 11 * MINUTE)

        [finding] = found(sessions=[presence()], waiting=[late])

        assert (finding.name, finding.severity) == ("backlog", "warning")
        assert finding.found == (
            "7 due jobs of queue 'default' wait, the oldest for 11 min, though a worker serves it"
        )


class TestSessions:
    def test_the_dead_are_nobodys_concern_while_a_worker_takes_back_what_they_hold(self) -> None:
        dead = presence(life="gone", held=3)

        [alone] = found(sessions=[dead])
        [looked_after] = found(sessions=[dead, presence()])

        assert (alone.name, alone.severity) == ("dead-sessions", "warning")
        assert alone.found == (
            "1 session of processes that are gone: worker 4711 on host; they hold 3 jobs and locks"
        )
        assert (looked_after.name, looked_after.severity) == ("dead-sessions", "note")

    def test_the_dead_who_hold_nothing_are_worth_a_note(self) -> None:
        [finding] = found(sessions=[presence(life="gone")])

        assert finding.severity == "note"

    def test_the_silent(self) -> None:
        [finding] = found(sessions=[presence(), presence(life="silent", held=1)])

        assert (finding.name, finding.severity) == ("silent-sessions", "warning")
        assert "they hold 1 job or lock" in finding.found


class TestLocks:
    def lock(self, since: int, *, session: int = 1, job_id: str | None = "j", waiters: int = 2) -> HeldLock:
        return HeldLock("daily", session, job_id, NOW - since, waiters)

    def test_one_of_the_dead_that_nobody_frees(self) -> None:
        dead = presence(life="gone")

        assert "lock-of-the-dead" in names(sessions=[dead], locks=[self.lock(0)])
        assert "lock-of-the-dead" in names(locks=[self.lock(0)])
        assert "lock-of-the-dead" not in names(sessions=[dead], locks=[self.lock(0, waiters=0)])
        assert names(sessions=[presence()], locks=[self.lock(0, session=9)]) == []

    def test_one_that_is_held_for_very_long_while_others_wait(self) -> None:
        [finding] = found(sessions=[presence()], locks=[self.lock(2 * HOUR)])

        assert (finding.name, finding.severity) == ("lock-held-long", "warning")
        assert finding.found == "lock 'daily', for which 2 jobs wait, is held by job j for 2 h"
        assert names(sessions=[presence()], locks=[self.lock(HOUR), self.lock(2 * HOUR, waiters=0)]) == []

    def test_one_outside_of_jobs(self) -> None:
        [finding] = found(sessions=[presence()], locks=[self.lock(2 * HOUR, job_id=None, waiters=1)])

        assert "for which 1 job waits, is held by session 1" in finding.found


class TestSchedules:
    def schedule(self, spec: str = "every 60s", task: str = "add") -> KnownSchedule:
        return KnownSchedule("tick", task, spec, NOW - 10 * MINUTE)

    def test_overdue_and_no_worker(self) -> None:
        [finding] = found(schedules=[self.schedule()])

        assert (finding.name, finding.severity) == ("missed-schedules", "warning")
        assert finding.found == "1 schedule overdue: 'tick' for 10 min, and no worker is alive"

    def test_overdue_though_a_worker_knows_the_task(self) -> None:
        [finding] = found(sessions=[presence()], schedules=[self.schedule()])

        assert (finding.name, finding.severity) == ("missed-schedules", "warning")
        assert "though a worker knows their task" in finding.found

    def test_one_that_the_program_no_longer_has(self) -> None:
        [finding] = found(sessions=[presence()], schedules=[self.schedule(task="old")])

        assert (finding.name, finding.severity) == ("left-over-schedules", "note")

    @pytest.mark.parametrize(
        "spec", ["every 86400s", "cron 0 0 1 1 * UTC", "cron * * * * * UTC on 1", "every day"]
    )
    def test_what_is_not_due_yet_or_cannot_be_told(self, spec: str) -> None:
        assert names(schedules=[self.schedule(spec)]) == []

    def test_a_paused_one_is_said_to_be_and_not_missed(self) -> None:
        [finding] = found(schedules=[self.schedule()._replace(paused_at=NOW - 2 * HOUR)])

        assert (finding.name, finding.severity) == ("paused-schedules", "note")
        assert finding.found == "1 schedule paused: 'tick' for 2 h"

    def test_a_slot_of_this_moment_is_on_its_way(self) -> None:
        assert names(schedules=[self.schedule()._replace(last_slot=NOW - 61 * SECOND)]) == []


class TestTheRest:
    def test_a_clock_that_went_back(self) -> None:
        [finding] = found(newest=NOW + 2 * HOUR)

        assert (finding.name, finding.severity) == ("clock", "warning")
        assert "2 h behind the newest entry" in finding.found
        assert names(newest=NOW + 5 * SECOND) == []

    def test_a_move_that_was_interrupted(self) -> None:
        crate = OpenCrate(new_job_id(), 200)
        packed_at = made_at(crate.crate_id)
        assert packed_at is not None

        [finding] = found(crate=crate, now=packed_at + 12 * MINUTE)
        [of_schedules] = found(crate=crate._replace(jobs=0), now=packed_at + 12 * MINUTE)

        assert (finding.name, finding.severity) == ("interrupted-move", "warning")
        assert "has taken out 200 jobs and has come no further for 12 min" in finding.found
        assert "run the same move again" in finding.advice
        assert "the schedules" in of_schedules.found
        # It is on its way.
        assert names(crate=crate, now=packed_at + 10 * SECOND) == []
        assert names(crate=OpenCrate("somebody's", 1)) == ["interrupted-move"]

    def test_what_nobody_prunes(self) -> None:
        old = {"outlived": 5, "outlived_at": NOW - HOUR}

        [alone] = found(**old)
        [beside_a_worker] = found(sessions=[presence()], **old)

        assert (alone.name, alone.severity) == ("unpruned", "note")
        assert (beside_a_worker.name, beside_a_worker.severity) == ("unpruned", "warning")
        assert alone.found == "5 ended jobs should have been deleted, the first 1 h ago"
        assert names(outlived=5, outlived_at=NOW - 10 * MINUTE) == []

    def test_growth(self) -> None:
        assert names(payload=300 << 20, attempts=100_001) == ["payload", "attempts"]
        assert names(payload=256 << 20, attempts=100_000) == []
