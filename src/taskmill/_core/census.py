"""What a store holds at one moment, counted: from this is judged whether all of it is in hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

# "silent": it should have given a sign of life by now, but its process is not known to be gone.
Life = Literal["alive", "silent", "gone"]


class Serves(NamedTuple):
    """What a worker takes: jobs of *queues* (None: of all) for *executors*; *tasks* it knew when it started."""

    queues: Collection[str] | None
    executors: Collection[str]
    tasks: Collection[str]

    def has_queue(self, queue: str) -> bool:
        return self.queues is None or queue in self.queues


class Presence(NamedTuple):
    """A session that has not ended; `serves` is None where it runs no jobs; `held` counts jobs and locks.

    One that `is_stopping` takes no more jobs, though it may finish those that it runs.
    """

    session: int
    kind: str
    host: str
    pid: int
    life: Life
    serves: Serves | None
    held: int
    is_stopping: bool = False


class Waiting(NamedTuple):
    """The queued jobs of one kind: `due` of `queued`, the longest since `oldest`, or None."""

    queue: str
    executor: str
    task: str
    queued: int
    due: int
    oldest: int | None


class HeldLock(NamedTuple):
    """A lock that is held since an instant by a session (which may be gone), and how many jobs wait for it."""

    name: str
    session: int
    job_id: str | None
    since: int
    waiters: int


class KnownSchedule(NamedTuple):
    """A schedule as the store knows it; `paused_at` is None where it fires."""

    name: str
    task: str
    spec: str
    last_slot: int
    paused_at: int | None = None


class OpenCrate(NamedTuple):
    """What a move has taken out of the store and is not known to be in the other one: its id, and how many jobs."""

    crate_id: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Everything of one moment; instants and durations in microseconds.

    - `newest`: the latest instant that anything in the store happened at, by the wall clock of then;
    - `paused`: the queues of which nothing is claimed, and since when;
    - `ended`: jobs that have; `outlived`: those of them whose time to be kept is over, the longest since `outlived_at`;
    - `attempts`: the rows of history; `payload`: bytes of arguments and results;
    - `crate`: where a move is under way, or was interrupted.
    """

    now: int
    newest: int
    sessions: Sequence[Presence]
    waiting: Sequence[Waiting]
    locks: Sequence[HeldLock]
    schedules: Sequence[KnownSchedule]
    paused: Mapping[str, int]
    ended: int
    outlived: int
    outlived_at: int | None
    attempts: int
    payload: int
    crate: OpenCrate | None

    @property
    def working(self) -> Sequence[Serves]:
        """What the workers take that live, and go on to take jobs."""
        return [each.serves for each in self._workers if each.serves and not each.is_stopping]

    @property
    def lack_of_workers(self) -> str:
        """Why nobody is `working`, in words."""
        return "the workers that live are all stopping" if self._workers else "no worker is alive"

    @property
    def _workers(self) -> Sequence[Presence]:
        return [each for each in self.sessions if each.life == "alive" and each.serves]

    def waits(self) -> dict[str, int]:
        """For how long the first due job of each queue has been waiting, where there is one."""
        oldest: dict[str, int] = {}
        for waiting in self.waiting:
            if waiting.oldest is not None:
                oldest[waiting.queue] = min(waiting.oldest, oldest.get(waiting.queue, waiting.oldest))
        return {queue: max(0, self.now - at) for queue, at in oldest.items()}
