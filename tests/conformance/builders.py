"""What the conformance tests are written with: jobs, endings of attempts, a worker that runs nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count
from typing import Any

from taskmill._core.event import Notice
from taskmill._core.identity import new_job_id
from taskmill._core.instant import SECOND, from_datetime
from taskmill._core.job import Claimed, ErrorInfo, Executor, NewJob, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._core.record import Job
from taskmill._storage.base import Storage, Turn

LEASE = 30 * SECOND
BOOM = ErrorInfo("ValueError", "boom", "Traceback ...")
CRASH = ErrorInfo("Crashed", "the process that ran it was killed by SIGSEGV")


def a_job(job_id: str | None = None, **options: Any) -> NewJob:
    """A job that is due at once; *options* are fields of NewJob."""
    return NewJob(**{"job_id": job_id or new_job_id(), "task": "add", "args": "[[2,3],{}]", **options})


def a_pipeline(*job_ids: str, pipeline: str = "p", **options: Any) -> list[NewJob]:
    return [a_job(job_id, pipeline=pipeline, step=step, **options) for step, job_id in enumerate(job_ids)]


def succeeded(result: str = "5") -> Transition:
    return Transition(State.SUCCEEDED, "succeeded", result)


def failed(error: ErrorInfo = BOOM) -> Transition:
    return Transition(State.FAILED, "failed", error=error, reason=Reason.ERROR)


def cancelled() -> Transition:
    return Transition(State.CANCELLED, "cancelled", error=ErrorInfo("Cancel", "no"), reason=Reason.BY_TASK)


def retrying(delay: int = 0, error: ErrorInfo = BOOM) -> Transition:
    return Transition(State.QUEUED, "retrying", error=error, reason=Reason.ERROR, delay=delay)


def snoozed(delay: int) -> Transition:
    return Transition(State.QUEUED, "snoozed", delay=delay, hand_back=True)


def released(delay: int = 0) -> Transition:
    return Transition(State.QUEUED, "released", delay=delay, hand_back=True)


def handed_on() -> Transition:
    return Transition(State.QUEUED, "released", hand_back=True, hand_on=True)


class Worker:
    """A session with its claim numbers; it runs nothing."""

    def __init__(self, storage: Storage, *, lease: int = LEASE, parent: int | None = None) -> None:
        self.storage = storage
        self.session = storage.sessions.open(kind="worker", lease=lease, parent=parent)
        self._slots = storage.sessions.slots(self.session, 10)
        self._numbers = count(1)

    def start(self, claimed: Claimed, slot: int = 0) -> None:
        """Begin to run it."""
        self._slots.note(slot, claimed.ref, claimed.fence)

    def finish(self, slot: int = 0) -> None:
        self._slots.clear(slot)

    def crash(self, *, alone: bool) -> Sequence[Notice]:
        """What follows when its process dies."""
        return self.storage.jobs.bury(self.session, CRASH, alone=alone)

    def turn(
        self,
        *settlements: Settlement,
        claim: int | None = None,
        queues: Collection[str] | None = None,
        knows: Collection[str] = (),
        **wants: int,
    ) -> Turn:
        executors: dict[Executor, int] = {
            executor: wants[executor]
            for executor in ("thread", "asyncio", "alone", "elsewhere")
            if executor in wants
        }
        number = next(self._numbers) if claim is None else claim
        return self.storage.jobs.turn(
            self.session, settlements, claim=number, wants=executors, queues=queues, knows=knows
        )

    def claim(self, want: int = 100, *, queues: Collection[str] | None = None) -> Sequence[Claimed]:
        return self.turn(thread=want, asyncio=want, queues=queues).claimed

    def claim_one(self) -> Claimed:
        [claimed] = self.claim(1)
        return claimed

    def claim_suspect(self) -> Claimed:
        [claimed] = self.turn(alone=1).claimed
        return claimed

    def settle(self, claimed: Claimed, transition: Transition, *, started_at: int | None = None) -> Turn:
        """End the attempt, claim nothing."""
        return self.turn(Settlement(claimed, transition, started_at))


def fire(storage: Storage, name: str, *, slot: int, fire: NewJob | None, skipped: int = 0) -> bool:
    """Fire a slot, as one who knows what happened so far."""
    last_slots = {state.name: state.last_slot for state in storage.schedules.list()}
    return storage.schedules.fire(name, after=last_slots.get(name, 0), slot=slot, fire=fire, skipped=skipped)


def ids(jobs: Sequence[Claimed] | Sequence[Job]) -> list[str]:
    return [job.job_id for job in jobs]


def job_of(storage: Storage, job_id: str) -> Job:
    job = storage.inspection.job(job_id)
    assert job is not None
    return job


def states_of(storage: Storage) -> dict[str, str]:
    """The state of each stored job."""
    return {job.job_id: str(job.state) for job in storage.inspection.find(limit=1_000)}


def run_at_of(storage: Storage, job_id: str) -> int:
    return from_datetime(job_of(storage, job_id).run_at)
