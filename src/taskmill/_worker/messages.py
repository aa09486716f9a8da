"""What a supervisor and its children say to each other."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from taskmill._core.event import Notice
from taskmill._core.job import Claimed, ErrorInfo, OwnExecutor, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._core.meter import Count
from taskmill._worker.line import Language

# A solitary process runs only suspects of a crash, one at a time.
Role = Literal["worker", "solitary"]

# --- from the child


class Hello(NamedTuple):
    """First of all: the application is imported, this is its store; *lease* in microseconds."""

    url: str
    lease: int
    tasks: int
    schedules: int


class Ready(NamedTuple):
    """It works."""


# For each executor, how many are busy, and how many are free.
Slots = tuple[tuple[OwnExecutor, int, int], ...]


class Pulse(NamedTuple):
    """Its loop goes round, about once a second; *is_sure*: it knows that its session lives.

    *counts*: what happened since the last one, where anybody wants to know.
    """

    is_sure: bool
    slots: Slots = ()
    counts: tuple[Count, ...] = ()


class WantsReplacement(NamedTuple):
    """Another process should take its place, because of *reason*.

    With a *settlement* it stops by itself, since a job in it cannot be stopped; that is how the job ends, to be
    recorded when this process is gone. Without one it works on until it is told to stop.
    """

    reason: str
    settlement: Settlement | None = None


class Dumped(NamedTuple):
    """The answer to Dump: it is done."""


class Leaving(NamedTuple):
    """Last of all: it ends of its own accord, with that exit status; nothing that runs in it is to blame."""

    status: int


# --- from the supervisor


class Begin(NamedTuple):
    """First of all: import the application and be that; until then nothing of it is loaded."""

    role: Role


class Welcome(NamedTuple):
    """The answer to Hello: the supervisor's session, if it has one; said again when that is another one."""

    session: int | None


class Stop(NamedTuple):
    """Take no more jobs, and end; what runs has that many seconds, or (None) as long as it takes."""

    grace: float | None


class Told(NamedTuple):
    """What the supervisor did to jobs, for the application's signal handlers."""

    notices: tuple[Notice, ...]


class Dump(NamedTuple):
    """Write where every thread and coroutine stands to standard error, with its job."""


FromChild = Hello | Ready | Pulse | WantsReplacement | Dumped | Leaving
FromParent = Begin | Welcome | Stop | Told | Dump

LANGUAGE = Language(
    *get_args(FromChild),
    *get_args(FromParent),
    *(Notice, Settlement, Transition, Claimed, ErrorInfo, State, Reason, Count),
)
