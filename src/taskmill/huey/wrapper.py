"""A function that can be enqueued, in Huey's words."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from taskmill._core.identity import new_job_id
from taskmill._core.job import NewJob
from taskmill._core.naming import module_name
from taskmill.huey import moment
from taskmill.huey.attempt import runner
from taskmill.huey.exceptions import ConfigurationError, refuse_unknown
from taskmill.huey.moment import Delay
from taskmill.huey.task import AFTER, ETA, Task

if TYPE_CHECKING:
    from taskmill._app.settings import CallSettings, TaskSettings
    from taskmill._app.task import BaseTask
    from taskmill.huey.api import Huey
    from taskmill.huey.lock import TaskLock

_LOCK_MARK = "__huey_lock__"
_ONLY_FOR_TASKS = ("retry_delay", "retry_backoff", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is said of a task where it is defined.

    - `retries` (0), the first after `retry_delay` (0 s), each further one `retry_backoff` times as long (0: as
      long), at most 1 h.
    - `priority` (0; -100 to 100, higher first).
    - `expires` (never): seconds from its enqueueing, a timedelta or a datetime; not started by then, it is not run.
    - `context`: pass the Task as the keyword ``task``.
    - `name`: instead of the function's own.
    """

    retries: int = 0
    retry_delay: float = 0
    retry_backoff: float = 0
    priority: int | None = None
    context: bool = False
    name: str | None = None
    expires: Delay | datetime | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> Settings:
        """Those that are *given*; ConfigurationError for others than these."""
        refuse_unknown("a task", given, [setting.name for setting in fields(cls)])
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What can be said of a single call, by keywords of `TaskWrapper.s`; for None, the task's settings count."""

    eta: datetime | None = None
    delay: Delay | None = None
    id: str | None = None
    retries: int | None = None
    priority: int | None = None
    expires: Delay | datetime | None = None

    @classmethod
    def taken_from(cls, kwargs: dict[str, Any]) -> CallOptions:
        """Those among the keyword arguments of a call, which loses them."""
        names = [option.name for option in fields(cls)]
        refuse_unknown(
            "a call", [name for name in _ONLY_FOR_TASKS if kwargs.pop(name, None) is not None], names
        )
        return cls(**{name: kwargs.pop(name) for name in names if name in kwargs})


class LockMark(NamedTuple):
    """Left on a function by `lock_task`; *guard* tells it from a copy by functools.wraps."""

    lock: TaskLock
    func: Callable[..., Any]
    guard: Callable[..., Any]

    def leave(self) -> None:
        """Mark the guard."""
        vars(self.guard)[_LOCK_MARK] = self


class TaskWrapper:
    """A task: to call it is to enqueue a call. Made by `Huey.task` and `Huey.periodic_task`.

    `engine_task` is what it is to taskmill.
    """

    def __init__(self, huey: Huey, func: Callable[..., Any], settings: Settings) -> None:
        functools.update_wrapper(self, func)
        lock, func = _unlocked(func)
        self.huey = huey
        self.func = func
        self.settings = settings
        if inspect.iscoroutinefunction(func):
            raise ConfigurationError(
                f"{func!r} is an async def, which Huey does not run: call asyncio.run() in a def, or make it a task of"
                " taskmill.Mill"
            )
        self.name = str(settings.name or getattr(func, "__name__", ""))
        if not self.name:
            raise ConfigurationError(f"{func!r} has no name of its own: give it one, task(name=...)")
        self.engine_task: BaseTask[..., Any] = huey.mill.task(**self._engine_settings())(runner(self))
        if lock is not None:
            lock(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue a call; as `Huey.enqueue`."""
        return self.huey.enqueue(self.s(*args, **kwargs))

    def call_local(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        return self.func(*args, **kwargs)

    def s(self, *args: Any, **kwargs: Any) -> Task:
        """The call as a value, for `Task.then` and `Huey.enqueue`; its options are those of `CallOptions`."""
        options = CallOptions.taken_from(kwargs)
        settings = self.settings
        return Task(
            name=self.name,
            id=options.id or new_job_id(),
            args=args,
            kwargs=kwargs,
            eta=moment.eta_of(options.eta, options.delay, utc=self.huey.utc),
            retries=settings.retries if options.retries is None else options.retries,
            priority=settings.priority if options.priority is None else options.priority,
            expires=settings.expires if options.expires is None else options.expires,
            wrapper=self,
        )

    def schedule(
        self,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        eta: datetime | None = None,
        delay: Delay | None = None,
        **options: Any,
    ) -> Any:
        """Enqueue a call that runs *delay* seconds from now, or at *eta* (without a time zone: local time).

        A first argument that is one of the two will do.
        """
        if eta is None and delay is None:
            args, eta, delay = None, *_when(args)
        if kwargs is not None and not isinstance(kwargs, dict):
            raise ValueError(f"schedule(kwargs={kwargs!r}): give a dict")
        return self.huey.enqueue(self.s(*(args or ()), **(kwargs or {}), **options, eta=eta, delay=delay))

    def map(self, items: Iterable[Any]) -> Any:
        """Enqueue one call for each item, in one transaction; an item that is a tuple is several arguments."""
        return self.huey.enqueue_all(
            self.s(*(item if isinstance(item, tuple) else (item,))) for item in items
        )

    def new_job(self, task: Task, after: Task | None) -> NewJob:
        """The engine's job of a call; *after* is the step before in its pipeline."""
        call = self.engine_task.using(**self._call_settings(task, after)).s(*task.args, **task.kwargs)
        [job] = call.new_jobs()
        job.job_id = task.id
        return job

    def __repr__(self) -> str:
        return f"<TaskWrapper {self.engine_task.name}>"

    def _engine_settings(self) -> TaskSettings:
        return {
            "name": f"{module_name(self.func.__module__)}.{self.name}",
            "queue": self.huey.name,
            "retries": self.settings.retries,
            "retry_delay": self.settings.retry_delay,
            "backoff": self.settings.retry_backoff or 1,
            "jitter": 0,
            "priority": self.settings.priority or 0,
            **(cast("TaskSettings", {}) if self.huey.results else {"result_ttl": 0}),
        }

    def _call_settings(self, task: Task, after: Task | None) -> CallSettings:
        headers = {} if after is None else {AFTER: after.id}
        settings: CallSettings = {"priority": task.priority or 0, "retries": task.retries}
        run_at = moment.ahead(task.eta, utc=self.huey.utc)
        if run_at is not None:
            headers[ETA] = run_at.isoformat()
            settings["run_at"] = run_at
        if headers:
            settings["headers"] = headers
        if task.expires is not None:
            expires = task.expires
            settings["expires"] = expires.astimezone() if isinstance(expires, datetime) else expires
        return settings


def _unlocked(func: Callable[..., Any]) -> tuple[TaskLock | None, Callable[..., Any]]:
    """The lock that decorates *func*, and what it decorates."""
    mark = getattr(func, _LOCK_MARK, None)
    return (mark.lock, mark.func) if isinstance(mark, LockMark) and mark.guard is func else (None, func)


def _when(first: Any) -> tuple[datetime | None, Delay | None]:
    if isinstance(first, datetime):
        return first, None
    if isinstance(first, int | float | timedelta):
        return None, first
    raise ValueError("schedule() needs eta= or delay=")
