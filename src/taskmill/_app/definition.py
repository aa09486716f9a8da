"""How a function becomes a task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from taskmill._app.context import Context
from taskmill._app.lock import unlocked
from taskmill._app.options import TaskOptions
from taskmill._app.parameters import Parameters, annotations_of
from taskmill._app.task import BaseTask, CoroutineTask, Task
from taskmill._core.job import OwnExecutor
from taskmill._core.naming import MAIN, SCRIPTS, module_name
from taskmill.errors import ConfigurationError

if TYPE_CHECKING:
    from taskmill._app.application import Application
    from taskmill._app.settings import TaskSettings

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=BaseTask[..., Any])

Make = Callable[[Callable[..., Any], "TaskSettings"], BaseTask[..., Any]]

_LOCALS = "<locals>."


class Anything:
    """Stands for an argument of any type: only a parameter without annotation, or object, takes it."""


class Unsaid:
    """Stands for a result of unknown type: only a function without annotation, or Any, returns it."""


class TaskMaker:
    """Makes tasks of functions, with exact types; what `Mill.task` and `Mill.periodic(...)` are.

    Type checkers take the first description that fits. What is not annotated fits all of them, so those for
    Anything and Unsaid come first: such a function is accepted unchecked, instead of being taken for
    something else. A first parameter that is annotated with Context is left out, since no caller passes it.
    """

    def __init__(self, make: Make, settings: TaskSettings | None = None) -> None:
        self._make = make
        self._settings = settings

    @overload
    def __call__(self, task: T, /) -> T: ...
    @overload
    def __call__(self, func: Callable[Concatenate[Anything, ...], Unsaid], /) -> Task[..., Any]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[Anything, ...], Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[..., R]: ...
    @overload
    def __call__(self, func: Callable[Concatenate[Anything, ...], R], /) -> Task[..., R]: ...
    @overload
    def __call__(self, func: Callable[Concatenate[Context, P], Unsaid], /) -> Task[P, Any]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, func: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, Unsaid], /) -> Task[P, Any]: ...
    @overload
    def __call__(self, func: Callable[P, Coroutine[Any, Any, R]], /) -> CoroutineTask[P, R]: ...
    @overload
    def __call__(self, func: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, /, **settings: Unpack[TaskSettings]) -> TaskMaker: ...

    def __call__(self, func: Callable[..., Any] | None = None, /, **settings: Unpack[TaskSettings]) -> Any:
        """Make a task of *func*, or remember options for the function that follows."""
        if func is None and self._settings is None:
            return TaskMaker(self._make, settings)
        if func is None or settings:
            raise ConfigurationError(
                "give all options at once, above the function: @mill.task(retries=3, queue='mail')"
            )
        return self._make(func, self._settings or {})


def define(app: Application, func: Callable[..., Any], settings: TaskSettings) -> BaseTask[..., Any]:
    """Make a task of *func* and make it known; ConfigurationError says why it cannot be one."""
    func, lock = unlocked(func)
    options = TaskOptions.of(settings)
    _check(func)
    is_coroutine = inspect.iscoroutinefunction(func)
    _check_executor(func, options.executor, is_coroutine=is_coroutine)
    kind: type[CoroutineTask[..., Any] | Task[..., Any]] = CoroutineTask if is_coroutine else Task
    parameters = Parameters(func, annotations_of(func))
    task = kind(app, options.name or default_name(func), func, parameters, options)
    if lock is not None:
        task.require_lock(lock)
    app.define(task)
    return task


def default_name(func: Callable[..., Any]) -> str:
    """The module and the function; the same in the script that is run and where it is imported."""
    name = getattr(func, "__qualname__", "").replace(_LOCALS, "")
    if not name or "<lambda>" in name:
        raise ConfigurationError(f"{func!r} has no name of its own: give it one, mill.task(name=...)")
    module = module_name(func.__module__ or "")
    return name if module in {"", MAIN} else f"{module}.{name}"


def _check(func: Callable[..., Any]) -> None:
    if isinstance(func, BaseTask):
        raise ConfigurationError(f"{func!r} is a task already")
    if isinstance(func, staticmethod | classmethod) or not callable(func):
        raise ConfigurationError(f"{func!r} cannot be a task: put @mill.task right above a function")
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise ConfigurationError(
            f"{func.__qualname__} is a generator function, which does nothing when called: return a list"
        )
    if _is_method(func):
        raise ConfigurationError(
            f"{func.__qualname__} is a method, and a job has no object to call it on: make it a function, or a"
            " staticmethod (above @mill.task)"
        )


def _is_method(func: Callable[..., Any]) -> bool:
    owner = getattr(func, "__qualname__", "").rpartition(".")[0]
    code = getattr(func, "__code__", None)
    first = code.co_varnames[:1] if code is not None and code.co_argcount else ()
    return bool(owner) and not owner.endswith("<locals>") and first in {("self",), ("cls",)}


def _check_executor(func: Callable[..., Any], executor: OwnExecutor | None, *, is_coroutine: bool) -> None:
    if is_coroutine and executor not in {None, "asyncio"}:
        raise ConfigurationError(f"{func!r} is an async def: its executor is 'asyncio', not {executor!r}")
    if executor == "asyncio" and not is_coroutine:
        raise ConfigurationError(f"{func!r} is a def: its executor is 'thread' or 'process', not 'asyncio'")
    if executor == "process":
        _check_importable(func)


def _check_importable(func: Callable[..., Any]) -> None:
    """Refuse what another process would not find: it imports the module, and looks for the task there."""
    name, module = getattr(func, "__qualname__", ""), getattr(func, "__module__", None) or ""
    if not name or "<lambda>" in name:
        problem = "it has no name in a module"
    elif _LOCALS in name:
        problem = "it is defined inside of another function"
    elif not module or module in SCRIPTS:
        problem = "it is defined in the script, the notebook or at the prompt that runs"
    else:
        return
    raise ConfigurationError(
        f'{func!r} cannot have executor="process", whose processes import it: {problem}; put it at the top level of '
        "a module of its own, and import that"
    )
