"""Each store against the memory store, which is the model: any operations, in any order, on one clock.

After each step both must show the same, return the same, and keep the invariants, which are told by neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskmill._core import lifecycle
from taskmill._core.filter import Filter
from taskmill._core.identity import new_job_id
from taskmill._core.instant import MINUTE, SECOND, from_datetime, to_datetime
from taskmill._core.job import Claimed, ErrorInfo, Executor, NewJob, Reason, State
from taskmill._core.journal import PROGRESS, progress_text
from taskmill._core.lifecycle import Settlement
from taskmill._core.outcome import (
    CancelAsked,
    Crashed,
    Outcome,
    Raised,
    Released,
    RetryAsked,
    Revoked,
    SnoozeAsked,
    Succeeded,
    Unknown,
)
from taskmill._core.record import Job
from taskmill._core.retry import RetryPolicy
from taskmill._storage.base import LockState, Slots, Storage, Turn, Writing
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._storage.open import open_storage
from taskmill._storage.sqlite.storage import SqliteStorage
from taskmill.testing import FakeClock
from tests import servers

T = TypeVar("T")

LEASE = 30 * SECOND
ALL = 10_000
SLOTS = 4
MOST_SESSIONS = 4
QUEUES = ("a", "b")
TASKS = ("x", "y")
# A lock belongs to one executor here: which executor comes first to a lock is left open by the contract.
LOCKS: Mapping[str, Executor] = {"L": "thread", "M": "asyncio"}


class ClaimKey(NamedTuple):
    """What both stores know a claim by."""

    job_id: str
    fence: int


class Reply(NamedTuple):
    """A turn as far as both stores must agree on it."""

    stale: Counter[ClaimKey]
    claimed: list[Claimed]
    next_at: int | None
    notices: Counter[Any]


class Request(NamedTuple):
    """What a turn is asked with."""

    session: int
    settlements: list[tuple[ClaimKey, str]]
    number: int
    wants: dict[Executor, int]
    queues: Sequence[str] | None
    knows: Sequence[str] = ()


@dataclass
class Side:
    """One of the two stores, with the claims, slots and tokens that it gave out."""

    storage: Storage
    claims: dict[ClaimKey, Claimed] = field(default_factory=dict)
    slots: dict[int, Slots] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)

    def turn(self, request: Request, started_at: int) -> Turn:
        settlements = []
        for key, outcome in request.settlements:
            claimed = self.claims[key]
            transition = lifecycle.end(claimed, OUTCOMES[outcome], RetryPolicy(), 0.0)
            settlements.append(Settlement(claimed, transition, started_at))
        turn = self.storage.jobs.turn(
            request.session,
            settlements,
            claim=request.number,
            wants=request.wants,
            queues=request.queues,
            knows=request.knows,
        )
        self.claims.update((ClaimKey(claimed.job_id, claimed.fence), claimed) for claimed in turn.claimed)
        return turn

    def open(self) -> int:
        session = self.storage.sessions.open(kind="worker", lease=LEASE)
        self.slots[session] = self.storage.sessions.slots(session, SLOTS)
        return session

    def start(self, session: int, slot: int, key: ClaimKey) -> None:
        self.slots[session].note(slot, self.claims[key].ref, key.fence)

    def acquire(self, name: str, session: int) -> bool:
        token = self.storage.limits.acquire(name, session)
        if token is not None:
            self.tokens.append(token)
        return token is not None

    def release_those_of_jobs(self) -> None:
        for lock in self.storage.limits.list():
            if lock.job_id is not None:
                assert not self.storage.limits.release(lock.name, lock.session, lock.token)

    def locks(self) -> list[LockState]:
        """Without the tokens, which each store counts for itself; all that is said of them is that they grow."""
        locks = self.storage.limits.list()
        fresh = [lock.token for lock in locks if (lock.name, lock.token) not in self.seen]
        assert not fresh or not self.seen or min(fresh) > max(token for _, token in self.seen)
        self.seen |= {(lock.name, lock.token) for lock in locks}
        return [lock._replace(token=0) for lock in locks]


def _executor(job: Job) -> str:
    if job.is_suspect:
        return "alone"
    return "elsewhere" if job.is_handed_on else job.executor


def reply(turn: Turn) -> Reply:
    return Reply(
        Counter(ClaimKey(stale.claimed.job_id, stale.claimed.fence) for stale in turn.stale),
        # The handle is the store's own; "not plain" is always safe to say.
        [claimed._replace(ref=0, plain=False) for claimed in turn.claimed],
        turn.next_at,
        Counter(turn.notices),
    )


# --- what may happen

ERROR = ErrorInfo("ValueError", "boom", "Traceback ...")
CRASH = ErrorInfo("Crashed", "the process that ran it was killed by SIGSEGV")
# Longer than what a store keeps in the job's row.
LONG = "[" + "1," * 1_500 + "1]"
OUTCOMES: dict[str, Outcome] = {
    "succeeds": Succeeded("1"),
    "succeeds at length": Succeeded(LONG),
    "raises": Raised(ERROR),
    "raises for good": Raised(ERROR, is_retriable=False),
    "retries at once": RetryAsked(ERROR, 0),
    "retries later": RetryAsked(ERROR, SECOND),
    "snoozes": SnoozeAsked(SECOND),
    "is released": Released(),
    "is unknown": Unknown(),
    "cancels": CancelAsked(ERROR),
    "is revoked": Revoked(),
    "crashes": Crashed(CRASH),
}
# Strings are steps of the wall clock in hours, during which no time passes.
TRAVELS = [0.5, 1.0, 31.0, 61.0, timedelta(days=1), timedelta(days=31), "1", "-1"]
OUTCOME = st.sampled_from([*["succeeds"] * 5, *OUTCOMES])
# Counted from the newest one back, modulo how many there are: 0 is what shrinks best.
INDEX = st.integers(0, 5)


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """The fields of a NewJob besides those that name it; most can run at once, and compete."""
    lock = draw(st.sampled_from([None, None, None, None, *LOCKS]))
    options: dict[str, Any] = {
        "queue": draw(st.sampled_from(["a", "a", "a", "b"])),
        "executor": LOCKS[lock] if lock else draw(st.sampled_from(["thread", "thread", "asyncio"])),
        "lock": lock,
        "priority": draw(st.sampled_from([0, 0, 0, 1, -1])),
        "task": draw(st.sampled_from(["x", "x", "y"])),
        "max_attempts": draw(st.integers(1, 3)),
    }
    rare: dict[str, list[Any]] = {
        "delay": [SECOND, MINUTE],
        "run_at": [-SECOND, MINUTE],
        "expires_in": [0, SECOND, MINUTE],
        "result_ttl": [0, MINUTE],
        "is_long": [True],
        "headers": ['{"trace":"t"}'],
    }
    for name in draw(st.lists(st.sampled_from(sorted(rare)), max_size=2, unique=True)):
        options[name] = draw(st.sampled_from(rare[name]))
    return options


Chain = list[dict[str, Any]]
CHAINS = st.lists(st.lists(calls(), min_size=1, max_size=3), max_size=2)


class StorageMachine(RuleBasedStateMachine):
    """Two stores that are told the same: the model, and one that a subclass opens."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.folder = TemporaryDirectory(prefix="taskmill-")
        self.model = Side(MemoryStorage(self.clock))
        self.store = Side(self.open_store())
        self.numbers = count(1)
        self.sessions: list[int] = []
        self.singles: list[NewJob] = []
        # Which session got each.
        self.claims: dict[ClaimKey, int] = {}
        self.acquired: list[tuple[str, int, int]] = []
        self.last_request: Request | None = None
        # Jobs whose lock went to somebody else while their session was dead.
        self.robbed: set[str] = set()
        self.jobs: dict[str, Job] = {}
        self.reopens = False

    def teardown(self) -> None:
        # Not after each step: both read all that is stored.
        if self.sessions:
            self.both(lambda side: side.storage.health.census())
            assert self.both(lambda side: list(side.storage.health.verify())) == []
        # A session keeps its files open until it ends.
        for session in self.sessions:
            self.store.storage.sessions.end(session)
        self.store.storage.close()
        self.folder.cleanup()

    def both(self, operate: Callable[[Side], T]) -> T:
        """Do the same to both; they must answer the same."""
        expected, actual = operate(self.model), operate(self.store)
        assert actual == expected
        return expected

    @initialize(sessions=st.integers(1, 2), chains=CHAINS)
    def begin(self, sessions: int, chains: list[Chain]) -> None:
        for _ in range(sessions):
            self._open()
        self._add_new(chains)

    # --- adding

    @rule(chains=CHAINS, key=st.sampled_from([None, None, "k"]))
    def add(self, chains: list[Chain], key: str | None) -> None:
        self._add_new(chains, key)

    def _add_new(self, chains: list[Chain], key: str | None = None) -> None:
        """A chain of one is a job of its own; only such a one can have a key."""
        for chain in chains:
            name = f"job {next(self.numbers)}"
            if len(chain) == 1:
                self.singles.append(self._new_job(name, {**chain[0], "key": key}))
                self._add(self.singles[-1:])
            else:
                self._add(
                    [
                        self._new_job(f"{name}.{step}", {**options, "pipeline": name, "step": step})
                        for step, options in enumerate(chain)
                    ]
                )

    def _new_job(self, job_id: str, options: dict[str, Any]) -> NewJob:
        fields = {"job_id": job_id, "task": "x", "args": "[[],{}]", **options}
        if fields.pop("is_long", False):
            fields["args"] = LONG
        if "run_at" in fields:
            fields["run_at"] += self.clock.wall()
        return NewJob(**fields)

    def _add(self, jobs: list[NewJob]) -> None:
        self.both(lambda side: list(side.storage.jobs.add(jobs)))

    # --- turns

    @rule(
        session=INDEX,
        outcomes=st.lists(OUTCOME, max_size=3),
        threads=st.integers(0, 3),
        coroutines=st.integers(0, 2),
        suspects=st.integers(0, 1),
        handed_on=st.integers(0, 2),
        knows=st.sampled_from([[], ["x"], TASKS]),
        queues=st.sampled_from([None, ["a"], ["b", "a"]]),
        reply_is_lost=st.booleans(),
    )
    def turn(
        self,
        *,
        session: int,
        outcomes: list[str],
        threads: int,
        coroutines: int,
        suspects: int,
        handed_on: int,
        knows: Sequence[str],
        queues: Sequence[str] | None,
        reply_is_lost: bool,
    ) -> None:
        """A worker's round: end some of what it holds, claim something new."""
        wants: dict[Executor, int] = {
            "thread": threads,
            "asyncio": coroutines,
            "alone": suspects,
            "elsewhere": handed_on,
        }
        request = self._request(self._session(session), outcomes, wants, queues)._replace(knows=knows)
        first = self._turn(request)
        if reply_is_lost:
            self._repeat(request, first)

    @rule(
        session=INDEX,
        fresh=CHAINS,
        rounds=st.lists(st.lists(OUTCOME, max_size=4), min_size=1, max_size=3),
    )
    def work(self, session: int, fresh: list[Chain], rounds: list[list[str]]) -> None:
        """The rounds of a worker that has much to do."""
        self._add_new(fresh)
        for outcomes in rounds:
            wants: dict[Executor, int] = {"thread": 2, "asyncio": 1, "alone": 1, "elsewhere": 1}
            self._turn(self._request(self._session(session), outcomes, wants, None)._replace(knows=TASKS))

    @rule(session=INDEX, slots=st.lists(st.booleans(), max_size=SLOTS), alone=st.booleans())
    def crash(self, session: int, slots: list[bool], *, alone: bool) -> None:
        """A process dies while it runs some of what it holds."""
        buried = self._session(session)
        for slot, (key, is_running) in enumerate(zip(self._held(buried), slots, strict=False)):
            if is_running:
                self.both(lambda side, slot=slot, key=key: side.start(buried, slot, key))
        self.both(lambda side: Counter(side.storage.jobs.bury(buried, CRASH, alone=alone)))
        self._open()

    def _held(self, session: int) -> list[ClaimKey]:
        running = reversed(self.model.storage.inspection.find(Filter(states=[State.RUNNING]), limit=ALL))
        return [ClaimKey(job.job_id, job.fence) for job in running if job.session == session]

    @precondition(lambda self: self.claims)
    @rule(index=INDEX, outcome=OUTCOME, is_impostor=st.sampled_from([False, False, True]))
    def settle_in_vain(self, index: int, outcome: str, is_impostor: bool) -> None:
        """Somebody reports who lost the job or, as *is_impostor*, who never held it."""
        keys = [key for key in self.claims if self._is_running(key) and self._is_held(key) is is_impostor]
        key = _pick(keys or list(self.claims), index)
        session = self.claims[key]
        if is_impostor:
            session = _pick([other for other in self.sessions if other != session] or [99], index)
        self._turn(Request(session, [(key, outcome)], next(self.numbers), {}, None))

    @precondition(lambda self: self.claims)
    @rule(index=INDEX, number=st.integers(PROGRESS, 2), is_torn=st.booleans(), is_impostor=st.booleans())
    def say(self, index: int, number: int, *, is_torn: bool, is_impostor: bool) -> None:
        """A job says something, or somebody who lost it does, or who never held it."""
        key = _pick(list(self.claims), index)
        session = self.sessions[-1] if is_impostor else self.claims[key]
        said = [(number, progress_text(index, 2, f"claim {key.fence}", SECOND))]
        self.both(
            lambda side: side.storage.journals.write(
                session, [Writing(side.claims[key], said, [1] if is_torn else [])]
            )
        )
        self.both(lambda side: list(side.storage.journals.read(key.job_id)))

    def _is_running(self, key: ClaimKey) -> bool:
        return key.job_id in self.jobs and self.jobs[key.job_id].state is State.RUNNING

    def _is_held(self, key: ClaimKey) -> bool:
        return self.jobs[key.job_id].fence == key.fence

    @rule(index=INDEX, is_turn=st.booleans())
    def repeat(self, index: int, is_turn: bool) -> None:
        """Somebody whose reply was lost asks again, late."""
        if is_turn and self.last_request is not None:
            self._ask(self.last_request)
        elif self.singles:
            self._add([_pick(self.singles, index)])

    def _session(self, index: int) -> int:
        """One that is open, if there is any."""
        is_open = {known.session for known in self.model.storage.inspection.sessions()}
        return _pick([session for session in self.sessions if session in is_open] or self.sessions, index)

    def _request(
        self,
        session: int,
        outcomes: list[str],
        wants: dict[Executor, int],
        queues: Sequence[str] | None,
    ) -> Request:
        held = self._held(session)
        # Handed on, one with a lock would have another executor than the others that want it: see LOCKS.
        stored = self._stored(self.model)
        locked = {ClaimKey(job.job_id, job.fence) for job in stored if job.lock is not None}
        settlements = [
            (key, "is released" if outcome == "is unknown" and key in locked else outcome)
            for key, outcome in zip(held, outcomes, strict=False)
        ]
        return Request(session, settlements, next(self.numbers), wants, queues)

    def _turn(self, request: Request) -> Reply:
        done = self._ask(request)
        self._check_order(request, done)
        return done

    def _ask(self, request: Request) -> Reply:
        started_at = self.clock.wall()
        self.last_request = request
        done = self.both(lambda side: self._comparable(request, reply(side.turn(request, started_at))))
        for claimed in done.claimed:
            self.claims[ClaimKey(claimed.job_id, claimed.fence)] = request.session
        return done

    def _comparable(self, request: Request, done: Reply) -> Reply:
        # A session that is over has no next turn.
        is_open = any(known.session == request.session for known in self.model.storage.inspection.sessions())
        return done if is_open else done._replace(next_at=None)

    def _repeat(self, request: Request, first: Reply) -> None:
        """The reply was lost, so the worker asks again: nothing is done twice, and it learns the same."""
        before = self._stored(self.store)

        again = self._ask(request)

        gone = Counter(
            {key: 1 for key, _ in request.settlements if key.job_id not in {job.job_id for job in before}}
        )
        assert self._stored(self.store) == before
        assert again.claimed == first.claimed
        assert again.stale - gone == first.stale - gone
        assert again.next_at == first.next_at
        assert not again.notices

    def _check_order(self, request: Request, done: Reply) -> None:
        """Priority, then run_at, then the order of adding; and nothing was left that was wanted."""
        jobs = self._stored(self.store)[::-1]
        order = {job.job_id: (-job.priority, job.run_at, number) for number, job in enumerate(jobs)}
        now = to_datetime(self.clock.wall())
        paused = self.store.storage.inspection.paused()
        for executor, want in request.wants.items():
            claimed = [order[each.job_id] for each in done.claimed if each.executor == executor]
            left = [
                order[job.job_id]
                for job in jobs
                if job.state is State.QUEUED and job.waits_for is None and job.run_at <= now
                if _executor(job) == executor
                and (executor != "elsewhere" or job.task in request.knows)
                and (request.queues is None or job.queue in request.queues)
                and job.queue not in paused
            ]
            assert claimed == sorted(claimed)
            assert len(claimed) <= want
            assert not want or not claimed or not left or claimed[-1] < min(left)
            is_open = any(
                known.session == request.session for known in self.store.storage.inspection.sessions()
            )
            assert len(claimed) == want or not left or not is_open

    # --- what others do to jobs

    @precondition(lambda self: self.jobs)
    @rule(
        index=INDEX,
        how=st.sampled_from(["cancel", "retry", "hasten", "delete"]),
        is_apt=st.sampled_from([True, True, False]),
    )
    def steer(self, index: int, how: str, is_apt: bool) -> None:
        ids = [job.job_id for job in self.jobs.values() if (how == "retry") is (job.state.is_final is is_apt)]
        job_id = _pick(ids or ["nobody"], index)
        self.reopens = how in {"retry", "delete"}
        match how:
            case "retry":
                self.both(lambda side: side.storage.jobs.retry(job_id))
            case "hasten":
                self.both(lambda side: side.storage.jobs.hasten(job_id))
            case "delete":
                self.both(lambda side: side.storage.jobs.delete([job_id]))
            case _:
                self.both(lambda side: _in_any_order(side.storage.jobs.cancel(job_id)))

    @rule(
        how=st.sampled_from(["rescue", "prune", "purge ended", "purge waiting"]),
        queue=st.sampled_from([*QUEUES, None]),
    )
    def tidy(self, how: str, queue: str | None) -> None:
        self.reopens = how != "rescue"
        match how:
            case "rescue":
                self.both(lambda side: Counter(side.storage.jobs.rescue()))
            case "prune":
                self.both(lambda side: side.storage.jobs.prune(limit=ALL))
            case _:
                ended = how == "purge ended"
                self.both(lambda side: side.storage.jobs.purge(queue=queue, ended=ended, limit=ALL))

    @rule(queue=st.sampled_from(QUEUES), is_paused=st.booleans())
    def pause(self, queue: str, *, is_paused: bool) -> None:
        self.both(
            lambda side: side.storage.jobs.pause(queue) if is_paused else side.storage.jobs.resume(queue)
        )

    @rule(name=st.sampled_from(["s", "t"]), is_paused=st.booleans())
    def pause_schedule(self, name: str, *, is_paused: bool) -> None:
        self.both(
            lambda side: (
                side.storage.schedules.pause(name) if is_paused else side.storage.schedules.resume(name)
            )
        )

    @rule(index=INDEX)
    def ask_to_stop(self, index: int) -> None:
        session = _pick(self.sessions, index)
        self.both(lambda side: side.storage.sessions.ask_to_stop(session))
        assert self.both(lambda side: side.storage.sessions.is_asked_to_stop(session)) is any(
            known.session == session for known in self.store.storage.inspection.sessions()
        )

    @rule(
        wanted=st.builds(
            Filter,
            states=st.sets(st.sampled_from(State), max_size=2),
            queue=st.none() | st.sampled_from(QUEUES),
            lowest=st.none() | st.integers(-1, 1),
            highest=st.none() | st.integers(-1, 1),
            session=st.none() | st.integers(1, 4),
        ),
        index=INDEX,
    )
    def find(self, wanted: Filter, index: int) -> None:
        """What is asked for, from when some job came, or ended, on."""
        moments = [
            moment for job in self.jobs.values() for moment in (job.enqueued_at, job.ended_at) if moment
        ]
        since = from_datetime(_pick(moments, index)) if moments else None
        for asked in (wanted, replace(wanted, enqueued_from=since), replace(wanted, ended_before=since)):
            assert self.both(
                lambda side, asked=asked: list(side.storage.inspection.find(asked, limit=ALL))
            ) == [job for job in self._stored(self.model) if _is_wanted(job, asked)]

    # --- time, sessions, locks, schedules

    @rule(by=st.sampled_from(TRAVELS), is_lively=st.sampled_from([True, True, False]))
    def travel(self, by: float | timedelta | str, is_lively: bool) -> None:
        """Let time pass; the sessions renew their leases, or only the oldest does."""
        if isinstance(by, str):
            self.clock.step_wall(timedelta(hours=int(by)))
            return
        self.clock.travel(by)
        for session in self.sessions if is_lively else self.sessions[:1]:
            self._renew(session)

    def _renew(self, session: int) -> None:
        self.both(lambda side: side.storage.sessions.renew(session))

    @rule(index=INDEX)
    def replace_session(self, index: int) -> None:
        """One ends, if there are enough, and another begins."""
        if len(self.model.storage.inspection.sessions()) >= MOST_SESSIONS:
            session = self._session(index)
            self.both(lambda side: Counter(side.storage.sessions.end(session)))
        self._open()

    def _open(self) -> None:
        self.sessions.append(self.both(Side.open))

    @rule(name=st.sampled_from([*LOCKS, "other"]), index=INDEX)
    def acquire(self, name: str, index: int) -> None:
        session = _pick(self.sessions, index)
        holders = {lock.name: lock.job_id for lock in self.model.storage.limits.list()}

        if self.both(lambda side: side.acquire(name, session)):
            self.acquired.append((name, session, len(self.acquired)))
            self.robbed.add(holders.get(name) or "nobody")

    @precondition(lambda self: self.acquired)
    @rule(index=INDEX, wrong=st.sampled_from(["", "", "name", "session", "token"]))
    def release(self, index: int, wrong: str) -> None:
        name, session, number = _pick(self.acquired, index)
        name = "wrong" if wrong == "name" else name
        session += wrong == "session"
        token_off = -1 if wrong == "token" else 0

        has_released = self.both(
            lambda side: side.storage.limits.release(name, session, side.tokens[number] + token_off)
        )

        assert not (wrong and has_released)

    @rule()
    def release_the_locks_of_jobs(self) -> None:
        """Nobody but the job's end can."""
        before = self.both(Side.locks)
        self.both(Side.release_those_of_jobs)
        assert self.both(Side.locks) == before

    @rule(
        name=st.sampled_from(["s", "t"]),
        spec=st.sampled_from([None, None, "* * * * *", "0 * * * *"]),
        offset=st.sampled_from([-SECOND, 0, SECOND]),
        has_job=st.booleans(),
        skipped=st.integers(0, 2),
        is_told=st.sampled_from([True, True, False]),
    )
    def schedule(
        self, *, name: str, spec: str | None, offset: int, has_job: bool, skipped: int, is_told: bool
    ) -> None:
        """Make a schedule known or, without a spec, fire it."""
        if spec is not None:
            self.both(lambda side: side.storage.schedules.register(name=name, task="x", spec=spec))
            return
        job = self._new_job(f"job {next(self.numbers)}", {"queue": "a"}) if has_job else None
        slot = self.clock.wall() + offset
        known = {
            state.name: state.last_slot for state in self.both(lambda side: side.storage.schedules.list())
        }
        after = known.get(name, 0) - (not is_told)
        self.both(
            lambda side: side.storage.schedules.fire(name, after=after, slot=slot, fire=job, skipped=skipped)
        )

    # --- what must hold after each step

    @invariant()
    def all_holds(self) -> None:
        """In this order, and not in that of the alphabet, as Hypothesis would: all look at what is read first."""
        before, self.jobs = self.jobs, {job.job_id: job for job in self.both(self._stored)}
        self.both_show_the_same(before)
        self.a_job_that_has_ended_stays_as_it_is(before)
        self.each_job_is_in_one_consistent_state()
        self.running_jobs_are_held_by_sessions_that_are_open()
        self.a_lock_has_one_holder()
        self.nobody_waits_for_a_lock_that_nobody_would_take()
        self.a_blocked_step_waits_for_one_that_can_still_succeed()

    def both_show_the_same(self, before: Mapping[str, Job]) -> None:
        for job in self.jobs.values():
            if job != before.get(job.job_id):
                self._check_one(job)
        self.both(
            lambda side: [(c.queue, +Counter(c.states), c.due) for c in side.storage.inspection.queues()]
        )
        self.both(lambda side: side.storage.inspection.sessions())
        for session in self.sessions:
            self.both(lambda side, session=session: sorted(side.storage.jobs.unwanted(session)))
        self.both(Side.locks)
        self.both(lambda side: side.storage.inspection.paused())
        self.both(lambda side: side.storage.schedules.list())

    def _check_one(self, job: Job) -> None:
        full = self.both(lambda side: side.storage.inspection.job(job.job_id))
        assert full is not None
        assert replace(full, attempts=()) == job
        numbers = [attempt.number for attempt in full.attempts]
        assert numbers == sorted(numbers)
        # What uses up no attempt is told by a number that another one has.
        burnt = [each.number for each in full.attempts if each.outcome not in {"crashed", "released"}]
        assert burnt == sorted(set(burnt))
        outcome = self.both(lambda side: side.storage.inspection.outcome(job.job_id))
        assert outcome == (job.task, job.state, job.reason, job.result, job.error)

    def _stored(self, side: Side) -> list[Job]:
        return list(side.storage.inspection.find(limit=ALL))

    def a_job_that_has_ended_stays_as_it_is(self, before: Mapping[str, Job]) -> None:
        reopens, self.reopens = self.reopens, False
        if not reopens:
            for job in before.values():
                assert not job.state.is_final or self.jobs.get(job.job_id) == job

    def each_job_is_in_one_consistent_state(self) -> None:
        for job in self.jobs.values():
            assert job.state.is_final == (job.ended_at is not None)
            assert job.fence >= job.attempt
            assert job.attempt <= job.max_attempts - (not job.state.is_final and job.state != "running")
            assert job.waits_for in (None, job.lock)
            assert job.waits_for is None or job.state is State.QUEUED
            assert job.crashes <= lifecycle.MOST_CRASHES - (job.reason != Reason.CRASHED)
            assert (job.result is not None) <= (job.state is State.SUCCEEDED)
            assert (job.reason is not None) == (job.state in ("failed", "cancelled"))
            if job.state is not State.RUNNING and not job.state.is_final:
                assert not job.cancel_requested

    def running_jobs_are_held_by_sessions_that_are_open(self) -> None:
        running = Counter(job.session for job in self.jobs.values() if job.state is State.RUNNING)
        counts = {state.session: state.running for state in self.store.storage.inspection.sessions()}
        assert running == +Counter(counts)

    def a_lock_has_one_holder(self) -> None:
        locks = self.store.storage.limits.list()
        holders = {lock.name: lock for lock in locks}
        assert len(holders) == len(locks)
        for lock in locks:
            if lock.job_id is not None:
                job = self.jobs[lock.job_id]
                assert (job.state, job.lock, job.session) == (State.RUNNING, lock.name, lock.session)
        for job in self.jobs.values():
            if job.state is State.RUNNING and job.lock is not None and job.job_id not in self.robbed:
                assert holders[job.lock].job_id == job.job_id
        self.robbed &= {job.job_id for job in self.jobs.values() if job.state is State.RUNNING}

    def nobody_waits_for_a_lock_that_nobody_would_take(self) -> None:
        held = {lock.name for lock in self.store.storage.limits.list()}
        queued = [job for job in self.jobs.values() if job.state is State.QUEUED]
        let_through = {job.lock for job in queued if job.waits_for is None}
        for job in queued:
            assert job.waits_for is None or job.waits_for in held | let_through

    def a_blocked_step_waits_for_one_that_can_still_succeed(self) -> None:
        steps = {(job.pipeline, job.step): job for job in self.jobs.values()}
        for job in self.jobs.values():
            if job.state is State.BLOCKED:
                assert not steps[job.pipeline, job.step - 1].state.is_final


def _is_wanted(job: Job, wanted: Filter) -> bool:
    """In the words of the contract, of what the rule above asks for."""
    ended_before = wanted.ended_before
    return (
        job.state in (wanted.states or State)
        and wanted.queue in (None, job.queue)
        and wanted.session in (None, job.session)
        and (wanted.lowest is None or job.priority >= wanted.lowest)
        and (wanted.highest is None or job.priority <= wanted.highest)
        and (wanted.enqueued_from is None or from_datetime(job.enqueued_at) >= wanted.enqueued_from)
        and (
            ended_before is None or (job.ended_at is not None and from_datetime(job.ended_at) < ended_before)
        )
    )


def _in_any_order(answer: tuple[Any, Sequence[Any]]) -> tuple[Any, Counter[Any]]:
    return answer[0], Counter(answer[1])


def _pick(choices: Sequence[T], index: int) -> T:
    return choices[-1 - index % len(choices)]


class SqliteMachine(StorageMachine):
    def open_store(self) -> Storage:
        return SqliteStorage(Path(self.folder.name) / "jobs.db", durability="normal", clock=self.clock)


class PostgresMachine(StorageMachine):
    url = ""

    def open_store(self) -> Storage:
        servers.empty(self.url)
        return open_storage(self.url, clock=self.clock)


class ValkeyMachine(StorageMachine):
    url = ""

    def open_store(self) -> Storage:
        return open_storage(f"{self.url}?name={new_job_id()}", clock=self.clock)


def _settings(max_examples: int) -> settings:
    if settings.get_current_profile_name() == "long":
        return settings.get_profile("long")
    return settings(max_examples=max_examples, stateful_step_count=40, deadline=None)


@pytest.mark.timeout(0)
class TestSqlite(SqliteMachine.TestCase):  # type: ignore[misc,name-defined]
    settings = _settings(150)


@pytest.mark.timeout(0)
class TestPostgres(PostgresMachine.TestCase):  # type: ignore[misc,name-defined]
    settings = _settings(25)

    @pytest.fixture(autouse=True)
    def database(self, newest_postgres_url: str) -> None:
        # The conformance tests run on the system's.
        PostgresMachine.url = newest_postgres_url


@pytest.mark.timeout(0)
class TestValkey(ValkeyMachine.TestCase):  # type: ignore[misc,name-defined]
    settings = _settings(40)

    @pytest.fixture(autouse=True)
    def server(self, valkey_url: str) -> None:
        ValkeyMachine.url = valkey_url
