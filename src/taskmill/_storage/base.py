"""The contract between taskmill and a store, by role; the memory adapter is its shortest form.

Rules for every operation: it is atomic (all of it happened or none), it takes no *now* (the clock belongs to
the store), it may be repeated after an error without doing anything twice, and durations and instants are
integer microseconds. Errors are those of taskmill.errors (StoreBusy, StoreUnavailable, NotAStore,
SchemaTooNew); after one, nothing of the operation is stored.

Claimable: state `queued`, `run_at` reached, not expired, not waiting for a lock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from taskmill._core.event import Notice
from taskmill._core.job import Claimed, ErrorInfo, Executor, Job, NewJob, State
from taskmill._core.lifecycle import Settlement
from taskmill._storage.wake import Wake

CancelAnswer = Literal["cancelled", "requested", "ended", "missing"]


class Turn(NamedTuple):
    """What a turn did.

    `stale` are the settlements that changed nothing. `next_at` is for exact timers: the earliest `run_at` of the
    queued jobs that are left after this turn in the asked-for queues, for the executors of which more than 0
    were wanted, those that wait for a lock left out; or the earliest `expires_at` of any waiting job, if that is
    sooner; None if there is neither. It lies in the past where due jobs were left because enough were claimed.
    """

    stale: Sequence[Settlement]
    claimed: Sequence[Claimed]
    next_at: int | None
    notices: Sequence[Notice]


class Outcome(NamedTuple):
    """The part of a job that a waiting caller needs."""

    task: str
    state: State
    reason: str | None
    result: str | None
    error: ErrorInfo | None


class ScheduleState(NamedTuple):
    """What the store knows of a schedule; `last_slot` is the latest slot that fired or was skipped."""

    name: str
    task: str
    spec: str
    last_slot: int
    fired: int
    skipped: int
    last_job: str | None


class LockState(NamedTuple):
    """A lock that is held; `token` only ever grows, so it can fence writes to outside resources."""

    name: str
    token: int
    session: int
    job_id: str | None
    since: datetime


class QueueCount(NamedTuple):
    """How many jobs a queue holds, by state; `due` is the claimable part of `queued`."""

    queue: str
    states: Mapping[State, int]
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """One run of one process that may hold jobs or locks."""

    session: int
    host: str
    pid: int
    kind: str
    started_at: datetime
    running: int


class JobStore(ABC):
    """The hot operations: jobs on their way from enqueued to ended."""

    @abstractmethod
    def add(self, jobs: Sequence[NewJob]) -> Sequence[str]:
        """Store *jobs*, all or none; return the id that each is known by, in order.

        A job whose id is stored already is not stored again. A job whose (task, key) is stored already, in
        whatever state, is not stored either: the id of the stored one is returned in its place. A job with
        `step` > 0 starts `blocked`, every other `queued`.
        """

    @abstractmethod
    def turn(
        self,
        session: int,
        settlements: Sequence[Settlement],
        *,
        claim: int,
        wants: Mapping[Executor, int],
        queues: Collection[str] | None,
    ) -> Turn:
        """Record what ended and claim what comes next, in one transaction.

        Settling, in the order given:
        - A settlement counts only while its job is `running` under this *session* and the claim's fence.
          Otherwise it changes nothing and is returned as stale, unless it was recorded before (a repeated
          turn after a lost reply: the last that held the job was this session, under this fence or since
          under a later one), which is silently right. That of a job no longer stored is stale.
        - To `queued`: claimable after `delay`. `hand_back` takes the attempt off again, and without a delay
          the job keeps its place; otherwise the attempt and its error are kept in the job's history. A job
          whose cancel was requested is not queued again but `cancelled` (reason revoked), with a notice.
        - To a final state: the result or error is kept for the job's `result_ttl` (failed: 30 days at least);
          a succeeded job with `result_ttl` 0 is deleted, unless a later step of its pipeline still needs it.
        - A succeeded step makes the next step of its pipeline `queued` (after that step's own delay, or at
          its own `run_at`), notice `unblocked`; a failed or cancelled one cancels all later steps (reason:
          step before), with notices.
        - Its lock is freed, and the first waiter (by priority, run_at, order of adding) may be claimed again;
          likewise, while the lock is free, when a job that might have taken it is cancelled or deleted.

        Then waiting jobs whose expiry has passed become `cancelled` (reason expired, also where a step before
        expires with them), with notices.

        Claiming: for each executor up to ``wants[executor]`` claimable jobs of *queues* (None: of all), by
        priority (high first), then run_at, then order of adding. Each becomes `running` under *session*; its
        fence and its attempt grow by one. A job with a lock is claimed only if the lock is free, and takes
        it; if it is not, the job waits for it and is not looked at again until the lock is freed. (Of jobs of
        equal priority for different executors, any may come first to a lock.)
        *claim* numbers the claims of a session: repeating a turn with the same number returns what that number
        claimed before and still holds, and claims nothing more while it holds any. A session that has ended
        claims nothing.
        """

    @abstractmethod
    def rescue(self) -> Sequence[Notice]:
        """Take back the running jobs and locks of every session that is dead; notices `rescued`.

        A session is dead when its process is known to be gone or its lease has run out; never because a job
        is old. The jobs are `queued` again in their old place, the attempt handed back, `rescues` one higher
        (one whose cancel was requested is `cancelled` instead), and they forget their session, so that its late
        settlements are stale. Dead sessions are removed.
        Also lets the first waiter of every free lock be claimed again, whatever left it waiting.
        """

    @abstractmethod
    def cancel(self, job_id: str) -> tuple[CancelAnswer, Sequence[Notice]]:
        """Cancel a waiting job (reason revoked) with the later steps of its pipeline, or ask a running one to stop.

        "cancelled": it will never run. "requested": it runs; it will not be retried. "ended", "missing": nothing
        to do. Notices name every job that became `cancelled`.
        """

    @abstractmethod
    def retry(self, job_id: str) -> bool:
        """Queue a failed or cancelled job again with (at least) one more attempt; False where it is neither.

        Its error, if there is one, moves to its history; an earlier request to cancel is forgotten. The steps
        behind it that were cancelled for a step before are `blocked` again, up to the first that was cancelled
        for its own sake or is gone. It and they no longer expire. A step whose step before has not succeeded,
        or is gone, cannot be retried.
        """

    @abstractmethod
    def prune(self, *, limit: int) -> int:
        """Delete up to *limit* ended jobs whose time to be kept is over; return how many.

        The result of a step is kept while a later step of its pipeline has not ended.
        """

    @abstractmethod
    def purge(self, *, queue: str | None, ended: bool, limit: int) -> int:
        """Delete up to *limit* waiting jobs (*ended*: ended jobs) of *queue* (None: of all); return how many.

        Running jobs are never deleted. The blocked steps behind a deleted waiting step go with it, beyond the
        limit if need be; an ended step that a later one still needs stays.
        """


class SessionStore(ABC):
    """Who holds jobs and locks, and whether they live."""

    @abstractmethod
    def open(self, *, kind: str, lease: int) -> int:
        """Begin a session of this process with a lease of *lease*; ids only ever grow and are never reused."""

    @abstractmethod
    def renew(self, session: int) -> bool:
        """Push the lease out again; False if the session is gone (ended, or rescued as dead).

        Needs no write to the database where liveness is kept beside it, so it works while that is busy.
        """

    @abstractmethod
    def end(self, session: int) -> Sequence[Notice]:
        """End a session: what it still holds goes back at once, no attempt burnt, and its locks are freed.

        The jobs forget the session; one whose cancel was requested is `cancelled` instead. Repeating it does
        nothing. Notices `released` (or `cancelled`).
        """


class ScheduleStore(ABC):
    """Periodic work: each slot once, whoever asks."""

    @abstractmethod
    def register(self, *, name: str, task: str, spec: str) -> ScheduleState:
        """Make the schedule known. One that is new, or whose *spec* changed, owes nothing before now."""

    @abstractmethod
    def fire(self, name: str, *, slot: int, fire: NewJob | None, skipped: int) -> bool:
        """Account for all slots up to *slot*: store the job, if any, and count *skipped*, in one transaction.

        False, and nothing done, if *slot* is not later than the schedule's `last_slot`.
        """

    @abstractmethod
    def list(self) -> Sequence[ScheduleState]:
        """All schedules by name."""


class LimitStore(ABC):
    """Named locks; those of jobs are taken and freed inside `turn`."""

    @abstractmethod
    def acquire(self, name: str, session: int) -> int | None:
        """Take the lock for *session*; its token, or None while somebody else holds it or if *session* is dead.

        The lock of a session that is dead is free. Not re-entrant: the holder is refused too.
        """

    @abstractmethod
    def release(self, name: str, session: int, token: int) -> bool:
        """Free the lock; False, and nothing done, unless *session* holds it under *token*.

        The lock of a job is not freed this way. The first job that waits for the lock may be claimed again.
        """

    @abstractmethod
    def list(self) -> Sequence[LockState]:
        """The locks that are held, by name."""


class Inspection(ABC):
    """What people and waiting callers read; never blocks a writer."""

    @abstractmethod
    def outcome(self, job_id: str) -> Outcome | None:
        """The state and ending of a job; None if the store does not hold it."""

    @abstractmethod
    def job(self, job_id: str) -> Job | None:
        """Everything that is known of a job, with its attempts."""

    @abstractmethod
    def find(
        self,
        *,
        states: Collection[State] = (),
        task: str | None = None,
        queue: str | None = None,
        pipeline: str | None = None,
        limit: int = 100,
    ) -> Sequence[Job]:
        """Jobs that match all that is given, newest first, without their attempts; a pipeline's by step."""

    @abstractmethod
    def recent(self, limit: int) -> Sequence[Job]:
        """The jobs, with attempts, that the latest *limit* lifecycle events belong to, in no set order."""

    @abstractmethod
    def queues(self) -> Sequence[QueueCount]:
        """Counts by queue and state, by name."""

    @abstractmethod
    def sessions(self) -> Sequence[SessionState]:
        """The sessions that have not ended, by id."""


class Storage(ABC):
    """One store, by role. Making one touches nothing: the first operation opens it."""

    url: str
    jobs: JobStore
    sessions: SessionStore
    schedules: ScheduleStore
    limits: LimitStore
    inspection: Inspection
    wake: Wake

    @abstractmethod
    def now(self) -> int:
        """The store's clock; cheap enough to be asked at each start of a job."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether something was ever stored here; makes nothing, and changes nothing that others have made."""

    @abstractmethod
    def version(self) -> int:
        """A number that is another one once anybody, in whatever process, has changed the store; cheap to ask.

        Until then it stays the same: an operation that finds nothing to do changes nothing.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of all handles; the next operation opens them again."""
