"""Tasks that are enqueued by the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from taskmill._app import check
from taskmill._app.definition import define
from taskmill._app.task import BaseTask
from taskmill._core.job import NewJob
from taskmill.errors import ConfigurationError, InvalidArguments

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._app.settings import TaskSettings
    from taskmill._core.schedule import Schedule


class Periodic(NamedTuple):
    """A schedule with the task that it enqueues; `name` is the schedule's own."""

    name: str
    schedule: Schedule
    task: BaseTask[..., Any]

    def new_job(self, slot: int) -> NewJob:
        """The job of one slot, due at it."""
        job = self.task.new_job((), {})
        job.run_at = slot + job.delay
        return job


def register(
    app: Application, schedule: Schedule, func: Callable[..., Any], settings: TaskSettings
) -> BaseTask[..., Any]:
    """Let *func*, a function or a task, be enqueued whenever *schedule* says."""
    task = _task_of(app, func, settings)
    name = _name_of(settings) or task.name
    _check_callable(task)
    known = app.periodics.get(name)
    if known is not None and known.task.name != task.name:
        raise ConfigurationError(f"two schedules are called {name!r}: give one of them another name=")
    if known is not None and known.task is task and known.schedule.spec != schedule.spec:
        raise ConfigurationError(f"{task!r} has two schedules: give one of them a name=")
    app.periodics[name] = Periodic(name, schedule, task)
    return task


def _task_of(app: Application, func: Callable[..., Any], settings: TaskSettings) -> BaseTask[..., Any]:
    if not isinstance(func, BaseTask):
        return define(app, func, settings)
    if set(settings) - {"name"}:
        raise ConfigurationError(f"{func!r} is a task already: give its options to @mill.task")
    return func


def _name_of(settings: TaskSettings) -> str | None:
    with check.refused_as(ConfigurationError):
        return check.text_or_none("name", settings.get("name"))


def check_schedule(schedule: Any) -> None:
    """Refuse what is none, such as the function of a decorator that was written without a schedule."""
    if not all(hasattr(schedule, part) for part in ("spec", "next_after")):
        raise ConfigurationError(
            f"{schedule!r} is no schedule: write mill.periodic(cron('*/5 * * * *')) or every(15)"
        )


def _check_callable(task: BaseTask[..., Any]) -> None:
    try:
        task.parameters.check(task.name, (), {})
    except InvalidArguments as error:
        raise ConfigurationError(f"nobody passes arguments to a periodic task: {error}") from None
