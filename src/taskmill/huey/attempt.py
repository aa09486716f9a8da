"""What Huey does around one run of a task's function, inside of an attempt of the engine."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from taskmill import Cancel, Context, Retry, Snooze, current_job
from taskmill.errors import TaskSignal
from taskmill.huey import moment
from taskmill.huey.exceptions import CancelExecution, RetryTask
from taskmill.huey.task import AFTER, ETA, Task

if TYPE_CHECKING:
    from taskmill.huey.wrapper import TaskWrapper

_ANY_CALL = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)

logger = logging.getLogger("huey")


def runner(wrapper: TaskWrapper) -> Callable[..., Any]:
    """The function that the engine knows as the task."""

    def run(*args: Any, **kwargs: Any) -> Any:
        job = current_job()
        task = _task(wrapper, job, args, kwargs)
        teller = wrapper.huey.teller
        teller.begins(task, is_requeued=_was_scheduled(wrapper, job, task))
        try:
            return _call(wrapper, task)
        except Exception as error:
            wish = _wish(wrapper, job, error)
            delay = wish.delay if isinstance(wish, Snooze) else wrapper.settings.retry_delay
            teller.raised(task, error, is_delayed=bool(delay))
            if wish is None or wish is error:
                raise
            raise wish from error

    functools.update_wrapper(run, wrapper.func)
    # Huey does not check the arguments of a call, and what a later step is given is not known before it runs.
    vars(run)["__signature__"] = _ANY_CALL
    return run


def _task(wrapper: TaskWrapper, job: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task:
    task = Task(
        name=wrapper.name,
        id=job.id,
        args=args,
        kwargs=kwargs,
        eta=moment.eta_of(_moment(job.headers.get(ETA)), None, utc=wrapper.huey.utc),
        retries=job.max_attempts - job.attempt,
        wrapper=wrapper,
    )
    if AFTER in job.headers:
        # The engine puts the result of the step before first, Huey last.
        result, *own = args
        task.args = tuple(own)
        task.extend(result)
    return task


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _was_scheduled(wrapper: TaskWrapper, job: Context, task: Task) -> bool:
    """Whether the job waited for its time: then Huey would have enqueued it once more."""
    if job.attempt > 1:
        return wrapper.settings.retry_delay > 0
    # Before its time it runs only if it was revoked and then retried by hand, which is told.
    return task.eta is not None and moment.ahead(task.eta, utc=wrapper.huey.utc) is None


def _call(wrapper: TaskWrapper, task: Task) -> Any:
    logger.info("Executing %r", task)
    kwargs = {**task.kwargs, "task": task} if wrapper.settings.context else task.kwargs
    begun = time.perf_counter()
    value = wrapper.func(*task.args, **kwargs)
    logger.info("%r executed in %.3fs", task, time.perf_counter() - begun)
    return value


def _wish(wrapper: TaskWrapper, job: Context, error: Exception) -> TaskSignal | None:
    """What *error* asks of the engine, if it asks for something."""
    match error:
        case TaskSignal():
            return error
        case RetryTask():
            return Snooze(_delay(wrapper, error))
        case CancelExecution() if error.retry is not False and job.attempt < job.max_attempts:
            return Retry(repr(error))
        case CancelExecution() if error.retry:
            # Huey grants one more retry, however often it is asked for.
            return Snooze(wrapper.settings.retry_delay)
        case CancelExecution():
            return Cancel(repr(error))
    return None


def _delay(wrapper: TaskWrapper, error: RetryTask) -> float:
    if error.delay is not None:
        return moment.seconds(error.delay)
    if error.eta is not None:
        return moment.seconds(error.eta.astimezone(UTC) - datetime.now(UTC))
    return wrapper.settings.retry_delay
