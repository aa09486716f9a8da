"""A function that can be enqueued."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, cast

from taskmill._app.bridge import in_thread
from taskmill._app.context import Context, entered_or_local
from taskmill._app.options import PLAIN, CallOptions, TaskOptions
from taskmill._app.parameters import Parameters
from taskmill._app.result import Result
from taskmill._app.signature import Signature
from taskmill._core.identity import new_job_id
from taskmill._core.job import NewJob, OwnExecutor
from taskmill.errors import ConfigurationError

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._app.settings import CallSettings

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Enqueueable(ABC, Generic[P, R_co]):
    """What a task and a task with options (`using`) have in common: the ways to enqueue."""

    @property
    @abstractmethod
    def _call(self) -> tuple[BaseTask[P, R_co], CallOptions]:
        """The task, and what its calls say beside their arguments."""

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Result[R_co]:
        """Store a call as a job.

        When this returns, the job is on disk, and a worker will run it, at least once.

        Raises:
            InvalidArguments: the function could not be called so.
            Unserializable: an argument has no lossless text form; names the path to it.
            PayloadTooLarge: the arguments are above the limit, 1 MB by default.
            StoreBusy, StoreUnavailable: nothing was stored.

        >>> add.enqueue(2, 3).get()
        5
        """
        task, options = self._call
        return task.enqueue_call(args, kwargs, options)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Result[R_co]:
        """As `enqueue`, without blocking the event loop."""
        task, options = self._call
        if options.connection is not None:
            return await self.s(*args, **kwargs).aenqueue()
        return await in_thread(task.enqueue_call, args, kwargs, options)

    def s(self, /, *args: Any, **kwargs: Any) -> Signature[R_co]:
        """The call as a value, for pipelines and `Mill.enqueue_many`; checked when it is enqueued.

        >>> results = mill.enqueue_many(add.s(n, n) for n in range(100))
        """
        task, options = self._call
        return Signature(task, args, kwargs, options)

    def map(self, items: Iterable[Any]) -> list[Result[R_co]]:
        """Enqueue one call for each item, in one transaction; the item is its only argument, a tuple too.

        >>> [result.get() for result in double.map([1, 2, 3])]
        [2, 4, 6]
        """
        task, options = self._call
        return task.enqueue_each(items, options)

    def using(self, /, **settings: Unpack[CallSettings]) -> BoundTask[P, R_co]:
        """The same task with options for the calls that are made through it; InvalidOption if one is wrong.

        - `delay`: seconds or timedelta, from the moment the store takes the job; or `run_at`: an aware
          datetime, in the past means now. A job never starts early.
        - `expires`: seconds or timedelta from now, or an aware datetime: not started by then, it is
          cancelled.
        - `queue`, `priority`, `retries`, `lock`, `result_ttl`: instead of the task's own.
        - `key`: while a job of this task with this key is in the store, in whatever state, the call is not
          stored again: `enqueue` returns the handle of the one that is there.
        - `tags`, `headers`: texts that travel with the job, for people and for `Context.headers`.
        - `connection`: a connection (or session) of the program's own to the database that holds the store. Its open
          transaction takes the job in, so that the job exists if and only if that is committed, which is the caller's.
          One of sqlite3, psycopg, SQLAlchemy or Django; async ones with `aenqueue`. CannotJoin if it cannot be.

        >>> result = report.using(delay=30, priority=5, key="2026-01-31").enqueue()
        """
        task, options = self._call
        return BoundTask(task, options.also(CallOptions.of(settings)))


class BaseTask(Enqueueable[P, R_co]):
    """What `Task` and `CoroutineTask` have in common; made by `Mill.task`.

    - `name`: what its jobs are stored under; `options`: as given where it was defined.
    - `func`: the function itself.
    - `context_parameter`: the parameter that is filled in with the Context, if it has one.
    - `executor`, `retry_policy`, `limits`: what a worker has to know.
    """

    __name__: str
    __qualname__: str
    is_coroutine = False

    def __init__(
        self,
        app: Application,
        name: str,
        func: Callable[..., Any],
        parameters: Parameters,
        options: TaskOptions,
    ) -> None:
        functools.update_wrapper(self, func)
        self.app = app
        self.name = name
        self.func = func
        self.parameters = parameters
        self.context_parameter = parameters.context
        self._take(options)

    def _take(self, options: TaskOptions) -> None:
        self.options = options
        self.retry_policy = options.retry_policy()
        self.limits = options.limits()
        self.executor: OwnExecutor = options.executor or ("asyncio" if self.is_coroutine else "thread")
        self._fields = options.job_fields(self.name, self.executor)

    def require_lock(self, lock: str) -> None:
        """Let its jobs run one at a time under *lock*, as with the option."""
        if self.options.lock not in {None, lock}:
            raise ConfigurationError(
                f"task {self.name} has two locks, {self.options.lock!r} and {lock!r}: it can take one"
            )
        self._take(self.options._replace(lock=lock))

    @property
    def _call(self) -> tuple[BaseTask[P, R_co], CallOptions]:
        return self, PLAIN

    @abstractmethod
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function here."""

    def is_retriable(self, error: BaseException) -> bool:
        """The verdict of `retry_on` and `no_retry_on`."""
        return isinstance(error, self.options.retry_on) and not isinstance(error, self.options.no_retry_on)

    def invoke(self, context: Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function itself, with *context* where it wants one; of an ``async def``, the coroutine."""
        if self.context_parameter is not None:
            args, kwargs = self.parameters.with_context(context, args, kwargs)
        return self.func(*args, **kwargs)

    def new_job(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: CallOptions = PLAIN,
        *,
        is_given: bool = False,
    ) -> NewJob:
        """The job of a call, checked and encoded; with *is_given*, one more argument will come first."""
        self.parameters.check(self.name, args, kwargs, is_given=is_given)
        app = self.app
        text = app.codec.encode_call(args, kwargs, limit=app.payload_limit)
        if options is PLAIN:
            return NewJob(job_id=new_job_id(), args=text, **self._fields)
        job = NewJob(job_id=new_job_id(), args=text, **(self._fields | options.fields))
        if options.expires_at is not None:
            job.expires_in = max(0, options.expires_at - app.storage.now())
        return job

    def enqueue_call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions = PLAIN
    ) -> Result[R_co]:
        """Store one call."""
        [job_id] = self.app.submit([self.new_job(args, kwargs, options)], options.connection)
        return Result(self.app, job_id, self.name)

    def enqueue_each(self, items: Iterable[Any], options: CallOptions = PLAIN) -> list[Result[R_co]]:
        """Store one call for each item, in one transaction."""
        jobs = [self.new_job((item,), {}, options) for item in items]
        job_ids = self.app.submit(jobs, options.connection) if jobs else ()
        return [Result(self.app, job_id, self.name) for job_id in job_ids]

    def _surroundings(self) -> AbstractContextManager[Context]:
        return entered_or_local(self.app, self.name, self.options.retries + 1)

    def __reduce__(self) -> str:
        # A task is pickled, as a function is, by the name under which its module has it.
        return str(self.func.__qualname__)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Task(BaseTask[P, R_co]):
    """A ``def`` that can be enqueued; calling it runs it here and now, as the function that it is."""

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here; outside of a job, its context has the id "local"."""
        with self._surroundings() as context:
            return cast(R_co, self.invoke(context, args, kwargs))


class CoroutineTask(BaseTask[P, R_co]):
    """An ``async def`` that can be enqueued; calling it makes its coroutine, to be awaited here."""

    is_coroutine = True

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here; outside of a job, its context has the id "local"."""
        with self._surroundings() as context:
            return cast(R_co, await self.invoke(context, args, kwargs))


class BoundTask(Enqueueable[P, R_co]):
    """A task with options for the calls that are made through it; made by ``task.using(...)``."""

    def __init__(self, task: BaseTask[P, R_co], options: CallOptions) -> None:
        self._task = task
        self._options = options

    @property
    def _call(self) -> tuple[BaseTask[P, R_co], CallOptions]:
        return self._task, self._options

    def __repr__(self) -> str:
        return f"<BoundTask {self._task.name} {self._options.fields}>"
