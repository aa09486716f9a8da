"""One run of a task's function: whatever happens in it becomes an Outcome."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, NamedTuple

from taskmill._app.application import Application, Wrapper
from taskmill._app.context import Context, Tenure, entered
from taskmill._app.task import BaseTask
from taskmill._core.instant import DAY, duration
from taskmill._core.job import Claimed, ErrorInfo
from taskmill._core.limit import Limits, Stop
from taskmill._core.outcome import (
    CancelAsked,
    Misfit,
    Outcome,
    Raised,
    ResultRefused,
    RetryAsked,
    SnoozeAsked,
    Succeeded,
    Undecodable,
    Unknown,
    stopped,
)
from taskmill._worker.hold import Hold
from taskmill._worker.report import harmless
from taskmill._worker.slot import UNHELD, Slot
from taskmill.errors import Cancel, Interruption, InvalidArguments, Retry, Snooze, TaskSignal

logger = logging.getLogger("taskmill.worker")

LONGEST_TRACEBACK = 32_000
LONGEST_MESSAGE = 8_000
# Further off than anybody means it, and near enough for every calendar.
LONGEST_DELAY = 36_500 * DAY
# Whose frames are left out of tracebacks: those that call tasks. The demo's tasks are in taskmill too.
_CALLERS = ("taskmill._app.", "taskmill._worker.", "taskmill.contrib.", "taskmill.huey.")

AnyTask = BaseTask[Any, Any]


class Call(NamedTuple):
    """A function, ready to be called."""

    task: AnyTask
    context: Context
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Attempts:
    """Runs attempts for one session of one worker; none of them raises, whatever the task and its classes do.

    *tells_start*: signal handlers are told here; else somebody else does it.
    """

    def __init__(self, app: Application, tenure: Tenure, *, tells_start: bool = True) -> None:
        self._app = app
        self._tenure = tenure
        self._tells_start = tells_start

    def run(self, claimed: Claimed, slot: Slot = UNHELD) -> Outcome:
        """Call a plain function in this thread, by *slot* until it is over."""
        # With one level of calls less than would be easy to read: it runs for each job.
        try:
            call = self._prepare(claimed)
            if not isinstance(call, Call):
                return call
            value = None  # also where a wrapper keeps the task's error to itself
            try:
                with self._surroundings(call.context):
                    value = _invoke(call, slot)
            except BaseException as error:  # noqa: BLE001  (SystemExit must not end the worker)
                slot.let_go()
                return _after_error(call, error, slot.stop_of(claimed))
            finally:
                call.context.is_over = True
            return self._after_return(call.task, value)
        except BaseException as error:  # noqa: BLE001  (a slot would be lost, and the job would never end)
            slot.let_go()
            return _unforeseen(claimed, error)

    async def run_async(self, claimed: Claimed, hold: Hold) -> Outcome:
        """Await a coroutine function, by *hold* until it is over."""
        # With few coroutines around the task's own, for the sake of what runs for each job.
        try:
            call = self._prepare(claimed)
            if not isinstance(call, Call):
                return call
            value = None
            try:
                with self._surroundings(call.context):
                    coroutine = call.task.invoke(call.context, call.args, call.kwargs)
                    limits = call.task.limits
                    value = await (coroutine if limits is None else hold.limited(coroutine, limits))
            except BaseException as error:  # noqa: BLE001  (as in run)
                return _after_error(call, error, hold.done)
            finally:
                call.context.is_over = True
            return self._after_return(call.task, value)
        except BaseException as error:  # noqa: BLE001  (as in run)
            return _unforeseen(claimed, error)

    def _prepare(self, claimed: Claimed) -> Call | Outcome:
        task = self._app.tasks.find(claimed.task)
        if task is None:
            return Unknown()
        codec = self._app.codec
        try:
            args, kwargs = codec.decode_call(claimed.args)
            if claimed.given is not None:
                args = (codec.decode(claimed.given), *args)
        except BaseException as error:  # noqa: BLE001  (a class may do anything while an instance is made)
            return Undecodable(info_of(error, with_traceback=False))
        return Call(task, Context(self._app, claimed, self._tenure), args, kwargs)

    def _surroundings(self, context: Context) -> AbstractContextManager[object]:
        """What is around the call: `current_job()`, the event "started", the wrappers of `Mill.wrap`."""
        if self._tells_start and self._app.signals.wants("started"):
            with harmless():
                self._app.tell_claimed("started", context.claimed)
        if not self._app.wrappers:
            return entered(context)
        return _Wrapped(context, self._app.wrappers)

    def _after_return(self, task: AnyTask, value: Any) -> Outcome:
        try:
            return Succeeded(self._app.codec.encode(value, limit=self._app.payload_limit))
        except BaseException as error:  # noqa: BLE001  (a class may do anything while it is read)
            return ResultRefused(info_of(error, f"the result of {task.name}: "))


def _invoke(call: Call, slot: Slot) -> Any:
    """Call the function; only while that lasts, its job may be stopped."""
    task, context, args, kwargs = call
    try:
        slot.job = context.claimed
        if task.limits is not None:
            slot.expect(task.limits)
        value = task.invoke(context, args, kwargs)
        slot.job = None
        if slot.is_touched:
            slot.let_go()
    except BaseException:
        # Also where an interruption came so late that it hit the lines above.
        slot.let_go()
        raise
    return value


class _Wrapped:
    """Enters the wrappers when the call begins, so that an error in one is an error of the attempt."""

    def __init__(self, context: Context, wrappers: list[Wrapper]) -> None:
        self._context = context
        self._wrappers = wrappers
        self._stack = ExitStack()

    def __enter__(self) -> None:
        try:
            self._stack.enter_context(entered(self._context))
            for wrapper in self._wrappers:
                self._stack.enter_context(wrapper(self._context))
        except BaseException:
            # Those around it may handle the error, but without it the task cannot be called.
            self._stack.__exit__(*sys.exc_info())
            raise

    def __exit__(self, *error: Any) -> bool | None:  # noqa: PYI036  (as it came, to the stack)
        return self._stack.__exit__(*error)


def _after_error(call: Call, error: BaseException, stop: Stop | None) -> Outcome:
    if stop is not None and _is_due_to(error, stop):
        return stopped(stop, call.task.limits or Limits(), info_of(error).traceback)
    if isinstance(error, TypeError) and (problem := _misfit(call)):
        return Misfit(ErrorInfo("taskmill.errors.InvalidArguments", problem))
    return _outcome_of(call.task, error)


def _is_due_to(error: BaseException, stop: Stop) -> bool:
    """Whether *error* is how the attempt was stopped, and not how the task deals with that."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_due_to(part, stop) for part in error.exceptions)
    # By name: importing asyncio costs 20 ms, which a worker without coroutine tasks need not pay.
    is_interruption = isinstance(error, Interruption) or type(error).__name__ == "CancelledError"
    # Of a job that is cancelled, nobody wants to know how else it failed.
    return is_interruption or (stop == "cancel" and not isinstance(error, TaskSignal))


def _misfit(call: Call) -> str:
    """Why the function cannot be called so; asked afterwards, so that right calls need not be checked twice."""
    try:
        call.task.parameters.check(call.task.name, call.args, call.kwargs)
    except InvalidArguments as error:
        return (
            f"{error}; another version of the program enqueued it: once one runs here that takes these arguments, "
            f"`taskmill jobs retry {call.context.claimed.job_id}` runs it"
        )
    return ""


def _outcome_of(task: AnyTask, error: BaseException) -> Outcome:
    match error:
        case Retry():
            return RetryAsked(info_of(error), _delay_of(error))
        case Snooze():
            delay = _delay_of(error)
            # Without a delay it would come back at once, for ever: that is an error, which uses up attempts.
            return Raised(info_of(error, "no delay to snooze for: ")) if delay is None else SnoozeAsked(delay)
        case Cancel():
            return CancelAsked(info_of(error, with_traceback=False))
        case _:
            return Raised(info_of(error), task.is_retriable(error))


def _unforeseen(claimed: Claimed, error: BaseException) -> Outcome:
    logger.error("%s %s: the attempt failed beside its task", claimed.task, claimed.job_id, exc_info=error)
    return Raised(ErrorInfo(type(error).__name__, "the attempt failed beside its task; see the worker's log"))


def _delay_of(error: Retry | Snooze) -> int | None:
    """In microseconds; None for none and for a wrong one: the way out of a task must not cost the job."""
    # A subclass may not have called __init__.
    delay: float | timedelta | None = getattr(error, "delay", None)
    try:
        return None if delay is None else min(duration(delay), LONGEST_DELAY)
    except (ValueError, TypeError, OverflowError):
        return None


def info_of(error: BaseException, prefix: str = "", *, with_traceback: bool = True) -> ErrorInfo:
    """The error as text that every store can hold."""
    try:
        message = str(error)
    except BaseException:  # noqa: BLE001  (a broken __str__ of somebody's exception)
        message = f"<{type(error).__name__} without a readable message>"
    return ErrorInfo(
        _storable(_qualified_name(type(error))),
        _storable(_beginning(prefix + message, LONGEST_MESSAGE)),
        _storable(_ending(_traceback(error), LONGEST_TRACEBACK)) if with_traceback else "",
    )


def _qualified_name(error: type[BaseException]) -> str:
    module = error.__module__
    return error.__qualname__ if module == "builtins" else f"{module}.{error.__qualname__}"


def frames_of(error: BaseException) -> TracebackType | None:
    """From the task's function on: how the worker came to call it says nothing about the error."""
    frames = error.__traceback__
    while frames is not None and str(frames.tb_frame.f_globals.get("__name__")).startswith(_CALLERS):
        frames = frames.tb_next
    return frames


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, frames_of(error)))
    except BaseException:  # noqa: BLE001  (formatting calls the exception's own code)
        return ""


def _beginning(text: str, longest: int) -> str:
    return (
        text
        if len(text) <= longest
        else f"{text[:longest]} [... {len(text) - longest:,} characters left out]"
    )


def _ending(text: str, longest: int) -> str:
    """The end of a traceback says most."""
    return (
        text
        if len(text) <= longest
        else f"[... {len(text) - longest:,} characters left out]\n{_whole_lines(text[-longest:])}"
    )


def _whole_lines(text: str) -> str:
    """Without the first one, of which the beginning is missing: nobody could tell a secret by what is left of it."""
    return text.partition("\n")[2] or text


def _storable(text: str) -> str:
    """Without what UTF-8 or a database cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
