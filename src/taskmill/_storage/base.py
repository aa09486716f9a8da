"""The contract between taskmill and a store, by role; the memory adapter is its shortest form.

Rules for every operation: it is atomic (all of it happened or none), it takes no *now* (the clock belongs to
the store), it may be repeated after an error without doing anything twice, and durations and instants are
integer microseconds. Errors are those of taskmill.errors (StoreBusy, StoreUnavailable, NotAStore,
SchemaTooNew); after one, nothing of the operation is stored.

Claimable: state `queued`, `run_at` reached, not expired, not waiting for a lock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from taskmill._core.census import Census, Serves
from taskmill._core.deed import Deed
from taskmill._core.event import Notice
from taskmill._core.filter import EVERY, Filter
from taskmill._core.finding import Finding
from taskmill._core.job import Claimed, ErrorInfo, Executor, NewJob, State
from taskmill._core.journal import Sheet
from taskmill._core.lifecycle import Settlement
from taskmill._core.record import Job
from taskmill._core.tally import Tally
from taskmill._storage.callers.base import Entry
from taskmill._storage.wake import Wake
from taskmill.errors import CannotJoin

# Of so many sessions that were rescued it is remembered that they were asked to stop.
WISHES = 10_000

CancelAnswer = Literal["cancelled", "requested", "ended", "missing"]


class Turn(NamedTuple):
    """What a turn did.

    `stale` are the settlements that changed nothing. `next_at` is for exact timers: the earliest `run_at` of the
    queued jobs that are left after this turn in the asked-for queues, for the executors of which more than 0
    were wanted, those that wait for a lock left out; or the earliest `expires_at` of any waiting job, if that is
    sooner; None if there is neither. It lies in the past where due jobs were left because enough were claimed.
    `version` is that of the store when it was looked for `next_at`, the changes of this turn included.
    """

    stale: Sequence[Settlement]
    claimed: Sequence[Claimed]
    next_at: int | None
    notices: Sequence[Notice]
    version: int


class Outcome(NamedTuple):
    """The part of a job that a waiting caller needs."""

    task: str
    state: State
    reason: str | None
    result: str | None
    error: ErrorInfo | None


class ScheduleState(NamedTuple):
    """What the store knows of a schedule; `last_slot` is the latest slot that fired or was skipped.

    Where none was yet, `last_slot` is when it was first registered. `paused_at`: since when no slot of it fires, None
    where they do.
    """

    name: str
    task: str
    spec: str
    last_slot: int
    fired: int
    skipped: int
    last_job: str | None
    paused_at: int | None = None


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


class Page(NamedTuple):
    """Jobs, newest first, and what to give as *after* to go on with older ones; None at the end of the store."""

    jobs: Sequence[Job]
    more: str | None


class DeedPage(NamedTuple):
    """Deeds, each with when it was noted, newest first, and what to give as *after* to go on; None at the end."""

    deeds: Sequence[tuple[datetime, Deed]]
    more: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """One run of one process that may hold jobs or locks."""

    session: int
    host: str
    pid: int
    kind: str
    parent: int | None
    started_at: datetime
    running: int
    is_asked_to_stop: bool = False


class Load(NamedTuple):
    """What a store takes in from another one."""

    jobs: Sequence[Job]
    schedules: Sequence[ScheduleState] = ()


class Crate(NamedTuple):
    """What was taken out of a store for the one of the identity *target*, and is in no store until it is unpacked."""

    crate_id: str
    target: str
    load: Load


class Writing(NamedTuple):
    """What the holder of a claim adds to its journal: sheets that are new or have grown, and those that go."""

    claimed: Claimed
    sheets: Sequence[tuple[int, str]]
    torn: Sequence[int]


class Violation(NamedTuple):
    """A rule that a store breaks, how many times, and with what, for example."""

    rule: str
    times: int
    examples: Sequence[str]


class Backup(NamedTuple):
    """A copy that was made: its size in bytes, how many jobs it holds, and what `Health.verify` says of it.

    As a database it is whole; rules that it breaks, the store breaks too.
    """

    path: Path
    size: int
    jobs: int
    violations: Sequence[Violation]


class JobStore(ABC):
    """The hot operations: jobs on their way from enqueued to ended."""

    @abstractmethod
    def add(self, jobs: Sequence[NewJob]) -> Sequence[str]:
        """Store *jobs*, all or none; return the id that each is known by, in order.

        A job whose id is stored already is not stored again. A job whose (task, key) is stored already, in
        whatever state, is not stored either: the id of the stored one is returned in its place. A job with
        `step` > 0 starts `blocked`, every other `queued`.
        """

    def join(self, jobs: Sequence[NewJob]) -> Entry:  # noqa: ARG002  (those who can, need them)
        """Prepare *jobs* to be added by a transaction of the caller's; until it is committed nobody sees them.

        Workers are woken by the commit where the store can do that itself, elsewhere by `Wake.jobs_added` after it.
        A store that cannot be part of such a transaction leaves this as it is: CannotJoin.
        """
        raise CannotJoin(
            "the store of this Mill is in no SQL database, so no transaction can hold its jobs: use a sqlite:/// or "
            "postgresql:// store where your data is, or enqueue after your commit, without connection="
        )

    @abstractmethod
    def turn(
        self,
        session: int,
        settlements: Sequence[Settlement],
        *,
        claim: int,
        wants: Mapping[Executor, int],
        queues: Collection[str] | None,
        knows: Collection[str] = (),
    ) -> Turn:
        """Record what ended and claim what comes next, in one transaction.

        Settling, in the order given:
        - A settlement counts only while its job is `running` under this *session* and the claim's fence.
          Otherwise it changes nothing and is returned as stale, unless it was recorded before (a repeated
          turn after a lost reply: the last that held the job was this session, under this fence or since
          under a later one), which is silently right. That of a job no longer stored is stale.
        - To `queued`: claimable after `delay`. `hand_back` takes the attempt off again, and without a delay
          the job keeps its place. Of an attempt that `is_kept`, the job's history tells, with its error. A job
          whose cancel was requested is not queued again but `cancelled` (reason revoked), with a notice.
        - `crashes` is added to the job's own count.
          With `hand_on` it is claimed for the executor "elsewhere" from then on, unless it is a suspect. One whose
          ending `acquits` it is neither a suspect nor handed on any longer.
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
        equal priority for different executors, any may come first to a lock.) Suspects (see `bury`) are
        claimed for the executor "alone" only, whatever they were enqueued for; those that were handed on, for
        "elsewhere" only, and only if their task is among those that the session *knows*.
        *claim* numbers the claims of a session: repeating a turn with the same number returns what that number
        claimed before and still holds, and claims nothing more while it holds any. A session that has ended
        claims nothing.
        """

    @abstractmethod
    def rescue(self) -> Sequence[Notice]:
        """Take back the running jobs and locks of every session that is dead; notices `rescued`.

        A session is dead when its process is known to be gone or its lease has run out; never because a job
        is old. While its parent lives, the lease alone counts: the parent knows how its child ended, and buries
        it. The jobs are `queued` again in their old place, the attempt handed back, `rescues` one higher (one
        whose cancel was requested is `cancelled` instead), and they forget their session, so that its late
        settlements are stale. Dead sessions are removed.
        Also lets the first waiter of every free lock be claimed again, whatever left it waiting.
        """

    @abstractmethod
    def bury(self, session: int, crash: ErrorInfo, *, alone: bool) -> Sequence[Notice]:
        """End the session of a process that crashed: take back all that it held, and find who is to blame.

        Of the jobs held, those that its slots name were running; *crash* says how the process ended.
        - *alone*, it ran one job only: what its slots name is settled as `lifecycle.after_crash` decides, with
          notices `crashed` or `failed`.
        - Otherwise they become suspects, to be claimed for the executor "alone", until they come to an end of
          their own; this is no blame yet, and they are taken back like the rest.
        - The rest, claimed and not started, is taken back as by `rescue`; so are the locks.
        Repeating it does nothing.
        """

    @abstractmethod
    def cancel(self, job_id: str) -> tuple[CancelAnswer, Sequence[Notice]]:
        """Cancel a waiting job (reason revoked) with the later steps of its pipeline, or ask a running one to stop.

        "cancelled": it will never run. "requested": it runs; it will not be retried. "ended", "missing": nothing
        to do. Notices name every job that became `cancelled`.
        """

    @abstractmethod
    def unwanted(self, session: int) -> Sequence[tuple[str, int]]:
        """The running jobs of *session* whose cancel was requested: id and fence of each, in no set order."""

    @abstractmethod
    def retry(self, job_id: str) -> bool:
        """Queue a failed or cancelled job again with (at least) one more attempt; False where it is neither.

        Its error, if there is one, moves to its history; its crashes and an earlier request to cancel are
        forgotten, but a suspect stays one. The steps behind it that were cancelled for a step before are
        `blocked` again, up to the first that was cancelled for its own sake or is gone. It and they no longer
        expire. A step whose step before has not succeeded, or is gone, cannot be retried.
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

    @abstractmethod
    def delete(self, job_ids: Sequence[str]) -> int:
        """Delete these jobs, one after the other and by the rules of `purge`; return how many are gone."""

    @abstractmethod
    def pause(self, queue: str) -> bool:
        """Let no job of *queue* be claimed any more; False where that is so already.

        A turn that begins after this has returned claims none, suspects included, and its `next_at` knows of none. What
        runs goes on, jobs can be added, and expire. Who waits for a lock behind a job that is held back so, waits too.
        """

    @abstractmethod
    def resume(self, queue: str) -> bool:
        """Take the pause of *queue* back; False where there is none."""

    @abstractmethod
    def hasten(self, job_id: str) -> bool:
        """Let a queued job that is to run later run now; False where it is not queued, or due already."""


class Slots(ABC):
    """Which job each executor of a session runs at this moment; readable by others after the process was killed.

    Noting and clearing are on the way of every job: each costs well below a microsecond and never fails. Each slot
    belongs to one thread at a time.
    """

    @abstractmethod
    def note(self, slot: int, ref: int, fence: int) -> None:
        """The claim (*ref*, *fence*) begins to run in *slot*; said before its function is called."""

    @abstractmethod
    def clear(self, slot: int) -> None:
        """What ran in *slot* has ended."""


class SessionStore(ABC):
    """Who holds jobs and locks, and whether they live."""

    @abstractmethod
    def open(self, *, kind: str, lease: int, parent: int | None = None, serves: Serves | None = None) -> int:
        """Begin a session of this process with a lease of *lease*; ids only ever grow and are never reused.

        *parent* is the session of the process that watches this one; see `JobStore.rescue`. *serves* is what people
        are told that it takes.
        """

    @abstractmethod
    def slots(self, session: int, count: int) -> Slots:
        """The slots, numbered from 0, of a session that was opened here; to be asked for once."""

    @abstractmethod
    def renew(self, session: int) -> bool:
        """Push the lease out again; False if the session is gone (ended, or rescued as dead).

        Also that of another process's session, by whoever knows that it lives. Needs no write to the database where
        liveness is kept beside it, so it works while that is busy.
        """

    @abstractmethod
    def end(self, session: int) -> Sequence[Notice]:
        """End a session: what it still holds goes back at once, no attempt burnt, and its locks are freed.

        Also that of another process, by whoever knows that it is gone and not to blame for it.
        The jobs forget the session; one whose cancel was requested is `cancelled` instead. Repeating it does
        nothing. Notices `released` (or `cancelled`).
        """

    @abstractmethod
    def ask_to_stop(self, session: int) -> bool:
        """Ask the process of a session to come to an end; False where it was asked before, or is gone.

        Nothing else follows from it: whoever renews the session asks now and then whether it `is_asked_to_stop`. A
        process that was told so in another way notes it by this, for people.
        """

    @abstractmethod
    def is_asked_to_stop(self, session: int) -> bool:
        """Whether somebody asked for it; also of one that was rescued since: its process may only have stood still.

        False where the session was ended, and where it was rescued more than WISHES sessions ago.
        """


class ScheduleStore(ABC):
    """Periodic work: each slot once, whoever asks."""

    @abstractmethod
    def register(self, *, name: str, task: str, spec: str) -> ScheduleState:
        """Make the schedule known. One that is new, or whose *spec* changed, owes nothing before now."""

    @abstractmethod
    def fire(self, name: str, *, after: int, slot: int, fire: NewJob | None, skipped: int) -> bool:
        """Account for all slots behind *after* up to *slot*: store the job, if any, and count *skipped*, together.

        False, and nothing done, unless *after* is the schedule's `last_slot` still, *slot* is later, and it is not
        paused.
        """

    @abstractmethod
    def pause(self, name: str) -> bool:
        """Let no slot of the schedule fire any more; False where that is so already, or where there is none."""

    @abstractmethod
    def resume(self, name: str) -> bool:
        """Take the pause back; False where there is none. The schedule owes nothing before now."""

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


class StatisticStore(ABC):
    """What workers have counted by the minute: for charts, and not for accounts."""

    @abstractmethod
    def add(self, tallies: Sequence[Tally]) -> None:
        """Add to what was counted before; minutes more than a day ago are forgotten.

        The one operation that may count twice where it is repeated after an error.
        """

    @abstractmethod
    def series(self, *, since: int, task: str | None = None) -> Sequence[Tally]:
        """What was counted (of one task) from the minute *since* on, each kind once; by minute, task, event, bucket."""


class AuditStore(ABC):
    """What was done by hand, for people: no part of what is moved to another store, for it was done to this one."""

    @abstractmethod
    def append(self, deed: Deed) -> None:
        """Note a deed, unless one of its id is noted already; of all, the newest 10,000 are kept."""

    @abstractmethod
    def page(self, *, after: str | None = None, limit: int) -> DeedPage:
        """A page of them, newest first; *after* is `DeedPage.more` of the page before."""


class JournalStore(ABC):
    """What jobs say of themselves while they run: how far they are, and their log lines."""

    @abstractmethod
    def write(self, session: int, writings: Sequence[Writing]) -> None:
        """Keep what is said under claims, if the job is `running` under *session* and the claim's fence.

        A sheet takes the place of the one that had its number under that claim. Of each job that is written to, the
        sheets of claims whose fence is lower by `KEPT_CLAIMS` or more are forgotten. With their job, all go.
        """

    @abstractmethod
    def read(self, job_id: str) -> Sequence[Sheet]:
        """The sheets of a job by fence and number; none of a job that is not stored."""


class Transfer(ABC):
    """Jobs and schedules on their way from store to store, each in one of them only.

    `pack` takes them out of one and keeps them as a crate there, which is durable and out of everybody's reach;
    the other one unpacks a crate once, whoever brings it and however often; then it is forgotten by the first.
    """

    @abstractmethod
    def identity(self) -> str:
        """What tells this store from all others, whatever URL leads to it; made at the first call, and kept."""

    @abstractmethod
    def read(self, *, after: str | None, limit: int) -> Page:
        """A page of the jobs, with attempts and sheets, in the order of adding; a pipeline is on one, as of one moment.

        *after* is `Page.more` of the page before. A page holds up to *limit* jobs and pipelines.
        """

    @abstractmethod
    def pack(self, target: str, *, limit: int) -> Crate | None:
        """Take up to *limit* jobs and pipelines out, by the order of adding, and all schedules; None without any.

        What runs stays, and so does a pipeline of which a step runs. While there is a crate that was not
        forgotten, it is returned (whatever its target) and nothing else is taken out.
        """

    @abstractmethod
    def unpack(self, crate_id: str, load: Load) -> Sequence[str] | None:
        """Store what is in a crate, unless that of this id was unpacked here before: then None, and nothing is done.

        Returns the ids of the jobs that were not stored because theirs, or their (task, key), is stored already. The
        others are as they were (state, place in the queue, fence, attempts, time to be kept), but wait for no lock and
        are no session's. A schedule that is known here and has fired goes on behind the later of both slots; one
        that has not, where it was. It is paused if it was so in either store.
        """

    @abstractmethod
    def forget(self, crate_id: str) -> None:
        """Let go of a crate that was unpacked elsewhere. Repeating it does nothing."""


class Inspection(ABC):
    """What people and waiting callers read; never blocks a writer."""

    @abstractmethod
    def outcome(self, job_id: str) -> Outcome | None:
        """The state and ending of a job; None if the store does not hold it."""

    @abstractmethod
    def job(self, job_id: str) -> Job | None:
        """Everything that is known of a job, with its attempts."""

    @abstractmethod
    def find(self, wanted: Filter = EVERY, *, limit: int = 100) -> Sequence[Job]:
        """Up to *limit* jobs that are *wanted*, newest first, without their attempts."""

    @abstractmethod
    def steps(self, pipeline: str, *, limit: int = 1_000) -> Sequence[Job]:
        """The first *limit* jobs of a pipeline that are stored, by step, without their attempts."""

    @abstractmethod
    def search(self, wanted: Filter = EVERY, *, after: str | None = None, limit: int = 100) -> Page:
        """A page of the jobs that are *wanted*, newest first, without their attempts.

        *after* is `Page.more` of the page before, or anything else that was one once: a job that was on an earlier page
        is not on this one, and those that have been deleted since harm nothing. The store bounds how many jobs it reads
        for a page: it may hold fewer than *limit*, or none, with more to come.
        """

    @abstractmethod
    def recent(self, limit: int) -> Sequence[Job]:
        """The jobs, with attempts, that the latest *limit* lifecycle events belong to, in no set order."""

    @abstractmethod
    def queues(self) -> Sequence[QueueCount]:
        """Counts by queue and state, by name."""

    @abstractmethod
    def paused(self) -> Mapping[str, datetime]:
        """The queues that are paused, and since when."""

    @abstractmethod
    def has_suspects(self, queues: Collection[str] | None) -> bool:
        """Whether a job of *queues* (None: of all) can be claimed for the executor "alone"."""

    @abstractmethod
    def sessions(self) -> Sequence[SessionState]:
        """The sessions that have not ended, by id."""


class Health(ABC):
    """What `taskmill doctor` and `taskmill backup` ask; makes nothing, changes nothing, and blocks no writer.

    It works without the other roles, which make or migrate a store that they open: StoreUnavailable where there is
    none, NotAStore where it is no whole store of taskmill, SchemaTooNew, StoreBusy.
    """

    @abstractmethod
    def findings(self) -> Iterator[Finding]:
        """About how and where the store is kept: first what is known without opening it, so before any StoreError."""

    @abstractmethod
    def census(self) -> Census:
        """All that the store holds, counted, at one moment. It reads every job."""

    @abstractmethod
    def verify(self) -> Sequence[Violation]:
        """The rules that rows of the store break; none, whatever its programs did and however they ended.

        Slow: it reads all that is stored, several times.
        """

    @abstractmethod
    def backup(self, target: Path, *, replace: bool) -> Backup:
        """Copy the store, as it is at one moment, to a new file that becomes *target* when it is whole and on disk.

        The copy is at rest: what ran in the store waits to be claimed in it, no attempt burnt, and no session holds
        anything. Fences and lock tokens continue far above those of the store, so that they only grow also for who has
        seen some that were given out after the copy was made. With *replace* an older copy gives way.

        BackupFailed, and nothing is left, where it cannot be made, or where it is no sound database.
        """


class Storage(ABC):
    """One store, by role. Making one touches nothing: the first operation opens it."""

    url: str
    # Whether another process does the work, so that this one can go on with something else meanwhile.
    is_remote: bool = False
    jobs: JobStore
    sessions: SessionStore
    schedules: ScheduleStore
    limits: LimitStore
    statistics: StatisticStore
    audit: AuditStore
    journals: JournalStore
    transfer: Transfer
    inspection: Inspection
    wake: Wake

    @property
    @abstractmethod
    def health(self) -> Health:
        """A look at the store as a whole."""

    @abstractmethod
    def now(self) -> int:
        """The store's clock; cheap enough to be asked at each start of a job."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether something was ever stored here; makes nothing, and changes nothing that others have made."""

    @abstractmethod
    def version(self) -> int:
        """A number that is another one once anybody, in whatever process, has changed the store; cheap to ask.

        Until then it stays the same: an operation that finds nothing to do changes nothing. (Where others are out of
        sight, it is another one with each second, whatever happened.)
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of all handles; the next operation opens them again."""
