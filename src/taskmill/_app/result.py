"""The handle of an enqueued job."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from taskmill._app import check, steering
from taskmill._app.bridge import in_thread
from taskmill._app.check import Duration
from taskmill._app.context import is_driving, job_in_progress
from taskmill._app.patience import pauses
from taskmill._core.instant import SECOND
from taskmill._core.job import ErrorInfo, Reason, State
from taskmill.errors import (
    JobCancelled,
    JobExpired,
    JobFailed,
    ResultNotKept,
    ResultTimeout,
    StoreBusy,
    StoreError,
    StoreUnavailable,
    WouldDeadlock,
)

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._core.record import Job
    from taskmill._core.remark import LogLine, Progress
    from taskmill._storage.base import Outcome

R_co = TypeVar("R_co", covariant=True)

# Seconds until a coroutine looks again where the store was in trouble.
_AGAIN = 0.2


class Result(Generic[R_co]):
    """The handle of one job; `id` is enough to make another one anywhere: ``mill.result(id)``.

    Reading does not consume: a result can be read by anyone, any number of times, until its `result_ttl` is
    over.

    >>> result = add.enqueue(2, 3)
    >>> result.get(timeout=5)
    5
    """

    __slots__ = ("_app", "_ending", "_task", "id")

    def __init__(self, app: Application, job_id: str, task: str = "") -> None:
        self._app = app
        self._ending: Outcome | None = None
        self._task = task
        self.id = job_id

    def get(self, timeout: Duration | None = None, *, inside_task: bool = False) -> R_co:
        """Wait until the job has ended and return what its function returned; None is a value like any other.

        Waits at most *timeout* seconds (None: as long as it takes; 0: not at all). It is the final outcome
        that counts: a failed attempt that will be repeated has not ended the job. The process that
        has the result wakes the caller. A store that is away or busy is waited for as well: within *timeout* it is
        asked again and again, which is in the log once; without one, where it has answered before.

        Raises:
            JobFailed: the last attempt failed; carries its error and traceback as text.
            JobCancelled: it was revoked, or a step before it did not succeed; JobExpired: not started in
            time. ResultTimeout: it has not ended yet; it goes on.
            ResultNotKept: the store does not hold it (any more).
            StoreUnavailable, StoreBusy: so it was at the last look within *timeout*, or StoreUnavailable at the first
                of all without one; other errors of the store come at once.
            WouldDeadlock: the caller is a task itself, and the job may need the slot that it occupies;
                *inside_task* waits nevertheless.
            ValueError: *timeout* is no duration.
        """
        ending = self._ending or self._await_end(_seconds(timeout), inside_task=inside_task)
        return self._value(ending)

    async def aget(
        self,
        timeout: Duration | None = None,  # noqa: ASYNC109  (as that of `get`, and in the same error)
        *,
        inside_task: bool = False,
    ) -> R_co:
        """As `get`, without blocking the event loop; ``await result`` is short for it."""
        ending = self._ending or await self._await_end_in_loop(_seconds(timeout), inside_task=inside_task)
        return self._value(ending)

    def __await__(self) -> Generator[Any, None, R_co]:
        return self.aget().__await__()

    @property
    def state(self) -> State:
        """Where the job is now, read from the store; ResultNotKept if that does not hold it."""
        return (self._ending or self._look()).state

    def job(self) -> Job:
        """Everything that is known of the job, with its attempts; ResultNotKept if there is no such job."""
        job = self._app.storage.inspection.job(self.id)
        if job is None:
            raise ResultNotKept(self.id)
        return job

    def progress(self) -> Progress | None:
        """How far the job last said that it is, with `Context.progress`; None if the attempt has said nothing.

        It is that of the attempt that runs, or ended the job: one that waits to be tried again has none. It is told
        within a second. ResultNotKept if there is no such job.
        """
        return self.job().progress

    async def aprogress(self) -> Progress | None:
        """As `progress`, without blocking the event loop."""
        return await in_thread(self.progress)

    def logs(self, attempt: int | None = None) -> list[LogLine]:
        """What the job has logged with `logging`, oldest line first; of one *attempt*, or of all that are kept.

        What was logged is there within a second, and all of it once the job has ended. Of one attempt some 64 kB are
        kept, the first lines and the newest; where lines were left out, one says how many. Attempts that were handed
        back (their worker died, or the task snoozed) have the number of the next one; of all, the last ten are kept.
        ResultNotKept if there is no such job.
        """
        from taskmill._core.journal import lines_of  # noqa: PLC0415  (json, which must not be found too early)

        sheets = self._app.storage.journals.read(self.id)
        if not sheets:
            self._look()
        return list(lines_of(sheets, attempt))

    async def alogs(self, attempt: int | None = None) -> list[LogLine]:
        """As `logs`, without blocking the event loop."""
        return await in_thread(self.logs, attempt)

    def cancel(self) -> bool:
        """Cancel the job with the later steps of its pipeline; where it runs, it is stopped within some 0.2 s.

        How a running one is stopped, CancelRequested says; `Context.cancel_requested` is set for it at once. It is
        not retried, whatever it does.

        True: it will not run, or it runs for the last time. False: it has ended already.
        """
        return steering.cancel(self._app, self.id)

    def __repr__(self) -> str:
        return f"<Result {self._task} {self.id}>" if self._task else f"<Result {self.id}>"

    def _repr_html_(self) -> str:
        from taskmill._app import notebook  # noqa: PLC0415  (only notebooks ask)

        return notebook.of_result(self._app, self.id, self._task)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def _await_end(self, timeout: float | None, *, inside_task: bool) -> Outcome:
        woken = threading.Event()
        # First the bell, then the look: an end between the two is not missed.
        forget = self._app.storage.wake.on_end(self.id, woken.set)
        try:
            seen = self._look_again(None, timeout, inside_task=inside_task)
            for pause in pauses(timeout, self._app.storage.wake.patience):
                if _is_final(seen):
                    break
                woken.wait(pause)
                seen = self._look_again(seen, timeout, inside_task=inside_task)
        finally:
            forget()
        return self._final(seen, timeout)

    async def _await_end_in_loop(self, seconds: float | None, *, inside_task: bool) -> Outcome:
        import asyncio  # noqa: PLC0415  (40 ms, for programs that have it already)

        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def ring() -> None:
            with suppress(RuntimeError):  # the loop was closed in the meantime
                loop.call_soon_threadsafe(woken.set)

        forget = self._app.watch.add(self.id, ring)
        try:
            seen = await in_thread(self._look_again, None, seconds, inside_task=inside_task)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not _is_final(seen):
                        # Who watches rings when the job has ended, not when trouble is over.
                        with suppress(TimeoutError):
                            async with asyncio.timeout(_AGAIN if isinstance(seen, StoreError) else None):
                                await woken.wait()
                        woken.clear()
                        seen = await in_thread(self._look_again, seen, seconds, inside_task=inside_task)
        finally:
            forget()
        return self._final(seen, seconds)

    def _look(self) -> Outcome:
        seen = self._app.storage.inspection.outcome(self.id)
        if seen is None:
            raise ResultNotKept(self.id)
        if seen.state.is_final:
            self._ending = seen
        return seen

    def _look_again(
        self, before: Outcome | StoreError | None, timeout: float | None, *, inside_task: bool
    ) -> Outcome | StoreError:
        """As `_look` for who waits; the error, after *before*, where another look may find the store well again."""
        try:
            seen = self._look()
        except (StoreBusy, StoreUnavailable) as error:
            # Without end only for one that has answered: else it may be the URL that is wrong.
            is_new = timeout is None and before is None and isinstance(error, StoreUnavailable)
            if timeout == 0 or is_new:
                raise
            if not isinstance(before, StoreError):
                _log_trouble(error, self.id)
            return error
        self._check_waiting(seen, timeout, inside_task=inside_task)
        return seen

    def _check_waiting(self, seen: Outcome, timeout: float | None, *, inside_task: bool) -> None:
        if inside_task or timeout == 0 or seen.state.is_final:
            return
        if job_in_progress() or is_driving.get():
            raise WouldDeadlock

    def _final(self, seen: Outcome | StoreError, timeout: float | None) -> Outcome:
        if isinstance(seen, StoreError):
            raise seen
        if not seen.state.is_final:
            raise ResultTimeout(self.id, timeout or 0, seen.state)
        return seen

    def _value(self, ending: Outcome) -> R_co:
        match ending.state:
            case State.SUCCEEDED if ending.result is not None:
                return cast(R_co, self._app.codec.decode(ending.result))
            case State.FAILED:
                error = ending.error or ErrorInfo("Error", "no details were kept")
                raise JobFailed(self.id, ending.task, ending.reason or Reason.ERROR, error)
            case State.CANCELLED:
                kind = JobExpired if ending.reason == Reason.EXPIRED else JobCancelled
                detail = ending.error.message if ending.error else ""
                raise kind(self.id, ending.task, ending.reason or Reason.REVOKED, detail)
            case _:
                raise ResultNotKept(self.id)


class PipelineResult(Result[R_co]):
    """The handle of a pipeline: the result of its last step, and each of its `steps`."""

    __slots__ = ("steps",)

    def __init__(self, app: Application, steps: tuple[Result[Any], ...], task: str) -> None:
        super().__init__(app, steps[-1].id, task)
        self.steps = steps

    def cancel(self) -> bool:
        """Cancel every step that has not ended; False if all have."""
        # From the first on, so that none becomes ready to run meanwhile.
        answers = [step.cancel() for step in self.steps]
        return any(answers)

    def _repr_html_(self) -> str:
        from taskmill._app import notebook  # noqa: PLC0415  (only notebooks ask)

        return notebook.of_pipeline(self._app, [step.id for step in self.steps], self._task)


def _log_trouble(error: StoreError, job_id: str) -> None:
    import logging  # noqa: PLC0415  (7 ms of the import, and seldom needed)

    logging.getLogger("taskmill.result").warning(
        "%s; the result of job %s is waited for all the same", error, job_id
    )


def _is_final(seen: Outcome | StoreError) -> bool:
    return not isinstance(seen, StoreError) and seen.state.is_final


def _seconds(timeout: Duration | None) -> float | None:
    return None if timeout is None else check.micros("timeout", timeout) / SECOND
