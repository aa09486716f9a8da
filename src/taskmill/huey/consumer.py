"""Huey's consumer over the worker of taskmill."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from taskmill.huey.constants import WORKER_THREAD
from taskmill.huey.exceptions import ConfigurationError, refuse_unknown

if TYPE_CHECKING:
    from taskmill.huey.api import Huey


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerOptions:
    """The options of `Huey.create_consumer`.

    - `workers` (1): how many tasks run at once. `worker_type`: only threads.
    - `periodic` (True): enqueue periodic tasks when they are due; each once, however many consumers do.
    - `shutdown_timeout` (none): how many seconds a graceful stop waits for running tasks; then they are given
      back, to be run again.

    The others are taken and have nothing to do: a worker is woken and does not poll, its threads do not die, the
    lock of a process that died is free, and both SIGINT and SIGTERM stop gracefully.
    """

    workers: int = 1
    worker_type: str = WORKER_THREAD
    periodic: bool = True
    shutdown_timeout: float | None = None
    initial_delay: float = 0.1
    backoff: float = 1.15
    max_delay: float = 10.0
    scheduler_interval: float = 1
    check_worker_health: bool = True
    health_check_interval: float = 10
    flush_locks: bool = False
    extra_locks: Any = None
    graceful_signal: str = "INT"

    @classmethod
    def of(cls, given: dict[str, Any]) -> ConsumerOptions:
        """Those that are *given*; ConfigurationError for others than these."""
        refuse_unknown("a consumer", given, [option.name for option in fields(cls)])
        options = cls(**given)
        if options.worker_type != WORKER_THREAD:
            raise ConfigurationError(
                f"worker_type={options.worker_type!r}: a consumer of taskmill.huey has threads, {WORKER_THREAD!r}"
            )
        return options


class Consumer:
    """Runs the tasks of one Huey, in threads of this process; made by `Huey.create_consumer`, to be run once."""

    def __init__(self, huey: Huey, options: ConsumerOptions) -> None:
        self.huey = huey
        self.options = options
        timeout = options.shutdown_timeout
        self._worker = huey.mill.worker(
            threads=options.workers,
            coroutines=0,
            queues=[huey.name],
            grace=math.inf if timeout is None else timeout,
        )

    def run(self) -> None:
        """Run until stopped: by `stop`, and in the main thread by SIGINT and SIGTERM. In any thread."""
        self._prepare()
        self._worker.run()

    def start(self) -> None:
        """Run in the background; returns when it has started."""
        self._prepare()
        self._worker.start()

    def stop(self, *, graceful: bool = False) -> None:
        """Stop, and return when stopped; *graceful*: running tasks end before, else they are given back.

        A consumer that has not started yet will stop at once when it does.
        """
        self._worker.ask_to_stop()
        if not graceful:
            self._worker.ask_to_stop()
        self._worker.stop()

    def _prepare(self) -> None:
        self.huey.use_periodic(periodic=self.options.periodic)
