"""Named locks: of one job at a time, or of one block of code, in all processes that share the store."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

from taskmill._app import check
from taskmill._app.bridge import in_thread
from taskmill._app.check import Duration
from taskmill._app.context import give_way, job_in_progress
from taskmill._app.holdings import Holding, Holdings
from taskmill._app.patience import pauses
from taskmill._app.task import BaseTask
from taskmill._core.instant import SECOND
from taskmill.errors import ConfigurationError, LockError, LockTimeout

if TYPE_CHECKING:
    from taskmill._app.application import Application

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__taskmill_lock__"


class Lock:
    """A lock that one holder at a time has, whoever shares the store; made by `Mill.lock`.

    >>> with mill.lock("daily-sync", timeout=10) as lock:
    ...     print(lock.token > 0)
    True

    Around a block (``with`` or ``async with``) it is held until the block ends, or the process dies: then it
    is free at once on the same host, else when the lease is over (30 s). It is not re-entrant: to take it
    twice is a LockError, also in a job that holds it as its own.

    As a decorator, above or below ``@mill.task``, it is the task's option `lock`: a job whose lock is taken
    waits without occupying a worker. On a function that is no task, each call takes it.
    """

    def __init__(self, app: Application, name: str, timeout: Duration | None = None) -> None:
        with check.refused_as(ConfigurationError):
            self.name = check.text("name of a lock", name)
            self._timeout = None if timeout is None else check.micros("timeout", timeout) / SECOND
        self._app = app
        self._holdings: list[Holding] = []

    @property
    def token(self) -> int:
        """Grows each time that somebody takes the lock; LockError unless the caller holds it.

        A resource that keeps the highest token it has seen can refuse a holder that was taken for dead.
        """
        return self._own(_caller()).token

    @property
    def lost(self) -> bool:
        """Whether somebody else may hold it now, for this process stood still longer than its lease."""
        return self._own(_caller()).lost

    def __enter__(self) -> Self:
        self._holdings.append(self._acquire(_caller()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release(_caller())

    async def __aenter__(self) -> Self:
        self._holdings.append(await self._acquire_in_loop(_caller()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await in_thread(self._release, _caller())

    def __call__(self, target: F) -> F:
        """Decorate a task or a function."""
        if not isinstance(target, BaseTask):
            return cast(F, self._around(target))
        target.require_lock(self.for_job())
        return target

    def for_job(self) -> str:
        """Its name, as the lock of a task."""
        if self._timeout is not None:
            raise ConfigurationError(
                f"a job waits for its lock as long as it takes: write mill.lock({self.name!r}) without a "
                "timeout, or give the task expires="
            )
        return self.name

    def _around(self, func: Any) -> Callable[..., Any]:
        if not callable(func) or inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise ConfigurationError(
                f"mill.lock({self.name!r}) cannot decorate {func!r}: use it in a with block"
            )
        guarded = (
            self._around_coroutine(func) if inspect.iscoroutinefunction(func) else self._around_call(func)
        )
        setattr(guarded, _MARK, _Mark(self, func, guarded))
        return guarded

    def _around_call(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return guarded

    def _around_coroutine(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            async with self:
                return await func(*args, **kwargs)

        return guarded

    def _acquire(self, owner: object) -> Holding:
        give_way()
        holdings = self._app.holdings
        holding = holdings.take(self.name, owner)
        if holding is None:
            self._refuse_deadlock(owner)
        for pause in pauses(self._timeout):
            if holding is not None:
                break
            holdings.wait(pause)
            holding = holdings.take(self.name, owner)
        return self._taken(holding)

    async def _acquire_in_loop(self, owner: object) -> Holding:
        import asyncio  # noqa: PLC0415  (40 ms, for programs that have it already)

        holding = await self._take_in_thread(owner)
        if holding is None:
            await in_thread(self._refuse_deadlock, owner)
        for pause in pauses(self._timeout):
            if holding is not None:
                break
            await asyncio.sleep(pause)
            holding = await self._take_in_thread(owner)
        return self._taken(holding)

    async def _take_in_thread(self, owner: object) -> Holding | None:
        effort = _Effort(self._app.holdings, self.name, owner)
        try:
            return await in_thread(effort.take)
        except BaseException:  # cancelled, while the thread goes on
            effort.give_up()
            raise

    def _taken(self, holding: Holding | None) -> Holding:
        if holding is None:
            raise LockTimeout(self.name, self._timeout or 0)
        return holding

    def _refuse_deadlock(self, owner: object) -> None:
        if self._timeout == 0:
            return
        if self._app.holdings.is_held(self.name, owner):
            raise LockError(f"the caller holds lock {self.name!r} already, and would wait for itself")
        context = job_in_progress()
        job = self._app.storage.inspection.job(context.id) if context else None
        if job is not None and job.lock == self.name:
            raise LockError(f"this job holds lock {self.name!r} as its own, and would wait for itself")

    def _own(self, owner: object) -> Holding:
        for holding in reversed(self._holdings):
            if holding.owner == owner:
                return holding
        raise LockError(f"the caller does not hold lock {self.name!r}: ask inside of the with block")

    def _release(self, owner: object) -> None:
        holding = self._own(owner)
        self._holdings.remove(holding)
        self._app.holdings.free(holding)

    def __repr__(self) -> str:
        return f"<Lock {self.name!r}>"


class _Mark(NamedTuple):
    """Left on a function that takes a lock; *guarded* tells it from a copy that functools.wraps has made."""

    lock: Lock
    func: Callable[..., Any]
    guarded: Callable[..., Any]


def unlocked(func: Callable[..., Any]) -> tuple[Callable[..., Any], str | None]:
    """The function under `@mill.lock` and the lock's name, so that its task has the lock and not its body."""
    mark = getattr(func, _MARK, None)
    if isinstance(mark, _Mark) and mark.guarded is func:
        return mark.func, mark.lock.for_job()
    return func, None


class _Effort:
    """Taking a lock in a thread for somebody who may stop waiting: then it must not stay taken."""

    def __init__(self, holdings: Holdings, name: str, owner: object) -> None:
        self._holdings = holdings
        self._name = name
        self._owner = owner
        self._mutex = threading.Lock()
        self._holding: Holding | None = None
        self._is_given_up = False

    def take(self) -> Holding | None:
        holding = self._holdings.take(self._name, self._owner)
        with self._mutex:
            self._holding = holding
            is_given_up = self._is_given_up
        if holding is not None and is_given_up:
            self._holdings.free(holding)
        return holding

    def give_up(self) -> None:
        with self._mutex:
            self._is_given_up = True
            holding = self._holding
        if holding is not None:
            self._holdings.free(holding)


def _caller() -> object:
    """Who takes a lock: this thread, or the coroutine's task that runs in it."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):  # no loop runs here
            return asyncio.current_task() or threading.get_ident()
    return threading.get_ident()
