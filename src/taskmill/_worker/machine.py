"""The worker as a step machine: settle what finished, claim what is next, hand it out, say how long to rest."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from taskmill._app.application import Application
from taskmill._app.context import Tenure
from taskmill._core import lifecycle
from taskmill._core.instant import SECOND
from taskmill._core.job import Claimed, ErrorInfo, Executor
from taskmill._core.lifecycle import Settlement
from taskmill._core.outcome import Released, ResultRefused, Unknown
from taskmill._core.retry import RetryPolicy
from taskmill._storage.base import Turn
from taskmill._storage.wake import PATIENCE, Room
from taskmill._worker.attempt import Attempts
from taskmill._worker.executors.base import Finished, JobExecutor
from taskmill._worker.executors.thread import ThreadExecutor
from taskmill._worker.options import WorkerOptions
from taskmill._worker.pace import Pace
from taskmill._worker.report import Reporter
from taskmill._worker.service import Service
from taskmill._worker.ticks.prune import Prune
from taskmill._worker.ticks.rescue import Rescue
from taskmill._worker.ticks.schedule import Schedule
from taskmill.errors import StoreError, StoreRefused

logger = logging.getLogger("taskmill.worker")

# How soon is looked again at what cannot be waited for otherwise.
POLL = 0.05
# A thread that is busy for so long while jobs wait behind it: they go back, another worker may be free.
_STUCK = 0.1
_SHORTEST_RETRY, _LONGEST_RETRY = 0.05, 5.0

_NO_TASK = RetryPolicy()


class Pending(NamedTuple):
    """Settlements on their way into the store, with the claim number under which the turn can be repeated."""

    settlements: Sequence[Settlement]
    claim: int


class Machine:
    """One session of one worker; once `tenure.lost`, it is of no more use, and a new one must take its place.

    It belongs to the thread that steps it; executors report from their own, and *ring*.
    """

    def __init__(self, app: Application, options: WorkerOptions, ring: Callable[[], None]) -> None:
        self._app = app
        self._storage = app.storage
        self._options = options
        self._ring = ring
        self._reporter = Reporter(app)
        self._finished: deque[Finished] = deque()
        self.tenure = Tenure(self._storage.sessions.open(kind="worker", lease=app.lease))
        self._attempts = Attempts(app, self.tenure)
        self._threads = ThreadExecutor(
            options.threads, self._attempts.run, self._storage.now, report=self._finished.append, ring=ring
        )
        self._loop: JobExecutor | None = None
        self._pace = Pace(options.threads)
        self._claims = 0
        self._pending: Pending | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._seen = -1
        self._next_at: int | None = None
        self._is_quiet = False
        self._last_progress = time.monotonic()
        self._is_claiming = True
        jobs = self._storage.jobs
        self._ticks = Service([Rescue(jobs, self._reporter.tell, app.lease), Schedule(app), Prune(jobs)])

    # --- what the driver asks

    def step(self) -> float:
        """Do what can be done now; return how many seconds to rest unless rung."""
        rest = self._ticks.run_due() if self._is_claiming else POLL
        if self._is_backing_off():
            return POLL
        try:
            if self._pending or self._finished or self._may_claim():
                self._turn()
        except StoreError as error:
            self._after_failure(error)
            return POLL
        self._give_back_if_stuck()
        if self._finished or (self._has_room() and self._until_next() == 0):
            return 0.0
        longest = _STUCK if self._is_backed_up() else self._storage.wake.patience
        return min(rest, self._until_next() or POLL, longest)

    def load(self) -> int:
        """How many jobs are under way, those to be settled included; never too few, for a moment one too many."""
        load = self._threads.load() + self.coroutine_load() + len(self._finished)
        return load + (len(self._pending.settlements) if self._pending else 0)

    def coroutine_load(self) -> int:
        """How many coroutines are under way: what can be ended."""
        return self._loop.load() if self._loop else 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and nothing was due at the last look."""
        return self._is_quiet and not self.load() and self._pending is None

    def stop_claiming(self) -> None:
        """Finish what runs; what waits for a thread goes back at once."""
        self._is_claiming = False
        self._withdraw()

    def interrupt(self) -> None:
        """Give back what can be ended."""
        if self._loop is not None:
            self._loop.interrupt()

    def close(self) -> None:
        """End the session: what is still held goes back, no attempt burnt.

        A thread that is in the middle of a job ends with it; nobody waits for that, and what it reports is dropped.
        """
        self._threads.withdraw()
        try:
            notices = self._storage.sessions.end(self.tenure.session)
        finally:
            self.tenure.lost = True
            self._threads.close()
            if self._loop is not None:
                self._loop.close()
        self._reporter.tell(notices)

    # --- the turn

    def _turn(self) -> None:
        pending = self._pending = self._pending or self._take_finished()
        seen = self._storage.version()
        settlements, turn = self._exchange(pending)
        self._pending, self._failures, self._seen = None, 0, seen
        self._note_next(turn)
        # First what ended, then what begins: handlers hear of a pipeline's steps in their order.
        self._reporter.settled(settlements, turn)
        self._hand_out(turn)
        self._leave_to_others(turn)
        if turn.stale and not self._storage.sessions.renew(self.tenure.session):
            self.tenure.lost = True

    def _exchange(self, pending: Pending) -> tuple[Sequence[Settlement], Turn]:
        """The turn, and the settlements as they were recorded."""
        wants = self._wants()
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
            self.tenure.session, settlements, claim=claim, wants=wants, queues=self._options.queues
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
            return replaced, Turn([], [], None, [])

    def _take_finished(self) -> Pending:
        self._claims += 1
        finished = [self._finished.popleft() for _ in range(len(self._finished))]
        self._learn(finished)
        return Pending([self._settlement(one) for one in finished], self._claims)

    def _learn(self, finished: Sequence[Finished]) -> None:
        """What ran in threads says how far ahead to claim."""
        ran = [one for one in finished if one.started_at is not None and one.claimed.executor == "thread"]
        for one in ran:
            self._pace.note(one.claimed.task, one.seconds)
        if ran:
            self._pace.widen({one.claimed.task for one in ran})
            self._last_progress = time.monotonic()

    def _settlement(self, finished: Finished) -> Settlement:
        claimed, outcome, started_at, _ = finished
        task = self._app.tasks.find(claimed.task)
        policy = _NO_TASK if task is None else task.retry_policy
        chance = random.random()  # noqa: S311  (jitter, no secret)
        return Settlement(claimed, lifecycle.end(claimed, outcome, policy, chance), started_at)

    def _wants(self) -> dict[Executor, int]:
        if not self._is_claiming:
            return {}
        return {
            "thread": self._pace.want(self._threads.load()),
            "asyncio": max(0, self._options.coroutines - self.coroutine_load()),
        }

    def _after_failure(self, error: StoreError) -> None:
        """What finished stays here until the store takes it; nothing is claimed, so this stays bounded."""
        self._failures += 1
        rest = min(_LONGEST_RETRY, _SHORTEST_RETRY * 2 ** min(self._failures, 10))
        rest *= random.uniform(0.5, 1)  # noqa: S311  (spreads retries, no secret)
        self._retry_at = time.monotonic() + rest
        logger.warning("%s; %d jobs are under way, tried again in %.1f s", error, self.load(), rest)

    # --- handing out

    def _hand_out(self, turn: Turn) -> None:
        for_threads: list[Claimed] = []
        for_loop: list[Claimed] = []
        for claimed in turn.claimed:
            task = self._app.tasks.find(claimed.task)
            if task is None:
                self._reporter.unknown(claimed)
                self._finished.append(Finished(claimed, Unknown(), None, 0.0))
            else:
                (for_loop if task.is_coroutine else for_threads).append(claimed)
        self._hand_to_threads(for_threads)
        if for_loop:
            self._open_loop().submit(for_loop)

    def _hand_to_threads(self, jobs: list[Claimed]) -> None:
        load = self._threads.load()
        if load < self._threads.slots:
            self._last_progress = time.monotonic()
        kept, surplus = self._pace.divide(jobs, load)
        self._threads.submit(kept)
        self._release(surplus)

    def _open_loop(self) -> JobExecutor:
        if self._loop is None:
            from taskmill._worker.executors.loop import LoopExecutor  # noqa: PLC0415  (asyncio costs 20 ms)

            self._loop = LoopExecutor(
                self._options.coroutines,
                self._attempts.run_async,
                self._storage.now,
                report=self._finished.append,
                ring=self._ring,
            )
        return self._loop

    def _release(self, jobs: Sequence[Claimed]) -> None:
        for job in jobs:
            # One that was enqueued when its task was a coroutine is claimed as such, whether or not a thread is
            # free: given back without a delay, it would come again at once.
            outcome = Released() if job.executor == "thread" else Unknown()
            self._finished.append(Finished(job, outcome, None, 0.0))

    def _withdraw(self) -> None:
        self._release(self._threads.withdraw())

    def _give_back_if_stuck(self) -> None:
        if self._is_backed_up() and time.monotonic() - self._last_progress > _STUCK:
            self._pace.narrow()
            self._withdraw()

    def _is_backed_up(self) -> bool:
        return self._threads.load() > self._threads.slots

    # --- when to look

    def room(self) -> Room | None:
        """What jobs could be taken now."""
        wants = () if self._is_backing_off() else self._wants().values()
        # One that serves some queues only must not be rung in the place of one that serves the others.
        is_for_all = bool(wants) and all(wants) and self._options.queues is None
        return "all" if is_for_all else "some" if any(wants) else None

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
        """Whether a turn could bring jobs: one is due, or the store changed since the last look."""
        return self._has_room() and (self._until_next() == 0 or self._storage.version() != self._seen)

    def _leave_to_others(self, turn: Turn) -> None:
        """Those that rest do not know of a job that came after their last look, unless it is far off."""
        is_left = self._until_next() == 0 or (self.room() != "all" and self._until_next() < PATIENCE)
        if turn.claimed and is_left:
            self._storage.wake.jobs_left()

    def _note_next(self, turn: Turn) -> None:
        self._is_quiet = not turn.claimed
        self._next_at = turn.next_at
        if self._is_quiet and self._until_next() == 0:
            # Due, and not for us: whatever it is, asking again at once would not change it.
            self._next_at = self._storage.now() + round(POLL * SECOND)

    def _until_next(self) -> float:
        """Seconds until a job is due that the last turn knew of."""
        if self._next_at is None:
            return PATIENCE
        return max(0.0, (self._next_at - self._storage.now()) / SECOND)
