"""A call as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from taskmill._core.identity import new_job_id
from taskmill.huey.moment import Delay

if TYPE_CHECKING:
    from taskmill.huey.wrapper import TaskWrapper

AFTER = "huey.after"
"""A header of the job: it is a later step of a pipeline; the id of the step before."""
ETA = "huey.eta"
"""A header of the job: it was enqueued to run later; when."""


@dataclass(slots=True, kw_only=True, eq=False)
class Task:
    """One call of a task's function: what `TaskWrapper.s` makes and what signal receivers are given.

    `name` is the function's own; `retries` are those that are left; `eta` has no time zone, it is UTC, or local
    time with ``utc=False``. `wrapper` is None where this process does not know the function.
    """

    name: str
    id: str = field(default_factory=new_job_id)
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    eta: datetime | None = None
    retries: int = 0
    priority: int | None = None
    expires: Delay | datetime | None = None
    on_complete: Task | None = None
    wrapper: TaskWrapper | None = None
    is_enqueued: bool = False

    @property
    def steps(self) -> list[Task]:
        """This call and those that follow it."""
        return [self, *(self.on_complete.steps if self.on_complete else ())]

    def then(self, task: Task | TaskWrapper, *args: Any, **kwargs: Any) -> Self:
        """Let *task* come after the last step, and take the result of that; see `extend`."""
        step = task if isinstance(task, Task) else task.s(*args, **kwargs)
        if step is task:
            step.args += args
            step.kwargs = {**kwargs, **step.kwargs}
        self.steps[-1].on_complete = step
        return self

    def extend(self, result: Any) -> None:
        """Take the result of the step before after the other arguments: a tuple as several, a dict by keyword.

        None and an empty tuple add nothing; a keyword that was given stays.
        """
        if isinstance(result, dict):
            self.kwargs = {**result, **self.kwargs}
        elif result is not None:
            self.args += result if isinstance(result, tuple) else (result,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        eta = f" @{self.eta}" if self.eta else ""
        follows = f" -> {self.on_complete!r}" if self.on_complete else ""
        return f"{self.name}: {self.id}{eta}{follows}"
