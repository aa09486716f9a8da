"""The worker as a step machine: settle what finished, claim what is next, hand it out, say how long to rest."""

from __future__ import annotations

import logging
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from taskmill._app.application import Application
from taskmill._app.context import Tenure
from taskmill._app.scrubbing import scrubbed
from taskmill._core import lifecycle
from taskmill._core.census import Serves
from taskmill._core.event import Notice
from taskmill._core.instant import SECOND
from taskmill._core.job import EXECUTORS, Claimed, ErrorInfo, Executor, OwnExecutor
from taskmill._core.lifecycle import Settlement
from taskmill._core.limit import OBSTINATE, Limits
from taskmill._core.outcome import Released, ResultRefused, Succeeded, Unknown, stopped
from taskmill._core.retry import RetryPolicy
from taskmill._core.wording import counted, span
from taskmill._storage.base import Turn
from taskmill._storage.wake import PATIENCE, Room
from taskmill._worker import stacks
from taskmill._worker.attempt import Attempts
from taskmill._worker.executors.base import Finished, JobExecutor
from taskmill._worker.executors.thread import ThreadExecutor
from taskmill._worker.journal import Journal
from taskmill._worker.messages import Pulse
from taskmill._worker.options import WorkerOptions
from taskmill._worker.outage import Outage
from taskmill._worker.pace import Pace
from taskmill._worker.place import Place
from taskmill._worker.report import Reporter
from taskmill._worker.service import Service
from taskmill._worker.slot import JobKey, LastingSlots, Timekeeper
from taskmill._worker.ticks.cancel import Cancel
from taskmill._worker.ticks.heartbeat import Heartbeat
from taskmill._worker.ticks.prune import Prune
from taskmill._worker.ticks.pulse import Pulses
from taskmill._worker.ticks.rescue import Rescue
from taskmill._worker.ticks.schedule import Schedule
from taskmill._worker.ticks.stop import Stop
from taskmill._worker.ticks.tally import Tallies
from taskmill.errors import StoreError, StoreRefused, StoreUnusable

if TYPE_CHECKING:
    from taskmill._worker.executors.loop import LoopExecutor
    from taskmill._worker.executors.process import ProcessExecutor

logger = logging.getLogger("taskmill.worker")

# How soon is looked again at what cannot be waited for otherwise.
POLL = 0.05
# A thread that is busy for so long while jobs wait behind it: they go back, another worker may be free.
_STUCK = 0.1
# While jobs wait behind busy threads, nobody rings for one that ends: so long the next turn waits, and settles many.
GATHER = 0.005
_SHORTEST_RETRY, _LONGEST_RETRY = 0.05, 5.0

_NO_TASK = RetryPolicy()
_TOO_MANY = "its worker claimed more than it can run soon"

_UNSTOPPABLE = (
    "%s %s goes on past its timeout, and a thread cannot be killed: it keeps its slot and its lock until it returns. "
    "`taskmill worker` replaces a process for that, and executor='process' needs no such thing. %s"
)
_REPLACED = (
    "%s %s goes on past its timeout: another process takes over; when this one is gone, it has timed out. %s"
)


def _load_of(executor: JobExecutor | None) -> int:
    return 0 if executor is None else executor.load()


class Pending(NamedTuple):
    """Settlements on their way into the store, with the claim number under which the turn can be repeated."""

    settlements: Sequence[Settlement]
    claim: int


class Machine:
    """One session of one worker; once `tenure.lost`, it is of no more use, and a new one must take its place.

    It belongs to the thread that steps it; executors report from their own, and *ring*.
    """

    def __init__(
        self,
        app: Application,
        options: WorkerOptions,
        ring: Callable[[], None],
        place: Place | None = None,
        outage: Outage | None = None,
    ) -> None:
        self._app = app
        self._storage = app.storage
        self._options = options
        self._ring = ring
        self._reporter = Reporter(app)
        self._outage = outage or Outage(logger, self.meanwhile)
        self._finished: deque[Finished] = deque()
        self._place = place or Place()
        self._rooms: dict[OwnExecutor, int] = {
            "thread": options.threads,
            "asyncio": options.coroutines,
            "process": options.process_slots,
        }
        self._served = [executor for executor, room in self._rooms.items() if room]
        session = self._open_session()
        self._journal = Journal(self._storage.journals, session, self._storage.now)
        self.tenure = Tenure(session, self._journal.open, options.log_level)
        self._slots = self._storage.sessions.slots(session, sum(self._rooms.values()))
        if self._place.serves == "suspects":
            self._slots = LastingSlots(self._slots)
        self._attempts = Attempts(app, self.tenure)
        self._stuck: list[tuple[Claimed, str]] = []
        self._told_stuck = 0
        self._timekeeper = Timekeeper()
        self._threads = ThreadExecutor(
            options.threads,
            self._attempts.run,
            self._storage.now,
            timekeeper=self._timekeeper,
            on_stuck=self._note_stuck,
            slots=self._slots,
            report=self._finished.append,
            ring=ring,
        )
        self._loop: LoopExecutor | None = None
        self._processes: ProcessExecutor | None = None
        self._pace = Pace(options.threads, in_halves=self._storage.is_remote)
        self._claims = 0
        self._ran = 0
        self._pending: Pending | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._seen = -1
        self._looked_for: set[str] = set()
        self._next_at: int | None = None
        self._is_quiet = False
        self._last_progress = time.monotonic()
        self._is_claiming = True
        self._is_doubtful = False
        self.heartbeat = Heartbeat(self._storage.sessions, self.tenure, app.lease, ring)
        jobs = self._storage.jobs
        self._tallies = Tallies(self._storage.statistics)
        self._stop = Stop(self._storage.sessions, self.tenure)
        self._ticks = Service(
            [
                Rescue(jobs, self._reporter.tell, app.lease),
                Schedule(app),
                Prune(jobs),
                self._tallies,
                # Whoever has a supervisor is told by that.
                *([self._stop] if self._place.parent is None else []),
            ],
            self._outage,
        )
        cancel = Cancel(self._storage, self.tenure, self.load, self._cancel)
        self._watch = Service([cancel, self._journal], self._outage)
        pulse = self._place.pulse
        self._pulses = None if pulse is None else Service([Pulses(self._pulse, pulse)], self._outage)

    # --- what the driver asks

    def step(self) -> float:
        """Do what can be done now; return how many seconds to rest unless rung."""
        if self._is_claiming:
            rest = self._ticks.run_due()
        else:
            self._ticks.skip()
            rest = POLL
        if self._pulses is not None:
            rest = min(rest, self._pulses.run_due())
        if self.load():
            rest = min(rest, self._watch.run_due())
            self._make_sure()
        else:
            self._watch.skip()
        if len(self._stuck) > self._told_stuck:
            self._tell_stuck()
        if self._is_backing_off():
            return POLL
        try:
            if self._pending or self._finished or self._may_claim():
                self._turn()
        except StoreUnusable:
            # No waiting helps.
            raise
        except StoreError as error:
            self._after_failure(error)
            return POLL
        self._outage.worked("turn")
        self._give_back_if_stuck()
        is_due = self._has_room() and self._until_next() == 0
        if self._is_backed_up() and not (is_due and self._pace.is_half_gone(self._threads.load())):
            return min(rest, self._until_next() or GATHER, GATHER)
        if self._finished or is_due:
            return 0.0
        return min(rest, self._until_next() or POLL, self._storage.wake.patience)

    def load(self) -> int:
        """How many jobs are under way, those to be settled included; never too few, for a moment one too many."""
        pending = self._pending
        load = self._threads.load() + self.stoppable_load() + len(self._finished)
        return load + (len(pending.settlements) if pending else 0)

    def stoppable_load(self) -> int:
        """How many coroutines and processes are under way: what can be ended."""
        return _load_of(self._loop) + _load_of(self._processes)

    def meanwhile(self) -> str:
        """What becomes of the jobs under way while the store is in trouble, in words; any thread may ask."""
        load = self.load()
        if not load:
            return "no job is under way here"
        told = f"{counted(load, 'job')} under way here"
        left = self.tenure.unsure_from - time.monotonic()
        if left <= 0:
            return f"{told}, which may soon be others': what still runs is stopped"
        kept = "what ends is kept until it can be recorded"
        return f"{told}: {kept}, what still runs in {span(left)} is stopped and goes back"

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether somebody has asked for it in the store."""
        return self._stop.is_asked

    def was_asked_to_stop(self) -> bool:
        """As `is_asked_to_stop`, now that the session is lost: it may have stood still while somebody asked."""
        return self._place.parent is None and (
            self._stop.is_asked or self._storage.sessions.is_asked_to_stop(self.tenure.session)
        )

    @property
    def is_spent(self) -> bool:
        """Whether a thread goes on past its time, so that this process has to be replaced."""
        return self._place.replace is not None and bool(self._told_stuck)

    def awaited_load(self) -> int:
        """How many jobs are under way that may come to an end."""
        if self._place.replace is None:
            return self.load()
        return self.load() - len(self._overdue())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and nothing was due at the last look."""
        return self._is_quiet and not self.load() and self._pending is None

    def claim_no_more(self) -> None:
        """The first half of `stop_claiming`; any thread may say it, in the middle of a step that takes its time."""
        self._is_claiming = False

    def stop_claiming(self) -> None:
        """Finish what runs; what waits for a slot goes back at once."""
        self.claim_no_more()
        self._withdraw_all()

    def note_stopping(self) -> None:
        """Let people see that no more jobs are taken here; to ask a store in trouble would take from the grace."""
        if not self._outage.is_on:
            with suppress(StoreError):
                self._storage.sessions.ask_to_stop(self.tenure.session)

    def outlasting(self) -> Sequence[Claimed]:
        """What still runs and could not be ended: it goes back with the session, or with the process."""
        running = [*self._threads.running().values(), *(self._loop.running() if self._loop else ())]
        # Where another process takes over, these end as timed out instead.
        overdue = self._overdue() if self._place.replace is not None else ()
        return [claimed for claimed in running if claimed not in overdue]

    def _overdue(self) -> Sequence[Claimed]:
        """What was told to go on past its timeout, and still does: one that has returned since is like any other."""
        running = self._threads.running().values()
        return [claimed for claimed, _ in self._stuck[: self._told_stuck] if claimed in running]

    def interrupt(self) -> None:
        """Give back what can be ended, and what has not begun."""
        self._withdraw_all()
        for executor in self._executors():
            executor.interrupt()

    def close(self) -> None:
        """End the session: what is still held goes back, no attempt burnt.

        A thread that is in the middle of a job ends with it; nobody waits for that, and what it reports is dropped.
        Where there is a supervisor, the session is left to it then: as long as this process lives, nobody else may
        begin what it runs.
        """
        self._threads.withdraw()
        # No more than a count, and a log: the store will be asked for what matters next.
        with suppress(StoreError):
            self._tallies.tick()
            self._journal.tick()
        notices: Sequence[Notice] = ()
        try:
            if self._place.replace is None or not self.is_running:
                notices = self._storage.sessions.end(self.tenure.session)
        finally:
            self.tenure.lost = True
            self._timekeeper.close()
            for executor in self._executors():
                executor.close()
        self._reporter.tell(notices)
        if self._place.pulse is not None:
            # What was counted since the last one.
            self._place.pulse(self._pulse())

    def _open_session(self) -> int:
        return self._storage.sessions.open(
            kind="worker", lease=self._app.lease, parent=self._place.parent, serves=self._serves()
        )

    def _serves(self) -> Serves | None:
        """What it takes; that one takes suspects only is of no use to who waits."""
        if self._place.serves == "suspects":
            return None
        return Serves(self._options.queues, self._served, self._app.tasks.names)

    def _free(self) -> dict[Executor, int]:
        """How many jobs more could begin at once."""
        return {
            "thread": max(0, self._threads.slots - self._threads.load()),
            "asyncio": max(0, self._options.coroutines - _load_of(self._loop)),
            "process": max(0, self._options.process_slots - _load_of(self._processes)),
        }

    def _known(self) -> Collection[str]:
        """The names of the tasks of which one could begin now."""
        names, free = self._app.tasks.names, self._free()
        if all(free.values()):
            return names
        return [name for name in tuple(names) if free[self._app.tasks[name].executor]]

    @property
    def is_running(self) -> bool:
        """Whether a job is in the middle of its run, or waits for a thread."""
        return bool(self._threads.load() + self.stoppable_load())

    def stacks(self) -> str:
        """Where everything in this process stands, with its job."""
        return stacks.told(
            self._threads.running(),
            self._loop.running() if self._loop else {},
            self._processes.running() if self._processes else {},
        )

    def dump_processes(self) -> None:
        """Let the processes beside this one that run jobs write where they stand."""
        if self._processes is not None:
            self._processes.dump()

    # --- the turn

    def _turn(self) -> None:
        pending = self._pending = self._pending or self._take_finished()
        # Who sees that a job has ended finds all that it has said.
        self._journal.conclude(settlement.claimed for settlement in pending.settlements)
        settlements, turn = self._exchange(pending)
        self._outage.worked("turn", len(settlements))
        self._pending, self._failures, self._seen = None, 0, turn.version
        is_passed_over = self._note_next(turn)
        # First what ended, then what begins: handlers hear of a pipeline's steps in their order.
        self._reporter.settled(settlements, turn)
        if settlements:
            self._count_ended(
                [one for one in settlements if one not in turn.stale] if turn.stale else settlements
            )
        self._hand_out(turn)
        self._leave_to_others(turn)
        # One that the store does not know any more is passed over, too.
        if (turn.stale or is_passed_over) and not self._storage.sessions.renew(self.tenure.session):
            self.tenure.lost = True

    def _count_ended(self, settlements: Sequence[Settlement]) -> None:
        now = self._storage.now()
        self._tallies.note(settlements, now)
        if self._app.meter is not None:
            self._app.meter.ended(settlements, now)

    def _exchange(self, pending: Pending) -> tuple[Sequence[Settlement], Turn]:
        """The turn, and the settlements as they were recorded."""
        wants = self._wants()
        self._looked_for = self._asked_for(wants)
        try:
            return pending.settlements, self._ask(pending.settlements, pending.claim, wants)
        except StoreRefused:
            parts = [self._settle_alone(settlement, pending.claim) for settlement in pending.settlements]
        turn = self._ask((), pending.claim, wants)
        stale = [settlement for _, part in parts for settlement in part.stale]
        notices = [notice for part in (*(part for _, part in parts), turn) for notice in part.notices]
        return [settlement for settlement, _ in parts], turn._replace(stale=stale, notices=notices)

    def _ask(self, settlements: Sequence[Settlement], claim: int, wants: dict[Executor, int]) -> Turn:
        return self._storage.jobs.turn(
            self.tenure.session,
            settlements,
            claim=claim,
            wants=wants,
            queues=self._options.queues,
            knows=self._known(),
        )

    def _settle_alone(self, settlement: Settlement, claim: int) -> tuple[Settlement, Turn]:
        """Where the store refused the batch: the value that it cannot hold fails its own job only."""
        try:
            return settlement, self._ask([settlement], claim, {})
        except StoreRefused as error:
            refused = ResultRefused(ErrorInfo("StoreRefused", ascii(error)))
        transition = lifecycle.end(settlement.claimed, refused, _NO_TASK, 0)
        replaced = settlement._replace(transition=transition)
        try:
            return replaced, self._ask([replaced], claim, {})
        except StoreRefused:
            # Its row is damaged so that it cannot even be named; the others must not wait for it.
            logger.exception("%r cannot be settled", settlement.claimed)
            return replaced, Turn([], [], None, [], self._seen)

    def _take_finished(self) -> Pending:
        self._claims += 1
        finished = [self._finished.popleft() for _ in range(len(self._finished))]
        self._learn(finished)
        if self._place.max_jobs:
            self._count(finished)
        return Pending([self._settlement(one) for one in finished], self._claims)

    def _learn(self, finished: Sequence[Finished]) -> None:
        """What ran in threads says how far ahead to claim."""
        times: defaultdict[str, list[float]] = defaultdict(list)
        for claimed, _, started_at, seconds in finished:
            if started_at is not None and claimed.executor == "thread":
                times[claimed.task].append(seconds)
        for task, taken in times.items():
            self._pace.note(task, *taken)
        if times:
            self._pace.widen(times)
            self._last_progress = time.monotonic()

    def _count(self, finished: Sequence[Finished]) -> None:
        before = self._ran
        self._ran += sum(one.started_at is not None for one in finished)
        if before < self._place.max_jobs <= self._ran and self._place.replace is not None:
            self._place.replace(f"it has run {self._ran} jobs", None)

    def _settlement(self, finished: Finished) -> Settlement:
        claimed, outcome, started_at, _ = finished
        if type(outcome) is Succeeded:
            return Settlement(claimed, lifecycle.succeed(outcome), started_at)
        task = self._app.tasks.find(claimed.task)
        policy = _NO_TASK if task is None else task.retry_policy
        chance = random.random()  # noqa: S311  (jitter, no secret)
        transition = lifecycle.end(claimed, outcome, policy, chance)
        if transition.error is not None:
            transition = transition._replace(error=scrubbed(self._app, claimed, transition.error))
        return Settlement(claimed, transition, started_at)

    def _wants(self) -> dict[Executor, int]:
        if not self._is_claiming or not self._is_sure():
            return {}
        if self._place.serves == "suspects":
            return {"alone": int(not self.is_running)}
        free = self._free()
        wants: dict[Executor, int] = {**free, "thread": self._pace.want(self._threads.load())}
        # For which of those that are free their tasks are, is seen when they are here.
        wants["elsewhere"] = min((count for count in free.values() if count), default=0)
        if self._place.serves == "all":
            wants["alone"] = int(self._threads.load() < self._threads.slots and wants["asyncio"] > 0)
        return wants

    def _after_failure(self, error: StoreError) -> None:
        """What finished stays here until the store takes it; nothing is claimed, so this stays bounded."""
        self._failures += 1
        rest = min(_LONGEST_RETRY, _SHORTEST_RETRY * 2 ** min(self._failures, 10))
        rest *= random.uniform(0.5, 1)  # noqa: S311  (spreads retries, no secret)
        self._retry_at = time.monotonic() + rest
        self._outage.failed("turn", error)

    # --- handing out

    def _hand_out(self, turn: Turn) -> None:
        chosen: dict[Executor, list[Claimed]] = {executor: [] for executor in EXECUTORS}
        for claimed in turn.claimed:
            task = self._app.tasks.find(claimed.task)
            if task is None:
                self._reporter.unknown(claimed)
                self._finished.append(Finished(claimed, Unknown(), None, 0.0))
            else:
                chosen[task.executor].append(claimed)
        self._hand_to_threads(chosen["thread"])
        if chosen["asyncio"]:
            self._open_loop().submit(chosen["asyncio"])
        if chosen["process"]:
            self._hand_to_processes(chosen["process"])

    def _hand_to_threads(self, jobs: list[Claimed]) -> None:
        load = self._threads.load()
        if load < self._threads.slots:
            self._last_progress = time.monotonic()
        kept, surplus = self._pace.divide(jobs, load)
        self._threads.submit(kept)
        self._release(surplus, _TOO_MANY)

    def _hand_to_processes(self, jobs: list[Claimed]) -> None:
        # Of those that were enqueued for another executor, or handed on, more can come than there is room for.
        free = self._free()["process"]
        self._open_processes().submit(jobs[:free])
        self._release(jobs[free:], _TOO_MANY, "process")

    def _open_loop(self) -> LoopExecutor:
        if self._loop is None:
            from taskmill._worker.executors.loop import LoopExecutor  # noqa: PLC0415  (asyncio costs 20 ms)

            self._loop = LoopExecutor(
                self._options.coroutines,
                self._attempts.run_async,
                self._storage.now,
                slots=self._slots,
                first_slot=self._options.threads,
                report=self._finished.append,
                ring=self._ring,
            )
        return self._loop

    def _open_processes(self) -> ProcessExecutor:
        if self._processes is None:
            from taskmill._worker.executors.process import ProcessExecutor  # noqa: PLC0415  (subprocess costs 10 ms)

            self._processes = ProcessExecutor(
                self._options.process_slots,
                self._app,
                self.tenure,
                timekeeper=self._timekeeper,
                slots=self._slots,
                first_slot=self._options.threads + self._options.coroutines,
                report=self._finished.append,
                ring=self._ring,
            )
        return self._processes

    def _executors(self) -> list[JobExecutor]:
        return [each for each in (self._threads, self._loop, self._processes) if each is not None]

    # --- jobs that may be somebody else's soon

    def _make_sure(self) -> None:
        """Where nobody knows any longer whether this session lives, stop its jobs before others may begin them."""
        if self._is_sure():
            self._is_doubtful = False
            return
        # It may only have stood still.
        with suppress(StoreError):
            self.heartbeat.tick()
        if not self._is_doubtful and not self._is_sure():
            self._is_doubtful = True
            logger.error(
                "the lease of this worker could not be renewed for two thirds of it: of its %s, what still runs is "
                "stopped and goes back",
                counted(self.load(), "job"),
            )
            self.interrupt()

    def _pulse(self) -> Pulse:
        free = self._free()
        slots = tuple(
            (executor, self._rooms[executor] - free[executor], free[executor]) for executor in self._served
        )
        counts = () if self._app.meter is None else self._app.meter.take()
        return Pulse(self._is_sure(), slots, counts)

    def _is_sure(self) -> bool:
        return time.monotonic() < self.tenure.unsure_from

    # --- threads that cannot be stopped

    def _note_stuck(self, claimed: Claimed, standing: str) -> None:
        self._stuck.append((claimed, standing))
        self._ring()

    def _tell_stuck(self) -> None:
        told, self._told_stuck = self._told_stuck, len(self._stuck)
        for claimed, standing in self._stuck[told:]:
            if self._place.replace is None:
                logger.error(_UNSTOPPABLE, claimed.task, claimed.job_id, standing.rstrip())
            else:
                logger.error(_REPLACED, claimed.task, claimed.job_id, standing.rstrip())
                reason = f"{claimed.task} {claimed.job_id} goes on past its timeout"
                self._place.replace(reason, self._settlement(self._timed_out(claimed, standing)))

    def _timed_out(self, claimed: Claimed, standing: str) -> Finished:
        """How its attempt ends with its process."""
        task = self._app.tasks.find(claimed.task)
        limits = task.limits if task and task.limits else Limits()
        seconds = (limits.hard or 0) + OBSTINATE
        started_at = self._storage.now() - round(seconds * SECOND)
        return Finished(claimed, stopped("hard", limits, standing), started_at, seconds)

    def _cancel(self, key: JobKey) -> bool:
        return any(executor.cancel(key) for executor in self._executors())

    def _release(self, jobs: Sequence[Claimed], why: str, executor: Executor = "thread") -> None:
        for job in jobs:
            # One that was enqueued when its task had another executor is claimed as such, whether or not this one
            # has a free slot: given back as it is, it would come again at once; handed on, when there is one.
            outcome = Released(why) if job.executor == executor else Unknown()
            self._finished.append(Finished(job, outcome, None, 0.0))

    def _withdraw_all(self) -> None:
        self._release(self._threads.withdraw(), Released().why)
        if self._processes is not None:
            self._release(self._processes.withdraw(), Released().why, "process")

    def _give_back_if_stuck(self) -> None:
        if self._is_backed_up() and time.monotonic() - self._last_progress > _STUCK:
            self._pace.narrow()
            self._release(self._threads.withdraw(), "all threads are busy for longer than was expected")

    def _is_backed_up(self) -> bool:
        return self._threads.has_waiting()

    # --- when to look

    def room(self) -> Room | None:
        """What jobs could be taken now."""
        wants = {} if self._is_backing_off() else self._wants()
        # One that serves some queues only must not be rung in the place of one that serves the others.
        is_for_any = self._options.queues is None and self._place.serves != "suspects"
        is_for_all = all(wants.get(executor) for executor in EXECUTORS) and is_for_any
        return "all" if is_for_all else "some" if any(wants.values()) else None

    def has_news(self) -> bool:
        """Whether the store changed since the last look; one in trouble is found to be so by the next step."""
        try:
            return self._storage.version() != self._seen
        except StoreError:
            return False

    def _is_backing_off(self) -> bool:
        return time.monotonic() < self._retry_at

    def _has_room(self) -> bool:
        return any(self._wants().values())

    def _may_claim(self) -> bool:
        """Whether a turn could bring jobs: one is due, or since the last look the store changed or more is wanted."""
        wanted = self._asked_for(self._wants())
        if not wanted:
            return False
        return (
            self._until_next() == 0 or not wanted <= self._looked_for or self._storage.version() != self._seen
        )

    def _asked_for(self, wants: Mapping[Executor, int]) -> set[str]:
        """What a turn with these wants would find; of what was handed on, that which is for a free executor."""
        executors: set[str] = {executor for executor, want in wants.items() if want}
        if "elsewhere" in executors:
            executors |= {f"elsewhere:{executor}" for executor, free in self._free().items() if free}
        return executors

    def _leave_to_others(self, turn: Turn) -> None:
        """Those that rest do not know of a job that came after their last look, unless it is far off."""
        is_left = self._until_next() == 0 or (self.room() != "all" and self._until_next() < PATIENCE)
        if turn.claimed and is_left:
            self._storage.wake.jobs_left()

    def _note_next(self, turn: Turn) -> bool:
        """Note when to look again; whether a job is due that was not given to this worker."""
        self._is_quiet = not turn.claimed
        self._next_at = turn.next_at
        is_passed_over = self._is_quiet and self._until_next() == 0
        if is_passed_over:
            # Whatever it is, asking again at once would not change it.
            self._next_at = self._storage.now() + round(POLL * SECOND)
        return is_passed_over

    def _until_next(self) -> float:
        """Seconds until a job is due that the last turn knew of."""
        if self._next_at is None:
            return PATIENCE
        return max(0.0, (self._next_at - self._storage.now()) / SECOND)
