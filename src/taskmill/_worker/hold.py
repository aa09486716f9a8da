"""The hold on a job that is a coroutine: it is told to stop where it awaits."""

from __future__ import annotations

import functools
import types
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any

from taskmill._core.job import Claimed
from taskmill._core.limit import OBSTINATE, Limits, Stop, steps_of
from taskmill.errors import SoftTimeout

if TYPE_CHECKING:
    import asyncio


@functools.cache
def _soft_cancellation() -> type[SoftTimeout]:
    """A SoftTimeout that asyncio takes for the cancellation which it is.

    Else a TaskGroup, for one, would pass it on and leave its children running.
    """
    import asyncio  # noqa: PLC0415  (20 ms, which a worker without coroutine tasks need not pay)

    class _SoftCancellation(SoftTimeout, asyncio.CancelledError):
        pass

    # What a traceback calls it is what the task can catch.
    _SoftCancellation.__module__ = SoftTimeout.__module__
    _SoftCancellation.__name__ = _SoftCancellation.__qualname__ = SoftTimeout.__name__
    return _SoftCancellation


class Hold:
    """Belongs to the thread of the event loop; *task* awaits the coroutine. `done`: how that was stopped."""

    __slots__ = ("_is_softly_told", "_timers", "done", "job", "task")

    def __init__(self, job: Claimed, task: asyncio.Task[Any]) -> None:
        self.job = job
        self.task = task
        self.done: Stop | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._is_softly_told = False

    async def limited(self, coroutine: Coroutine[Any, Any, Any], limits: Limits) -> Any:
        """Await *coroutine*, with SoftTimeout in it at its soft limit; at the hard one it is cancelled."""
        loop = self.task.get_loop()
        # The loop's clock is the monotonic one.
        steps = steps_of(limits, loop.time())
        self._timers = [loop.call_at(at, self.stop, stop) for at, stop in steps if stop != "force"]
        return await (coroutine if limits.soft is None else _steered(coroutine, self))

    def let_go(self) -> None:
        """The coroutine is over: it will not be stopped any more."""
        for timer in self._timers:
            timer.cancel()

    def stop(self, stop: Stop) -> None:
        """Stop it for that reason; one that does not let itself be cancelled is cancelled again and again."""
        if stop == "force":
            stop = self.done or "hard"
        self.done = stop
        self.task.cancel()
        if stop in {"hard", "cancel"}:
            self._timers.append(self.task.get_loop().call_later(OBSTINATE, self.stop, "force"))

    def as_told(self, error: BaseException) -> BaseException:
        """What the coroutine gets to see where *error* is raised: of the soft limit, that it is one."""
        # By name: importing asyncio costs 20 ms, which a worker without coroutine tasks need not pay.
        if self.done != "soft" or self._is_softly_told or type(error).__name__ != "CancelledError":
            return error
        self._is_softly_told = True
        self.task.uncancel()
        return _soft_cancellation()()


@types.coroutine
def _steered(coroutine: Coroutine[Any, Any, Any], hold: Hold) -> Generator[Any, Any, Any]:
    """Await *coroutine*, between it and its task."""
    error: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return end.value
        error = None
        try:
            yield awaited
        except BaseException as raised:  # noqa: BLE001  (all of it is passed on)
            error = hold.as_told(raised)
