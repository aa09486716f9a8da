"""What the machine asks of an executor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from taskmill._core.job import Claimed
from taskmill._core.outcome import Outcome
from taskmill._worker.slot import JobKey


class Finished(NamedTuple):
    """An attempt that is over; *started_at* by the store's clock, *seconds* that it took."""

    claimed: Claimed
    outcome: Outcome
    started_at: int | None
    seconds: float


Report = Callable[[Finished], None]
Ring = Callable[[], None]


class JobExecutor(Protocol):
    """Runs claimed jobs and reports each exactly once, from whatever thread.

    Until it is reported a job counts as load, so that it is never out of sight; the ring comes when it no longer
    does, so that whoever is rung sees the free slot. Where another job waits for that slot, there is none, and no ring.
    """

    slots: int

    def load(self) -> int:
        """How many jobs it has taken and not yet reported."""
        ...

    def submit(self, jobs: Sequence[Claimed]) -> None:
        """Take *jobs*; those for which no slot is free wait."""
        ...

    def withdraw(self) -> Sequence[Claimed]:
        """Give back the jobs that have not started; they will not be reported."""
        ...

    def cancel(self, key: JobKey) -> bool:
        """Stop the job, if it runs here: whether it does. It is reported as soon as it has stopped."""
        ...

    def interrupt(self) -> None:
        """End what can be ended; such jobs are reported as Released."""
        ...

    def close(self) -> None:
        """Let the threads go; one that runs a job goes when the job ends."""
        ...
