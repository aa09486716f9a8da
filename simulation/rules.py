"""What must hold, whatever goes wrong: at each commit, at each call of a task's function, and in the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from simulation.process import Process
from simulation.rows import JobRow, LockRow, Picture, ScheduleRow
from taskmill._core.instant import SECOND

if TYPE_CHECKING:
    from simulation.witness import Run, Witness

# The schedule of the simulated program, and after how many crashes a job is given up.
TICK, SLOT = "tick", SECOND
MOST_CRASHES = 3


def is_free(row: JobRow) -> bool:
    """Whether nothing but time and an executor keeps it from being claimed."""
    return row.state == "queued" and row.waits_for is None


def step_before(picture: Picture, row: JobRow) -> JobRow | None:
    """The step before in its pipeline, if it is stored."""
    place = (row.pipeline, row.step - 1)
    return next((each for each in picture.jobs.values() if (each.pipeline, each.step) == place), None)


# --- a function is called


def on_begin(witness: Witness, run: Run) -> None:
    """*run* begins: under the present claim, alone, and in its turn."""
    name, row = witness.label(run.job_id), witness.now.jobs.get(run.job_id)
    earlier = witness.runs[run.job_id]
    if any(each.fence == run.fence for each in earlier):
        witness.object(f"{name} runs twice under fence {run.fence}")
    if run.is_excused:
        return
    if row is None or row.state != "running" or row.fence != run.fence:
        witness.object(f"{name} runs in {run.process}, which does not hold it")
        return
    for other in earlier:
        if other.is_alive:
            witness.object(f"{name} runs in {run.process} beside {other}")
    if row.step:
        _require_step_before(witness, row)
    if run.lock is not None and run.key not in witness.lost_locks:
        on_lock(witness, run.lock, str(run))
    # Where there is no supervisor, nobody could tell which of several was to blame.
    is_watched = run.process.parent is not None
    if row.executor == "alone" and is_watched and any(witness.runs_in(run.process)):
        witness.object(f"{name} is a suspect and does not run alone")


def on_lock(witness: Witness, lock: str, who: str) -> None:
    """*who* enters what the lock guards."""
    runs = [run for run in witness.all_runs() if run.lock == lock and run.key not in witness.lost_locks]
    holdings = [each for each in witness.holdings if each.name == lock]
    for other in (*runs, *holdings):
        if other.is_alive:
            witness.object(f"lock {lock} is held by {who} and by {other}")


def _require_step_before(witness: Witness, row: JobRow) -> None:
    before = step_before(witness.now, row)
    if before is None or before.state != "succeeded":
        witness.object(f"{witness.label(row.job_id)} has its turn before the step before it has succeeded")


# --- a commit


class Commit(NamedTuple):
    """What *actor* has changed."""

    witness: Witness
    actor: Process
    before: Picture
    now: Picture

    def judge(self) -> None:
        """Hold it against all the rules."""
        for job_id, row in self.now.jobs.items():
            old = self.before.jobs.get(job_id)
            if old is None:
                self._added(row)
            elif old != row:
                self._changed(old, row)
        for job_id in self.before.jobs.keys() - self.now.jobs.keys():
            self._deleted(self.before.jobs[job_id])
        for lock in self.before.locks.values():
            kept = self.now.locks.get(lock.name)
            if kept is None or kept.token != lock.token:
                self._freed(lock)
        for name, schedule in self.now.schedules.items():
            old_schedule = self.before.schedules.get(name, schedule)
            if old_schedule != schedule:
                self._fired(old_schedule, schedule)
        self._turn()
        invariants(self.witness)

    def _object(self, row: JobRow, what: str) -> None:
        self.witness.object(f"{self.witness.label(row.job_id)} {what}")

    # --- one job

    def _added(self, row: JobRow) -> None:
        if row.state not in {"queued", "blocked"} or row.fence:
            self._object(row, f"is new and {row.state}")

    def _changed(self, old: JobRow, row: JobRow) -> None:
        if old.is_final:
            self._revived(old, row)
            return
        is_claimed = row.state == "running" and (old.state != "running" or row.claim != old.claim)
        if old.state == "running" and (is_claimed or row.state != "running"):
            self._let_go(old)
        if is_claimed:
            self._claimed(old, row)
        elif row.fence != old.fence:
            self._object(row, f"had fence {old.fence} and has {row.fence}, and nobody claimed it")
        if row.is_final:
            self._ended(old, row)
        if row.executor == "alone" and old.executor != "alone":
            self._suspected(old)
        self._used_up(row)

    def _revived(self, old: JobRow, row: JobRow) -> None:
        if row.state not in {"queued", "blocked"}:
            self._object(row, f"was {old.state} and is {row.state}, or that is told otherwise")
        elif old.state == "succeeded" or (
            row.state == "queued" and row.job_id not in self.witness.asked_to_retry
        ):
            self._object(row, f"was {old.state} and is {row.state}, though nobody asked for that")

    def _let_go(self, old: JobRow) -> None:
        """A claim ends: by who holds it, or because that is gone."""
        session = self.before.sessions.get(old.session or 0)
        if session is None:
            return
        is_own = self.witness.is_own(session, self.actor)
        # It leaves, and a thread cannot be stopped; where there is a supervisor, the end of the process is waited for.
        has_left = is_own and session.session not in self.now.sessions and session.parent is None
        run = self.witness.run_of(old.job_id, old.fence)
        if has_left or self.witness.is_forfeit(session, self.actor):
            self.witness.excuse(old.job_id, old.fence)
        elif not is_own:
            self._object(old, f"was taken by {self.actor} from session {session.session}, which holds it")
        elif run is not None and run.is_alive:
            self._object(old, f"was let go of by {self.actor}, where it runs")

    def _claimed(self, old: JobRow, row: JobRow) -> None:
        if row.fence != old.fence + 1:
            self._object(row, f"was claimed, and its fence went from {old.fence} to {row.fence}")
        host, request = self.witness.host, self.actor.request
        # It may be that the clock was set back after the turn had looked at it.
        set_back = max(0, request.ahead - host.ahead) if request else 0
        early = row.run_at - host.wall() - set_back
        if early > 0:
            self._object(row, f"was claimed {early / SECOND:.3f} s too early")
        session = self.now.sessions.get(row.session or 0)
        if session is None or not self.witness.is_own(session, self.actor):
            self._object(
                row, f"was claimed by {self.actor} under session {row.session}, which is not its own"
            )
        for run in self.witness.runs[row.job_id]:
            if run.is_alive:
                self._object(row, f"was claimed by {self.actor} during {run}")
        if row.step:
            _require_step_before(self.witness, row)

    def _ended(self, old: JobRow, row: JobRow) -> None:
        if old.state != "running":
            if row.state != "cancelled":
                self._object(row, f"was {old.state} and is {row.state}")
            return
        self.witness.endings[row.job_id] += 1
        run = self.witness.run_of(row.job_id, row.fence)
        match row.state, row.reason:
            case "succeeded", _:
                if run is None or not run.has_succeeded or row.result != str(row.fence):
                    self._object(
                        row, f"succeeded with {row.result} under fence {row.fence}, which no run did"
                    )
            case "failed", "crashed":
                if self.witness.lone_deaths[row.job_id] < MOST_CRASHES:
                    self._object(row, "failed for crashes that were not its own")
            case "failed", _:
                if run is None or run.word != "fail" or f'"{row.fence}"' not in (row.error or ""):
                    self._object(row, f"failed under fence {row.fence}, by what happened under another")
                if row.attempt < row.max_attempts:
                    self._object(row, "failed with attempts left")
            case "cancelled", "revoked":
                if row.job_id not in self.witness.asked_to_cancel:
                    self._object(row, "was cancelled, though nobody asked for that")

    def _suspected(self, old: JobRow) -> None:
        run = self.witness.run_of(old.job_id, old.fence)
        if run is None or run.word not in {None, "crash"}:
            self._object(old, "became a suspect, and did not run when its process crashed")

    def _used_up(self, row: JobRow) -> None:
        attempts = row.attempt - (row.state == "running")
        reasons = self.witness.failures(row.job_id) + self.witness.endings[row.job_id]
        if attempts > reasons:
            self._object(row, f"has used up {attempts} attempts, and failed or ended {reasons} times")
        if row.crashes > self.witness.lone_deaths[row.job_id]:
            self._object(row, f"is blamed for {row.crashes} crashes, which is too many")
        if row.crashes >= MOST_CRASHES and not row.is_final:
            self._object(row, f"crashed {row.crashes} times and is tried again")

    def _deleted(self, old: JobRow) -> None:
        for row in self.now.jobs.values():
            is_later = old.pipeline is not None and row.pipeline == old.pipeline and row.step > old.step
            if is_later and not row.is_final:
                self._object(old, "was deleted, and a later step of its pipeline needs it")
        if old.state == "running":
            self._let_go(old)
            run = self.witness.run_of(old.job_id, old.fence)
            if old.result_ttl or run is None or not run.has_succeeded:
                self._object(old, "was deleted while it ran")
        elif not old.is_final:
            self._object(old, f"was {old.state} and is gone")
        elif (old.ended_at or 0) + (old.kept_for or 0) > self.witness.host.wall():
            self._object(old, "was deleted before its time to be kept was over")

    # --- locks, schedules, turns

    def _freed(self, lock: LockRow) -> None:
        """Only its owner frees a lock, or who finds the owner gone."""
        session = self.before.sessions.get(lock.session)
        if session is None:
            return
        is_forfeit = self.witness.is_forfeit(session, self.actor)
        if not is_forfeit and not self.witness.is_own(session, self.actor):
            self.witness.object(f"{self.actor} freed lock {lock.name}, which session {lock.session} holds")
        job = next((row for row in self.before.jobs.values() if row.id == lock.job), None)
        if job is not None and is_forfeit:
            self.witness.lost_locks.add((job.job_id, job.fence))
        for holding in self.witness.holdings:
            if holding.token == lock.token and holding.is_alive:
                holding.is_excused = is_forfeit
                if not is_forfeit:
                    self.witness.object(f"lock {lock.name} was freed during {holding}")

    def _fired(self, old: ScheduleRow, schedule: ScheduleRow) -> None:
        slots = schedule.last_slot // SLOT - old.last_slot // SLOT
        fired, skipped = schedule.fired - old.fired, schedule.skipped - old.skipped
        jobs = sum(
            row.task == TICK for job_id, row in self.now.jobs.items() if job_id not in self.before.jobs
        )
        if slots <= 0 or fired + skipped != slots or fired != jobs:
            self.witness.object(
                f"of {slots} slots {fired} were fired and {skipped} skipped, and there are {jobs} new jobs"
            )

    def _turn(self) -> None:
        """Who claims takes the first that are due, and no more than it wants."""
        request = self.actor.request
        if request is None:
            return
        held = [
            row
            for row in self.now.jobs.values()
            if row.state == "running" and (row.session, row.claim) == (request.session, request.claim)
        ]
        fresh = [
            row for row in held if row.job_id in self.before.jobs and self.before.jobs[row.job_id] != row
        ]
        if not fresh:
            return
        wants = {str(executor): want for executor, want in request.wants.items()}
        for executor, number in Counter(row.executor for row in held).items():
            if number > wants.get(executor, 0):
                self.witness.object(f"{self.actor} has {number} jobs for {executor}, more than it wants")
        for left in self._left():
            for row in fresh:
                if row.executor == left.executor and left.place < row.place:
                    self._object(row, f"was claimed before {self.witness.label(left.job_id)}")

    def _left(self) -> list[JobRow]:
        """The jobs that could have been claimed in this turn, and since it began."""
        request = self.actor.request
        assert request is not None
        wall = min(self.witness.host.wall(), request.wall)
        return [
            row
            for row in self.now.jobs.values()
            if is_free(row)
            and (row.lock, row.expires_at) == (None, None)
            and row.run_at <= wall
            and (request.queues is None or row.queue in request.queues)
            and self.witness.free_since.get(row.job_id, self.witness.looks) <= request.looks
        ]


# --- the whole store


def invariants(witness: Witness) -> None:
    """What runs has a session and its lock, what is locked runs, and who waits for a lock waits for somebody."""
    now = witness.now
    by_number = {row.id: row for row in now.jobs.values()}
    for row in now.jobs.values():
        if row.state == "running":
            _require_session_and_lock(witness, row)
    for lock in now.locks.values():
        if lock.session not in now.sessions:
            witness.object(f"lock {lock.name} belongs to session {lock.session}, which has ended")
        holder = by_number.get(lock.job or 0)
        if lock.job is not None and (holder is None or holder.state != "running"):
            witness.object(f"lock {lock.name} belongs to a job that does not run")
    waited_for = {row.waits_for for row in now.jobs.values()} - {None}
    tried_for = {row.lock for row in now.jobs.values() if is_free(row)}
    for name in waited_for - tried_for - now.locks.keys():
        witness.object(f"lock {name} is free, and all who want it wait")


def _require_session_and_lock(witness: Witness, row: JobRow) -> None:
    name = witness.label(row.job_id)
    if row.session not in witness.now.sessions:
        witness.object(f"{name} runs under session {row.session}, which has ended")
    if row.lock is None or (row.job_id, row.fence) in witness.lost_locks:
        return
    lock = witness.now.locks.get(row.lock)
    if lock is None or (lock.job, lock.session) != (row.id, row.session):
        witness.object(f"{name} runs without its lock {row.lock}")


def what_is_left(witness: Witness) -> str:
    """What has not come to its end yet; empty if nothing. Schedules go on, so their jobs do not count."""
    now = witness.now
    ticks = {row.id for row in now.jobs.values() if row.task == TICK}
    for row in now.jobs.values():
        if not row.is_final and row.id not in ticks:
            return f"{witness.label(row.job_id)} is still {row.state}"
    for lock in now.locks.values():
        if lock.job not in ticks:
            return f"lock {lock.name} is still held"
    for session in now.sessions.values():
        if not witness.host.leases[session.file].owner.is_alive:
            return f"session {session.session} is of a dead process and still there"
    return ""
