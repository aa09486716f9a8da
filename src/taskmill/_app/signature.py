"""Calls as values: to be enqueued later, together, or one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from taskmill._app import within
from taskmill._app.bridge import in_thread
from taskmill._app.result import PipelineResult, Result
from taskmill._core.identity import new_job_id
from taskmill.errors import ConfigurationError, InvalidArguments, InvalidOption

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._app.options import CallOptions
    from taskmill._app.task import BaseTask, Enqueueable
    from taskmill._core.job import NewJob

R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Signature(Generic[R_co]):
    """A call that is not enqueued yet, and not checked yet; made by ``task.s(...)``.

    >>> call = add.s(2, 3)
    >>> call.enqueue().get()
    5
    """

    __slots__ = ("args", "kwargs", "options", "task")

    def __init__(
        self, task: BaseTask[..., R_co], args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
    ) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.options = options

    def enqueue(self) -> Result[R_co]:
        """Store the call as a job, as ``task.enqueue`` does."""
        return self.task.enqueue_call(self.args, self.kwargs, self.options)

    async def aenqueue(self) -> Result[R_co]:
        """As `enqueue`, without blocking the event loop."""
        [result] = await aenqueue_all(self.app, [self])
        return result

    def then(
        self, step: Signature[S] | Pipeline[S] | Enqueueable[..., S], *args: Any, **kwargs: Any
    ) -> Pipeline[S]:
        """A pipeline of this call and *step*, which receives the result of this one as its first argument.

        >>> fetch.s("https://example.org").then(parse, strict=True).then(store).enqueue().get()
        'stored'
        """
        return Pipeline((self, *_steps_of(step, args, kwargs)))

    def __or__(self, step: Signature[S] | Pipeline[S] | Enqueueable[..., S]) -> Pipeline[S]:
        return self.then(step)

    @property
    def app(self) -> Application:
        """Where it would be enqueued."""
        return self.task.app

    @property
    def steps(self) -> tuple[Signature[Any], ...]:
        """It is a pipeline of itself."""
        return (self,)

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"<Signature {self.task.name}({', '.join(given)})>"

    def new_jobs(self) -> list[NewJob]:
        """The jobs that it becomes."""
        return [self.task.new_job(self.args, self.kwargs, self.options)]

    def result(self, job_ids: Iterator[str]) -> Result[R_co]:
        """The handle of the job that is known by the next of these ids."""
        return Result(self.task.app, next(job_ids), self.task.name)


class Pipeline(Generic[R_co]):
    """Calls one after the other, made by ``first.s() | second.s()`` or ``first.s().then(second)``.

    Each step receives the result of the one before as its first positional argument, before its own. All
    steps are stored when the pipeline is enqueued; a step is queued in the transaction that completes the one
    before. Where a step fails or is cancelled, all later ones are cancelled. A `delay` counts from the moment
    the step before has succeeded.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: tuple[Signature[Any], ...]) -> None:
        self.steps = steps

    def enqueue(self) -> PipelineResult[R_co]:
        """Store all steps in one transaction; the result is that of the last one.

        Raises:
            InvalidArguments: a step cannot take its arguments and the result before it.
            InvalidOption: a step has a `key`.
        """
        [result] = enqueue_all(self.app, [self])
        return cast("PipelineResult[R_co]", result)

    async def aenqueue(self) -> PipelineResult[R_co]:
        """As `enqueue`, without blocking the event loop."""
        [result] = await aenqueue_all(self.app, [self])
        return cast("PipelineResult[R_co]", result)

    def then(
        self, step: Signature[S] | Pipeline[S] | Enqueueable[..., S], *args: Any, **kwargs: Any
    ) -> Pipeline[S]:
        """A pipeline with one more *step*."""
        return Pipeline((*self.steps, *_steps_of(step, args, kwargs)))

    def __or__(self, step: Signature[S] | Pipeline[S] | Enqueueable[..., S]) -> Pipeline[S]:
        return self.then(step)

    @property
    def app(self) -> Application:
        """Where it would be enqueued."""
        return self.steps[0].app

    def __repr__(self) -> str:
        return f"<Pipeline {' | '.join(step.task.name for step in self.steps)}>"

    def new_jobs(self) -> list[NewJob]:
        """The jobs that it becomes, in order."""
        pipeline = new_job_id()
        return [self._new_job(pipeline, number, step) for number, step in enumerate(self.steps)]

    def result(self, job_ids: Iterator[str]) -> PipelineResult[R_co]:
        """The handle of its jobs, which are known by the next of these ids."""
        steps = tuple(step.result(job_ids) for step in self.steps)
        return PipelineResult(self.app, steps, self.steps[-1].task.name)

    def _new_job(self, pipeline: str, number: int, step: Signature[Any]) -> NewJob:
        if step.app is not self.app:
            raise ConfigurationError(f"step {number + 1}, {step.task.name}, belongs to another Mill")
        if step.options.fields.get("key") is not None:
            raise InvalidOption(
                f"step {number + 1}, {step.task.name}, has a key: a step is stored with its pipeline, and "
                "cannot stand for a job that is there already"
            )
        job = step.task.new_job(step.args, step.kwargs, step.options, is_given=number > 0)
        job.pipeline, job.step = pipeline, number
        return job


Call: TypeAlias = Signature[Any] | Pipeline[Any]
_CALLS = (Signature, Pipeline)


def enqueue_all(app: Application, calls: Iterable[Call]) -> list[Result[Any]]:
    """Store all *calls* in one transaction; their results in order."""
    calls = list(calls)
    jobs = _jobs_of(app, calls)
    return _results_of(calls, app.submit(jobs, _connection_of(calls)) if jobs else ())


async def aenqueue_all(app: Application, calls: Iterable[Call]) -> list[Result[Any]]:
    """As `enqueue_all`, without blocking the event loop."""
    calls = list(calls)
    connection = _connection_of(calls)
    if connection is None:
        return await in_thread(enqueue_all, app, calls)
    return _results_of(calls, await within.asubmit(app, _jobs_of(app, calls), connection))


def _connection_of(calls: Sequence[Call]) -> Any:
    """The one that they name, which then stores them all; None where none is named."""
    named = {
        id(step.options.connection): step.options.connection
        for call in calls
        for step in getattr(call, "steps", ())
        if step.options.connection is not None
    }
    if len(named) > 1:
        raise InvalidOption(
            "these calls are stored together, and name different connections: let all name one"
        )
    return next(iter(named.values()), None)


def _jobs_of(app: Application, calls: Sequence[Call]) -> list[NewJob]:
    for call in calls:
        if not isinstance(call, _CALLS):
            raise InvalidArguments(f"{call!r} is no call: write enqueue_many(task.s(x) for x in ...)")
        if call.app is not app:
            raise ConfigurationError(f"{call!r} belongs to another Mill")
    return [job for call in calls for job in call.new_jobs()]


def _results_of(calls: Sequence[Call], job_ids: Iterable[str]) -> list[Result[Any]]:
    ids = iter(job_ids)
    return [call.result(ids) for call in calls]


def _steps_of(
    step: Signature[Any] | Pipeline[Any] | Enqueueable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Signature[Any], ...]:
    if not isinstance(step, Signature | Pipeline):
        return (step.s(*args, **kwargs),)
    if args or kwargs:
        raise InvalidArguments("then() takes arguments only with a task; those of a signature are its own")
    return step.steps if isinstance(step, Pipeline) else (step,)
