"""Huey's application object over a Mill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import quote

from taskmill._core.identity import new_job_id
from taskmill._core.job import NewJob
from taskmill._core.schedule import Schedule
from taskmill._storage.urls import shown
from taskmill.huey.consumer import Consumer, ConsumerOptions
from taskmill.huey.exceptions import ConfigurationError, refuse_unknown
from taskmill.huey.lock import TaskLock
from taskmill.huey.result import Result, ResultGroup
from taskmill.huey.schedule import Crontab, crontab, local_zone
from taskmill.huey.signals import Receiver
from taskmill.huey.task import Task
from taskmill.huey.teller import Teller
from taskmill.huey.wrapper import Settings, TaskWrapper
from taskmill.mill import Mill

__all__ = ["Huey", "MemoryHuey", "Result", "ResultGroup", "SqliteHuey", "Task", "TaskWrapper", "crontab"]

Decorator = Callable[[Callable[..., Any]], TaskWrapper]
ReceiverT = TypeVar("ReceiverT", bound=Receiver)

# What Huey can do and this cannot yet, with the values that ask for nothing.
_ONLY: dict[str, tuple[object, ...]] = {
    "immediate": (False,),
    "serializer": (None,),
    "compression": (False,),
    "store_intermediate_errors": (False,),
}
# These change nothing: None is a result like any other, and nothing is immediate.
_IDLE = ("store_none", "use_zlib", "immediate_use_memory")


class Huey:
    """The tasks of a program in Huey's words; `mill` is the Mill that does the work.

    - *name* ("huey"): the queue of its jobs; several of different names can share a file.
    - *results* (True): False, and a call has no handle, and nothing is kept of a job that succeeded.
    - *utc* (True): whether crontabs mean UTC, and tasks show their eta in UTC, or in local time.
    - *store_none*, *immediate* and the like are taken where they ask for nothing; else ConfigurationError.
    """

    def __init__(
        self, url: str, name: str = "huey", *, results: bool = True, utc: bool = True, **options: Any
    ) -> None:
        _check_options(type(self).__name__, options)
        self.name = name
        self.results = results
        self.utc = utc
        self.mill = Mill(url)
        self.tasks: dict[str, TaskWrapper] = {}
        self.teller = Teller(self)
        self._periodic: dict[str, Schedule] = {}

    # --- defining

    def task(self, retries: int = 0, retry_delay: float = 0, **settings: Any) -> Decorator:
        """Make a task of a function; `Settings` lists the options.

        >>> @huey.task(retries=2, retry_delay=10)
        ... def fetch(url): ...
        >>> handle = fetch("https://example.org")
        """
        chosen = Settings.of({"retries": retries, "retry_delay": retry_delay, **settings})
        return lambda func: self._define(func, chosen)

    def periodic_task(
        self, validate_datetime: Crontab | Schedule, retries: int = 0, retry_delay: float = 0, **settings: Any
    ) -> Decorator:
        """Make a task that is enqueued whenever a crontab, or a schedule of taskmill such as every(15), says.

        >>> @huey.periodic_task(crontab(minute="0", hour="3"))
        ... def nightly(): ...
        """
        schedule = self._schedule(validate_datetime)

        def decorate(func: Callable[..., Any]) -> TaskWrapper:
            wrapper = self.task(retries, retry_delay, **settings)(func)
            self.mill.periodic(schedule)(wrapper.engine_task)
            self._periodic[wrapper.engine_task.name] = schedule
            return wrapper

        return decorate

    def lock_task(self, lock_name: str, ttl: float | None = None) -> TaskLock:  # noqa: ARG002
        """A lock, as a decorator of a task or for a ``with`` block; see `TaskLock`. It needs no *ttl*."""
        return TaskLock(self, lock_name)

    def is_locked(self, lock_name: str) -> bool:
        """Whether somebody holds that lock."""
        return self.lock_task(lock_name).is_locked()

    def signal(self, *signals: str) -> Callable[[ReceiverT], ReceiverT]:
        """Call a function as ``receiver(signal, task)`` at each of *signals*, or at all; an error brings itself along.

        "enqueued" and "scheduled" are heard in the process that enqueues, the others where the job runs; "revoked"
        where it is revoked.
        """

        def decorate(receiver: ReceiverT) -> ReceiverT:
            self.teller.signal.connect(receiver, *signals)
            return receiver

        return decorate

    def disconnect_signal(self, receiver: Receiver, *signals: str) -> None:
        """Undo `signal`, for some signals or for all."""
        self.teller.signal.disconnect(receiver, *signals)

    # --- enqueueing

    def enqueue(self, task: Task) -> Any:
        """Store a call with those that follow it: a Result, or a ResultGroup of all steps; None without results."""
        [handle] = self._store([task])
        return handle

    def enqueue_all(self, tasks: Iterable[Task]) -> ResultGroup | None:
        """Store several calls in one transaction."""
        handles = self._store(list(tasks))
        return ResultGroup(handles) if self.results else None

    def result(self, id: str, *args: Any, **kwargs: Any) -> Any:  # noqa: A002  (Huey's word)
        """The result of the call with that id, as `Result.get` tells it."""
        return Result(self, id).get(*args, **kwargs)

    # --- running

    def create_consumer(self, **options: Any) -> Consumer:
        """What runs the tasks, in threads of this process; `ConsumerOptions` lists the options."""
        return Consumer(self, ConsumerOptions.of(options))

    def use_periodic(self, *, periodic: bool) -> None:
        """Whether the consumers of this process enqueue periodic tasks; the latest of them decides."""
        periodics = self.mill.app.periodics
        if not periodic:
            periodics.clear()
            return
        for name, schedule in self._periodic.items():
            if name not in periodics:
                self.mill.periodic(schedule)(self.tasks[name].engine_task)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} at {shown(self.mill.url)}>"

    def _define(self, func: Callable[..., Any], settings: Settings) -> TaskWrapper:
        wrapper = TaskWrapper(self, func.func if isinstance(func, TaskWrapper) else func, settings)
        self.tasks[wrapper.engine_task.name] = wrapper
        return wrapper

    def _schedule(self, schedule: Crontab | Schedule) -> Schedule:
        if isinstance(schedule, Crontab):
            return schedule.schedule("UTC" if self.utc else local_zone())
        if isinstance(schedule, Schedule):
            return schedule
        raise ConfigurationError(f"{schedule!r} is no schedule: write periodic_task(crontab(minute='0'))")

    def _store(self, tasks: list[Task]) -> list[Any]:
        jobs = [job for task in tasks for job in _jobs(self, task)]
        with self.teller.enqueueing(tasks):
            self.mill.app.submit(jobs)
        return [self._handle(task) for task in tasks]

    def _handle(self, task: Task) -> Result | ResultGroup | None:
        if not self.results:
            return None
        results = [Result(self, step.id) for step in task.steps]
        return results[0] if len(results) == 1 else ResultGroup(results)


class SqliteHuey(Huey):
    """A Huey whose jobs are in the SQLite file *filename*, which is made when it is first used.

    Of the options of the file, `timeout` (5 s, for another process that writes) and `fsync` (True; False, and a
    power cut may take the last moments) count; `strict_fifo`, `cache_mb`, `journal_mode` and `create_tables` are
    taken, but are no longer of use.
    """

    def __init__(
        self,
        name: str = "huey",
        *,
        filename: str | os.PathLike[str] = "huey.db",
        timeout: float = 5,
        fsync: bool | None = None,
        **options: Any,
    ) -> None:
        for idle in ("strict_fifo", "cache_mb", "journal_mode", "create_tables"):
            options.pop(idle, None)
        durability = "normal" if fsync is False else "full"
        path = quote(os.fspath(filename))
        super().__init__(f"sqlite:///{path}?durability={durability}&timeout={timeout:g}", name, **options)


class MemoryHuey(Huey):
    """A Huey whose jobs are in the memory of this process, for tests."""

    def __init__(self, name: str = "huey", **options: Any) -> None:
        super().__init__("memory://", name, **options)


def _check_options(kind: str, options: dict[str, Any]) -> None:
    refuse_unknown(kind, options, ["name", "filename", "results", "utc", "timeout", "fsync", *_IDLE, *_ONLY])
    for option, allowed in _ONLY.items():
        if options.get(option, allowed[0]) not in allowed:
            raise ConfigurationError(
                f"{kind}({option}={options[option]!r}): taskmill.huey has only {option}={allowed[0]!r} so far"
            )


def _jobs(huey: Huey, task: Task) -> list[NewJob]:
    """The engine's jobs of a call and of those that follow it."""
    if not isinstance(task, Task):
        raise TypeError(f"{task!r} is no call: write huey.enqueue(task.s(...))")
    steps = task.steps
    for step in steps:
        # To the engine an id is one job; Huey takes a call again and again.
        step.id = new_job_id() if step.is_enqueued else step.id
        step.is_enqueued = True
    pipeline = new_job_id() if len(steps) > 1 else None
    jobs = []
    for number, step in enumerate(steps):
        if step.wrapper is None or step.wrapper.huey is not huey:
            raise ConfigurationError(f"{step!r} is not a call of a task of {huey!r}")
        job = step.wrapper.new_job(step, after=steps[number - 1] if number else None)
        job.pipeline, job.step = pipeline, number
        jobs.append(job)
    return jobs
