"""The tasks of one Mill by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from taskmill._core.wording import nearest
from taskmill.errors import ConfigurationError, UnknownTask

if TYPE_CHECKING:
    from taskmill._app.task import BaseTask


class TaskRegistry:
    """What the jobs of a store are called in this program; a task is known by its name and its aliases."""

    def __init__(self) -> None:
        self._tasks: dict[str, BaseTask[..., Any]] = {}

    def add(self, task: BaseTask[..., Any]) -> None:
        """Make *task* known; the same function, defined again by a cell that ran again, takes its place."""
        names = (task.name, *task.options.aliases)
        for name in names:
            known = self._tasks.get(name)
            if known is not None and _origin(known) != _origin(task):
                raise ConfigurationError(
                    f"two tasks are called {name!r}, {_origin(known)} and {_origin(task)}: give one a name="
                )
        self._tasks.update(dict.fromkeys(names, task))

    @property
    def names(self) -> Collection[str]:
        """All names and aliases, those of later tasks too: it is no copy."""
        return self._tasks.keys()

    def find(self, name: str) -> BaseTask[..., Any] | None:
        """The task of that name or alias."""
        return self._tasks.get(name)

    def __getitem__(self, name: str) -> BaseTask[..., Any]:
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTask(name, nearest(name, self._tasks)) from None

    def __iter__(self) -> Iterator[BaseTask[..., Any]]:
        """Each task once, by name."""
        return iter(sorted(set(self._tasks.values()), key=lambda task: task.name))

    def __len__(self) -> int:
        return len(set(self._tasks.values()))


def _origin(task: BaseTask[..., Any]) -> str:
    return f"{task.func.__module__}.{getattr(task.func, '__qualname__', task.name)}"
