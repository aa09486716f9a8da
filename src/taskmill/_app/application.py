"""What tasks, results, locks and workers of one Mill share."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from taskmill._app import check, events, within
from taskmill._app.check import Duration
from taskmill._app.context import Context, awaited_threads, give_way
from taskmill._app.holdings import Holdings
from taskmill._app.parameters import annotations_of
from taskmill._app.registry import TaskRegistry
from taskmill._app.reported import Reported
from taskmill._app.signals import Signals
from taskmill._app.watch import EndWatch
from taskmill._core.event import EventKind, Notice
from taskmill._core.instant import SECOND, to_datetime
from taskmill._core.job import FINAL, Claimed, ErrorInfo, NewJob
from taskmill._storage.open import is_shared, open_storage
from taskmill.errors import ConfigurationError

if TYPE_CHECKING:
    from taskmill._app.outgoing import EnqueueWrapper
    from taskmill._app.periodic import Periodic
    from taskmill._app.task import BaseTask
    from taskmill._core.meter import Meter
    from taskmill._core.payload import Codec
    from taskmill._core.secrecy import Secrecy
    from taskmill._storage.base import Storage
    from taskmill._storage.clock import Clock

URL_VARIABLE = "TASKMILL_URL"
DEFAULT_URL = "sqlite:///taskmill.db"

_SHORTEST_LEASE = 1 * SECOND
_NOTHING_AROUND = nullcontext()

Wrapper = Callable[[Context], AbstractContextManager[object]]
Hook = Callable[[], object]


class Application:
    """The tasks of a program, who listens to them, and the store that they share.

    - `wrappers` go around each attempt, `enqueue_wrappers` around each storing of jobs, the first one outermost; hooks
      around each worker.
    - `periodics`: the tasks with a schedule, by the name of the schedule.
    - `reported`: attempts whose errors were told to a service that hears of the log, too.
    - `meter` counts what becomes of jobs in this process, where that is wanted.
    - `lease` in microseconds, `payload_limit` in bytes.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        imports: Iterable[str] = (),
        lease: Duration = 30,
        payload_limit: int = 1_000_000,
        secrets: Iterable[str] | None = (),
        clock: Clock | None = None,
    ) -> None:
        self._url = url
        self._clock = clock
        self._storage: Storage | None = None
        self._codec: Codec | None = None
        self._unread: list[Callable[..., Any]] = []
        self._opening = threading.RLock()
        with check.refused_as(ConfigurationError):
            self.lease = _lease(lease)
            self.payload_limit = check.whole("payload_limit", payload_limit, 1, sys.maxsize)
            self.imports = check.texts("imports", imports)
            self._secrets = None if secrets is None else check.texts("secrets", secrets)
        self.tasks = TaskRegistry()
        self.signals = Signals()
        self.wrappers: list[Wrapper] = []
        self.enqueue_wrappers: list[EnqueueWrapper] = []
        self.start_hooks: list[Hook] = []
        self.stop_hooks: list[Hook] = []
        self.meter: Meter | None = None
        self.reported = Reported()
        self.periodics: dict[str, Periodic] = {}
        self.holdings = Holdings(lambda: self.storage, self.lease)
        self.watch = EndWatch(lambda: self.storage)

    @property
    def url(self) -> str:
        """Where the store is: as configured, else from the environment, else a file in the current folder."""
        return self._url or os.environ.get(URL_VARIABLE) or DEFAULT_URL

    def configure(self, url: str) -> None:
        """Name another store; ConfigurationError once the store has been used."""
        with self._opening:
            if self._storage is not None:
                raise ConfigurationError(
                    "this Mill has used its store already: call configure() before the first job is enqueued"
                )
            self._url = url

    @property
    def storage(self) -> Storage:
        """The store; the first access reads the URL, the first operation opens it."""
        if awaited_threads:
            give_way()
        return self._storage or self._open()

    def _open(self) -> Storage:
        with self._opening:
            if self._storage is None:
                self._storage = open_storage(self.url, clock=self._clock)
            return self._storage

    def another_storage(self) -> Storage:
        """The same store on handles of its own, so that a long look at it delays nobody; the asker closes it.

        A store that lives in this process has no other handles than `storage`.
        """
        storage = self.storage
        return open_storage(storage.url, clock=self._clock) if is_shared(storage.url) else storage

    @cached_property
    def secrecy(self) -> Secrecy:
        """What is secret by its name, in errors before they are stored and in the dashboard."""
        from taskmill._core.secrecy import Secrecy  # noqa: PLC0415  (nobody needs it who only enqueues)

        return Secrecy(self._secrets)

    @property
    def codec(self) -> Codec:
        """The text form of arguments and results; knows the classes in the annotations of all tasks."""
        if self._codec is None or self._unread:
            return self._instructed_codec()
        return self._codec

    def _instructed_codec(self) -> Codec:
        # 25 ms, which a program that only defines its tasks does not need to wait for.
        from taskmill._core.payload import Codec, classes_in  # noqa: PLC0415

        with self._opening:
            codec = self._codec or Codec()
            while self._unread:
                # Read now and not when the task was defined: the class may follow the task in its module.
                for annotation in annotations_of(self._unread.pop()).values():
                    for cls in classes_in(annotation):
                        with suppress(TypeError):  # no obstacle before an instance of it is passed
                            codec.register(cls)
            self._codec = codec
            return codec

    def define(self, task: BaseTask[..., Any]) -> None:
        """Make *task* known, with the classes that its annotations name."""
        self.tasks.add(task)
        self._unread.append(task.func)

    def submit(self, jobs: Sequence[NewJob], connection: Any = None) -> Sequence[str]:
        """Store *jobs*, all or none, and tell who listens; the ids that they are known by.

        With a *connection* its transaction stores them.
        """
        with self.departing(jobs):
            return self._submit(jobs, connection)

    def departing(self, jobs: Sequence[NewJob]) -> AbstractContextManager[None]:
        """What is around the storing of *jobs*."""
        if not self.enqueue_wrappers or not jobs:
            return _NOTHING_AROUND
        from taskmill._app.outgoing import departing  # noqa: PLC0415  (json costs 3 ms)

        return departing(self.enqueue_wrappers, jobs)

    def _submit(self, jobs: Sequence[NewJob], connection: Any) -> Sequence[str]:
        if connection is not None:
            return within.submit(self, jobs, connection)
        job_ids = self.storage.jobs.add(jobs)
        if self.hears_of_enqueued:
            # One with a key that is known already was not stored.
            self.tell_enqueued(
                [job for job, job_id in zip(jobs, job_ids, strict=True) if job.job_id == job_id]
            )
        return job_ids

    @property
    def hears_of_enqueued(self) -> bool:
        """Whether anybody here wants to hear of jobs that are stored."""
        return self.meter is not None or self.signals.wants("enqueued")

    def tell_enqueued(self, jobs: Sequence[NewJob]) -> None:
        """Tell who listens of *jobs* that are stored."""
        if self.meter is not None:
            self.meter.happened("enqueued", [(job.task, job.queue) for job in jobs])
        if self.signals.wants("enqueued"):
            for job in jobs:
                self.signals.emit(events.of_new_job(self, job))

    def tell_claimed(
        self, kind: EventKind, claimed: Claimed, *, error: ErrorInfo | None = None, reason: str | None = None
    ) -> None:
        """Tell who listens what a worker did with a job."""
        if self.signals.wants(kind):
            self.signals.emit(events.of_attempt(self, kind, claimed, error=error, reason=reason))

    def tell_notices(self, notices: Iterable[Notice]) -> None:
        """Tell who listens what a store operation did to jobs besides those it was asked about."""
        for kind, job_id, reason in notices:
            is_wanted = self.signals.wants(kind) or (self.meter is not None and kind in FINAL)
            job = self.storage.inspection.job(job_id) if is_wanted else None
            if job is not None:
                if self.meter is not None:
                    self.meter.happened(kind, [(job.task, job.queue)])
                at = to_datetime(self.storage.now())
                # Of a crash that did not end the job, the history tells.
                error = job.attempts[-1].error if kind == "crashed" and job.attempts else job.error
                self.signals.emit(events.of_job(self, kind, job, at=at, error=error, reason=reason))

    def load_imports(self) -> None:
        """Import what `imports` names, so that its tasks are known here."""
        for name in self.imports:
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise ConfigurationError(
                    f"cannot import {name!r}, which Mill(imports=...) names: {error}"
                ) from error

    def close(self) -> None:
        """Free the locks held here and let go of the store; the next use opens it again."""
        self.holdings.end()
        if self._storage is not None:
            self._storage.close()


def _lease(lease: Duration) -> int:
    found = check.micros("lease", lease)
    if found < _SHORTEST_LEASE:
        raise ValueError(f"lease={lease!r} is shorter than 1 s: a busy host would be taken for dead")
    return found
