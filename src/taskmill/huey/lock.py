"""Huey's locks over those of taskmill."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from taskmill.errors import LockTimeout
from taskmill.huey.exceptions import TaskLockedException
from taskmill.huey.wrapper import LockMark, TaskWrapper

if TYPE_CHECKING:
    from taskmill.huey.api import Huey

T = TypeVar("T")


class TaskLock:
    """A lock that one at a time holds, in all processes that share the file; made by `Huey.lock_task`.

    As a decorator, above or below ``@huey.task()``, it lets the jobs of the task run one after the other: a job
    that finds the lock taken waits, without occupying a worker. (Under Huey it fails if the lock is below, and
    is not locked at all if it is above.)

    In a ``with`` block, and around a function that is no task, TaskLockedException is raised while somebody else
    holds it, as in Huey. A holder that dies frees it.
    """

    def __init__(self, huey: Huey, name: str) -> None:
        self._huey = huey
        self._name = name
        self._full_name = f"{huey.name}.lock.{name}"
        self._lock = huey.mill.lock(self._full_name, timeout=0)

    def __call__(self, target: T) -> T:
        """Decorate a task or a function."""
        if isinstance(target, TaskWrapper):
            self._huey.mill.lock(self._full_name)(target.engine_task)
            return target
        return cast(T, self._guarded(cast(Callable[..., Any], target)))

    def __enter__(self) -> Self:
        try:
            self._lock.__enter__()
        except LockTimeout:
            raise TaskLockedException(f"unable to acquire lock {self._name}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, traceback)

    def is_locked(self) -> bool:
        """Whether somebody holds it."""
        return any(held.name == self._full_name for held in self._huey.mill.app.storage.limits.list())

    def _guarded(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def guard(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        LockMark(self, func, guard).leave()
        return guard
