"""What can be said of a worker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from taskmill.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The options of `Mill.worker` and of ``taskmill worker``.

    - `threads` (4): how many plain functions run at once; `coroutines` (1,000): how many ``async def`` tasks.
    - `queues` (all): a set; among them the jobs are ordered by priority, not by queue.
    - `grace` (25 s): how long a stopping worker lets running jobs finish before it gives them back.
    - `burst` (False): run all that is due, then stop.
    """

    threads: int = 4
    coroutines: int = 1000
    queues: Collection[str] | None = None
    grace: float = 25.0
    burst: bool = False

    def __post_init__(self) -> None:
        if self.threads < 0 or self.coroutines < 0 or self.threads + self.coroutines == 0:
            raise ConfigurationError(
                f"threads={self.threads}, coroutines={self.coroutines}: a worker needs at least one of either"
            )
        if self.grace < 0:
            raise ConfigurationError(f"grace={self.grace}: give seconds from 0 up")
        if isinstance(self.queues, str) or (self.queues is not None and not self.queues):
            raise ConfigurationError(f"queues={self.queues!r}: give a list of names, or None for all queues")
