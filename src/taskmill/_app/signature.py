"""Calls as values: to be enqueued later, together, or one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeAlias, TypeVar, cast

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

    def result(self, job_ids: list[str]) -> Result[R_co]:
        """The handle of these jobs."""
        return Result(self.app, job_ids[0], self.task.name)


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

    def result(self, job_ids: list[str]) -> PipelineResult[R_co]:
        """The handle of these jobs."""
        steps = tuple(step.result([job_id]) for step, job_id in zip(self.steps, job_ids, strict=True))
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


class _Batch(NamedTuple):
    """Calls that are stored together, and the jobs of each."""

    calls: Sequence[Call]
    groups: Sequence[list[NewJob]]

    @classmethod
    def of(cls, app: Application, calls: Sequence[Call]) -> Self:
        return cls(calls, [_jobs_of(app, call) for call in calls])

    @property
    def jobs(self) -> list[NewJob]:
        return [job for group in self.groups for job in group]

    def results(self, job_ids: Sequence[str]) -> list[Result[Any]]:
        """The handle of each call."""
        ids = iter(job_ids)
        return [
            call.result([next(ids) for _ in group])
            for call, group in zip(self.calls, self.groups, strict=True)
        ]


def enqueue_all(app: Application, calls: Iterable[Call]) -> list[Result[Any]]:
    """Store all *calls* in one transaction; their results in order."""
    batch = _Batch.of(app, list(calls))
    jobs = batch.jobs
    return batch.results(app.submit(jobs, _connection_of(batch.calls)) if jobs else ())


async def aenqueue_all(app: Application, calls: Iterable[Call]) -> list[Result[Any]]:
    """As `enqueue_all`, without blocking the event loop."""
    calls = list(calls)
    connection = _connection_of(calls)
    if connection is None:
        return await in_thread(enqueue_all, app, calls)
    batch = _Batch.of(app, calls)
    return batch.results(await within.asubmit(app, batch.jobs, connection))


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


def _jobs_of(app: Application, call: Call) -> list[NewJob]:
    if not isinstance(call, Signature | Pipeline):
        raise InvalidArguments(f"{call!r} is no call: write enqueue_many(task.s(x) for x in ...)")
    if call.app is not app:
        raise ConfigurationError(f"{call!r} belongs to another Mill")
    return call.new_jobs()


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
