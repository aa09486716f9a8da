"""The supervisor as a step machine: which children there should be, and what follows when one is gone.

It knows neither processes nor the store itself, so that a test can drive it by hand: what starts children, the clock
and the guardian are given to it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from taskmill._core.crash import ending
from taskmill._core.event import Notice
from taskmill._core.instant import SECOND
from taskmill._core.lifecycle import MOST_CRASHES, Settlement
from taskmill._core.meter import Meter
from taskmill._worker.guardian import Guardian
from taskmill._worker.messages import (
    Dump,
    Dumped,
    FromChild,
    FromParent,
    Hello,
    Leaving,
    Pulse,
    Ready,
    Role,
    Slots,
    Stop,
    Told,
    WantsReplacement,
    Welcome,
)

logger = logging.getLogger("taskmill.supervisor")

# How long after the grace a child may take until it is killed: coroutines clean up, the last outcomes are recorded.
LAST_MOMENT = 4.25
# One that has said that it ends sees to it by itself, unless its interpreter does not run.
LONGEST_LEAVE = 10.0
# How often is looked for suspects that others left, and how much memory the children use.
LOOK = 1.0
# So many suspects run at a time, each in a process of its own: one that takes long must not hold up all others.
MOST_ALONE = 4
# So many children may die quickly, one after the other, before the next one has to wait.
_FREE_DEATHS = 10
# A child that does not say in time where its threads stand is made to by a signal.
DUMP_PATIENCE = 2.0


class Process(Protocol):
    """A child process, as far as its supervisor knows it."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def say(self, message: FromParent) -> None:
        """Send it a message; never waits."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def dump(self) -> None:
        """Let it write its stacks, whatever it is at."""
        ...

    def is_stopped(self) -> bool:
        """Whether it stands still: by SIGSTOP, or under a debugger."""
        ...

    def memory(self) -> int:
        """How many bytes of memory are its own at the moment; 0 where that is not known."""
        ...


# Raises OSError where the system has no room for another process.
Spawn = Callable[[Role], Process]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """What is said of the worker as a whole; `max_memory` of a child in bytes, 0: any.

    With `reloads` its files are being worked on: what cannot be started is tried again when they have changed.
    """

    processes: int = 1
    grace: float = 25.0
    burst: bool = False
    queues: Collection[str] | None = None
    max_memory: int = 0
    reloads: bool = False


@dataclass(slots=True, eq=False)
class Child:
    """A child and what is known of it.

    `heard_at`: when it last said that all is well with it, with the `slots` of then. `is_worn`: another one should
    take its place; then it has `grace` to come to an end (None: as long as it takes). `is_told`: to stop. `left_with`:
    the status that it announced.
    """

    process: Process
    role: Role
    stage: Literal["starting", "greeted", "ready"] = "starting"
    ready_at: float = math.inf
    heard_at: float = math.inf
    slots: Slots = ()
    is_worn: bool = False
    grace: float | None = None
    is_told: bool = False
    is_killed: bool = False
    left_with: int | None = None
    kill_at: float = math.inf
    dump_at: float = math.inf
    settlements: list[Settlement] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.is_killed = True
        self.kill_at = math.inf
        self.process.kill()


class Backoff:
    """When the next child may start: at once after a death, later and later when they follow each other quickly."""

    QUICK = 1.0
    LONGEST = 30.0

    def __init__(self, free: float) -> None:
        self.start_at = -math.inf
        self._free = free  # so many quick deaths of children that were ready are for nothing
        self._quick = 0

    def note_death(self, now: float, ready_at: float) -> None:
        """One died that was ready since *ready_at*; it was never ready if that is infinite."""
        self._quick = 0 if now - ready_at >= self.QUICK else self._quick + 1
        doublings = self._quick - (0 if ready_at == math.inf else self._free)
        self.start_at = now + (min(self.LONGEST, 0.25 * 2 ** min(doublings, 16)) if doublings > 0 else 0)


class Supervisor:
    """`step` does what is due and says how long to rest; between the steps it is told what happened.

    `is_proven` once a child was ready: what fails from then on may pass. `meter`: what all children have counted.
    `status`: with which this process ends.
    """

    def __init__(
        self,
        options: SupervisorOptions,
        spawn: Spawn,
        guardian: Guardian,
        clock: Callable[[], float],
        on_ready: Callable[[Hello], None],
    ) -> None:
        self._options = options
        self._spawn = spawn
        self._guardian = guardian
        self._clock = clock
        self._on_ready = on_ready
        self._children: list[Child] = []
        # What runs alone is limited by itself: each death is one of the few that a job is allowed.
        self._backoffs: dict[Role, Backoff] = {"worker": Backoff(_FREE_DEATHS), "solitary": Backoff(math.inf)}
        self._hello: Hello | None = None
        self.is_proven = False
        self._asked = 0  # how often it was asked to stop
        self._is_noted = False  # for people, in the store
        self._done = 0  # how many children of a burst have run all that was due
        self._has_given_up = False
        self._untold: list[Notice] = []
        self._renew_at = math.inf
        self._look_at = -math.inf
        self._stepped_at = self._renewed_at = clock()
        self.meter = Meter()
        self.status = 0

    @property
    def children(self) -> Sequence[Child]:
        """Those that live."""
        return tuple(self._children)

    @property
    def is_ending(self) -> bool:
        """Whether no more jobs are taken: it was asked to stop, or has given up."""
        return bool(self._asked) or self._has_given_up

    @property
    def is_staffed(self) -> bool:
        """Whether all children that there should be are at work."""
        return not self.is_ending and len(self._able()) >= self._options.processes - self._done

    @property
    def is_over(self) -> bool:
        """Whether all is done, with `status` as the exit status."""
        return not self._children and (self.is_ending or self._is_burst_over())

    @property
    def url(self) -> str | None:
        """Where the store is; None before a child has said so."""
        return None if self._hello is None else self._hello.url

    @property
    def is_ready(self) -> bool:
        """Whether jobs are taken."""
        return not self.is_ending and bool(self._able())

    @property
    def longest_end(self) -> float:
        """How many seconds it may take from the first request to stop until all is over."""
        return self._options.grace + LAST_MOMENT + LONGEST_LEAVE

    def told(self) -> str:
        """How it is with it, in a line."""
        if self.is_ending:
            return f"stopping: running jobs may finish within {self._options.grace:g} s"
        if silent := self.silent():
            return "; ".join(silent)
        if not self.is_proven:
            return "starting"
        return f"processes at work: {len(self._able())} of {self._options.processes}"

    def silent(self) -> Sequence[str]:
        """What has given no sign of life for a lease, in words: this loop, a child, or the store; any thread may ask.

        A child that ends is not looked at: how long that may take is seen to.
        """
        if self._hello is None:
            return ()
        lease, now = self._hello.lease / SECOND, self._clock()
        staying = [child for child in self.children if not child.is_told and child.left_with is None]
        signs = {_name(child): child.heard_at for child in staying}
        signs["the supervisor"] = self._stepped_at
        if self._guardian.session is not None:
            signs["the store"] = self._renewed_at
        return [
            f"{who} has given no sign of life for {lease:g} s"
            for who, at in signs.items()
            if now - at > lease
        ]

    # --- what happens

    def hear(self, child: Child, message: FromChild) -> None:
        """A child says something."""
        match message:
            case Hello():
                self._greet(child, message)
            case Ready():
                self._note_ready(child)
            case Pulse():
                self._note_pulse(child, message)
            case WantsReplacement(reason, settlement):
                self._wear(child, reason)
                child.settlements += [] if settlement is None else [settlement]
            case Dumped():
                child.dump_at = math.inf
            case Leaving(status):
                child.left_with = status
                child.kill_at = min(child.kill_at, self._clock() + LONGEST_LEAVE)

    def mourn(self, child: Child, status: int) -> None:
        """A child is gone; *status* as in `Popen.returncode`."""
        self._children.remove(child)
        self._backoffs[child.role].note_death(self._clock(), child.ready_at)
        is_crash = child.left_with is None and not child.is_killed
        if is_crash:
            alone = child.role == "solitary"
            self._guardian.bury(child.pid, status, alone=alone, settlements=child.settlements)
        else:
            self._guardian.release(child.pid, child.settlements)
        # At the end, all that is left of the time may be that for one last try of them all.
        notices = () if self.is_ending else self._do_duties()
        if is_crash:
            told = "its jobs go back later" if self._guardian.has_duties else self._told(notices)
            logger.error("%s %s; %s", _name(child), ending(status), told)
        if not self.is_ending:
            self._look_at = -math.inf
            self._follow_up(child, status, is_crash=is_crash)

    def ask_to_stop(self) -> None:
        """Stop gracefully; asked again, the grace is over; asked a third time, so is everything else."""
        self._asked += 1
        grace = self._options.grace if self._asked == 1 else 0.0
        for child in self._children:
            # One that is not ready yet holds nothing, and cannot hear.
            if child.stage == "starting" or self._asked > 2:  # noqa: PLR2004  (as said above)
                child.kill()
            else:
                self._tell_to_stop(child, grace)

    def reload(self, what: str) -> None:
        """The files of the application have changed: let others take the place of all children, and those end."""
        self._backoffs["worker"] = Backoff(_FREE_DEATHS)
        for child in self._children:
            child.grace = self._options.grace
            self._wear(child, f"{what} changed")
            if child.stage == "starting":
                # It may have read what was there before; it holds nothing, and cannot hear.
                child.kill()

    def ask_for_stacks(self) -> None:
        """Let every child write where its threads and coroutines stand."""
        for child in self._children:
            if child.stage == "starting":
                child.process.dump()
            else:
                child.process.say(Dump())
                child.dump_at = self._clock() + DUMP_PATIENCE

    def step(self) -> float:
        """Do what is due; return how many seconds to rest unless something happens."""
        now = self._stepped_at = self._clock()
        self._lose_patience(now)
        if self._asked and not self._is_noted:
            self._is_noted = True
            self._guardian.note_stopping()
        if now >= self._renew_at:
            self._renew(now)
        if now >= self._look_at:
            self._look(now)
        if not self.is_ending:
            self._start_missing(now)
        self._let_worn_ones_go()
        return max(0.0, min(self._instants()) - self._clock())

    # --- one child

    def _greet(self, child: Child, hello: Hello) -> None:
        self._hello = hello
        child.stage = "greeted"
        child.process.say(Welcome(self._guardian.begin(hello.url, hello.lease)))
        self._renew_at = min(self._renew_at, self._clock() + self._rest())

    def _note_ready(self, child: Child) -> None:
        # First of all: who watches from another thread sees a child that is able only where it is.
        was_proven, self.is_proven = self.is_proven, True
        child.stage, child.ready_at, child.heard_at = "ready", self._clock(), self._clock()
        if was_proven:
            logger.info("%s is ready", _name(child))
        elif self._hello is not None:
            self._on_ready(self._hello)
            # For what others have left behind.
            self._look_at = -math.inf
        self._tell(())

    def _note_pulse(self, child: Child, pulse: Pulse) -> None:
        if pulse.is_sure:
            child.heard_at = self._clock()
        child.slots = pulse.slots
        self.meter.add(pulse.counts)

    def _wear(self, child: Child, reason: str) -> None:
        child.is_worn = True
        if not child.is_told:
            logger.info("%s is to be replaced: %s", _name(child), reason)

    def _tell_to_stop(self, child: Child, grace: float | None) -> None:
        child.is_told = True
        child.process.say(Stop(grace))
        if grace is not None:
            child.kill_at = min(child.kill_at, self._clock() + grace + LAST_MOMENT)

    def _follow_up(self, child: Child, status: int, *, is_crash: bool) -> None:
        status = status if child.left_with is None else child.left_with
        has_failed = is_crash or bool(status)
        if has_failed and self._options.reloads and child.role == "worker" and child.ready_at == math.inf:
            self._wait_for_change(child)
        elif has_failed and (not self.is_proven or (self._options.burst and not is_crash)):
            self._give_up(status)
        elif self._options.burst and not has_failed and not child.is_worn:
            # What ran alone may have made others due.
            self._done = self._options.processes - 1 if child.role == "solitary" else self._done + 1
        elif child.left_with:
            logger.warning("%s ended with status %d and is started again", _name(child), status)

    def _wait_for_change(self, child: Child) -> None:
        """One could not start, and said why; unless the files have changed since, the next one could not either."""
        if not child.is_worn:
            self._backoffs["worker"].start_at = math.inf
            logger.warning("%s could not start; the next one is started when a file changes", _name(child))

    def _give_up(self, status: int) -> None:
        self.status = status if status > 0 else 1
        self._has_given_up = True
        for child in self._children:
            child.kill()

    # --- all of them

    def _is_burst_over(self) -> bool:
        is_done = self._options.burst and self._done >= self._options.processes
        return is_done and not self._guardian.has_duties and not self._has_suspects()

    def _has_suspects(self) -> bool:
        return self._guardian.has_suspects(self._options.queues)

    def _start_missing(self, now: float) -> None:
        # The first one shows whether the application can be imported at all.
        wanted = self._options.processes - self._done if self.is_proven else 1
        kept = [child for child in self._children if child.role == "worker" and not child.is_worn]
        for _ in range(wanted - len(kept)):
            if now >= self._backoffs["worker"].start_at:
                self._start("worker")

    def _start(self, role: Role) -> None:
        try:
            self._children.append(Child(self._spawn(role), role))
        except OSError as error:
            self._note_unstarted(role, error)

    def _note_unstarted(self, role: Role, error: OSError) -> None:
        """The system had no room for another process; those that live go on without it."""
        now, backoff = self._clock(), self._backoffs[role]
        backoff.note_death(now, math.inf)
        if self.is_proven:
            logger.error(
                "no process can be started: %s; tried again in %.1f s", error, backoff.start_at - now
            )
        else:
            logger.error(
                "no process can be started: %s; raise the limits of this one, or free some memory", error
            )
            self._give_up(1)

    def _let_worn_ones_go(self) -> None:
        """As soon as there are enough others."""
        if not self.is_staffed:
            return
        for child in self._children:
            # One with a job that cannot be stopped goes by itself.
            if child.is_worn and not child.is_told and not child.settlements:
                self._tell_to_stop(child, child.grace)

    def _able(self) -> list[Child]:
        return [child for child in self._children if child.stage == "ready" and not child.is_worn]

    def _lose_patience(self, now: float) -> None:
        for child in self._children:
            if now >= child.kill_at:
                logger.warning("%s does not end and is killed; its jobs go back to the queue", _name(child))
                child.kill()
            if now >= child.dump_at:
                child.dump_at = math.inf
                child.process.dump()

    def _renew(self, now: float) -> None:
        before = self._guardian.session
        living = [child.pid for child in self._children if not child.process.is_stopped()]
        if self._guardian.renew(living):
            self._renewed_at = self._clock()
        if self._guardian.session != before:
            for child in self._children:
                child.process.say(Welcome(self._guardian.session))
        self._renew_at = now + self._rest()

    def _rest(self) -> float:
        """A third of a lease, as everybody does it who renews one."""
        return self._guardian.lease / SECOND / 3 or math.inf

    def _look(self, now: float) -> None:
        self._look_at = now + LOOK
        self._do_duties()
        if not self.is_ending and self._guardian.is_asked_to_stop():
            logger.info("asked to stop by somebody who looks after the store")
            self.ask_to_stop()
        for child in self._children:
            memory = child.process.memory() if self._options.max_memory and not child.is_worn else 0
            if memory > self._options.max_memory and child.stage == "ready":
                self._wear(child, f"it uses {memory // 1_000_000} MB")
        is_wanted = self.is_proven and not self.is_ending and now >= self._backoffs["solitary"].start_at
        if is_wanted and self._count_alone() < MOST_ALONE and self._has_suspects():
            self._start("solitary")

    def _count_alone(self) -> int:
        return sum(child.role == "solitary" for child in self._children)

    def _instants(self) -> list[float]:
        starts = [backoff.start_at for backoff in self._backoffs.values() if backoff.start_at > self._clock()]
        patience = [min(child.kill_at, child.dump_at) for child in self._children]
        return [self._renew_at, self._look_at, *patience, *([] if self.is_ending else starts)]

    # --- what is told

    def _do_duties(self) -> Sequence[Notice]:
        notices = self._guardian.do_duties()
        self._tell(notices)
        return notices

    def _tell(self, notices: Sequence[Notice]) -> None:
        """Let a child that can tell the application's signal handlers."""
        self._untold += notices
        child = next((child for child in self._children if child.stage == "ready"), None)
        if self._untold and child is not None:
            child.process.say(Told(tuple(self._untold)))
            self._untold.clear()

    def _told(self, notices: Sequence[Notice]) -> str:
        """What became of the jobs of a process that crashed."""
        told = [
            _VERDICTS[kind].format(job=self._guardian.name_of(job_id))
            for kind, job_id, _ in notices
            if kind in _VERDICTS
        ]
        back = sum(kind == "rescued" for kind, *_ in notices)
        if back:
            told.append(f"jobs that go back to the queue: {back}; those that it was running will run alone")
        return ", ".join(told) or "no job was in it"


def _name(child: Child) -> str:
    return f"process {child.pid}" if child.role == "worker" else f"process {child.pid}, for jobs alone,"


_VERDICTS: dict[str, str] = {
    "crashed": "{job} ran alone in it and is tried again",
    "failed": f"{{job}} ran alone in it and has failed: that was crash {MOST_CRASHES} of {MOST_CRASHES}",
}
