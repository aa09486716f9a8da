"""How a function may be called: worked out when its task is defined, so that each call is checked cheaply."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from types import SimpleNamespace, UnionType
from typing import Any

from taskmill._app.context import Context
from taskmill.errors import ConfigurationError, InvalidArguments

_GIVEN = object()
"""Stands for the result of the step before, which is not known when a pipeline is enqueued."""


def annotations_of(func: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of *func*, each evaluated where that is possible, else the text that was written."""
    try:
        return typing.get_type_hints(func)
    except Exception:  # noqa: BLE001  (a name that only type checkers import, or any expression at all)
        written = getattr(inspect.unwrap(func), "__annotations__", {})
        return {name: _evaluated(func, annotation) for name, annotation in written.items()}


def _evaluated(func: Callable[..., Any], annotation: Any) -> Any:
    lone = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(lone, getattr(inspect.unwrap(func), "__globals__", {}))["it"]
    except Exception:  # noqa: BLE001  (as above)
        return annotation


def is_context(annotation: object) -> bool:
    """Whether a parameter with that annotation is filled in: it says `Context`, or `Context | None`."""
    if isinstance(annotation, str):
        return annotation.removesuffix("| None").strip().rpartition(".")[2] == Context.__name__
    if typing.get_origin(annotation) in {typing.Union, UnionType}:
        return Context in typing.get_args(annotation)
    return annotation is Context


class Parameters:
    """The parameters of a task's function, that of its Context left out: `context` is its name."""

    def __init__(self, func: Callable[..., Any], annotations: Mapping[str, Any]) -> None:
        whole = _signature(func)
        names = list(whole.parameters)
        self.context = next((name for name in names if is_context(annotations.get(name))), None)
        self._context_at = _context_position(whole, self.context)
        parameters = [item for item in whole.parameters.values() if item.name != self.context]
        self.signature = whole.replace(parameters=parameters)
        self._least, self._most = _positional_bounds(parameters)
        self._by_keyword = _keyword_bounds(parameters)
        self._only_positional = sum(
            item.kind is Parameter.POSITIONAL_ONLY and _is_required(item) for item in parameters
        )

    def check(
        self, task: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, is_given: bool = False
    ) -> None:
        """Refuse a call that Python would refuse; with *is_given* one more argument will come first."""
        if self._is_plainly_right(len(args) + is_given, kwargs):
            return
        try:
            self._bind((_GIVEN, *args) if is_given else args, kwargs)
        except TypeError as error:
            hint = "; the result of the step before is its first argument" if is_given else ""
            raise InvalidArguments(f"{task}{self.signature}: {error}{hint}") from None

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        # Python 3.13.0 takes a positional-only parameter by keyword where the function has **kwargs too.
        if len(args) < self._only_positional:
            raise TypeError("missing a required positional-only argument")
        self.signature.bind(*args, **kwargs)

    def _is_plainly_right(self, positional: int, kwargs: Mapping[str, Any]) -> bool:
        """The answer of `Signature.bind` in a tenth of its time; False where it takes more thought."""
        if not kwargs:
            return self._least <= positional <= self._most
        if positional >= len(self._by_keyword):
            return False
        needed, allowed = self._by_keyword[positional]
        return needed <= kwargs.keys() <= allowed

    def with_context(
        self, context: Context, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of the function itself; only where `context` names a parameter."""
        assert self.context is not None  # noqa: S101  (a mistake of ours, not of the caller)
        at = self._context_at
        if at is None or len(args) < at:
            return args, {**kwargs, self.context: context}
        return (*args[:at], context, *args[at:]), kwargs


def _signature(func: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(func)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{func!r} cannot be a task, its parameters are not known: {error}"
        ) from None


def _context_position(signature: inspect.Signature, context: str | None) -> int | None:
    if context is None:
        return None
    kind = signature.parameters[context].kind
    if kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}:
        raise ConfigurationError(f"the Context is one object: {context} of {signature} cannot take it")
    return None if kind is Parameter.KEYWORD_ONLY else list(signature.parameters).index(context)


def _positional_bounds(parameters: list[Parameter]) -> tuple[float, float]:
    """How many positional arguments make a right call by themselves."""
    positional = [item for item in parameters if item.kind <= Parameter.POSITIONAL_OR_KEYWORD]
    is_open = any(item.kind is Parameter.VAR_POSITIONAL for item in parameters)
    if any(item.kind is Parameter.KEYWORD_ONLY and _is_required(item) for item in parameters):
        return math.inf, 0
    return sum(map(_is_required, positional)), math.inf if is_open else len(positional)


def _keyword_bounds(parameters: list[Parameter]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """For 0, 1, ... positional arguments: the keywords that must, and those that may, come with them."""
    usual = {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
    if any(item.kind not in usual for item in parameters):
        return []
    positional = sum(item.kind is Parameter.POSITIONAL_OR_KEYWORD for item in parameters)
    rests = [parameters[taken:] for taken in range(positional + 1)]
    return [
        (frozenset(item.name for item in rest if _is_required(item)), frozenset(item.name for item in rest))
        for rest in rests
    ]


def _is_required(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty
