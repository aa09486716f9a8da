"""Arguments as people type them, in a form or at a prompt: read as the signature of the task says."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskmill._app.parameters import annotations_of
from taskmill._core.wording import nearest
from taskmill.errors import InvalidArguments, UndecodablePayload

if TYPE_CHECKING:
    from taskmill._app.task import BaseTask

# How a text becomes what JSON has no words for.
_READERS: Mapping[type, Callable[[str], Any]] = {
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    Decimal: Decimal,
    UUID: UUID,
    Path: Path,
}
_PLAIN = frozenset({str, int, float, bool, type(None), *_READERS})
_TOO_MUCH = Parameter("too_much", Parameter.POSITIONAL_ONLY)
_OPEN = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class TypedCall:
    """Reads the arguments of calls of one task.

    Where the annotation says str, a text is taken as it is; else it is JSON (with the tags that stored values have),
    and what is no JSON is a text. A text for a date, a UUID and the like becomes one. What is plainly of another type
    than the annotation says is refused: InvalidArguments.
    """

    def __init__(self, task: BaseTask[..., Any]) -> None:
        self._task = task
        self._annotations = annotations_of(task.func)
        self._parameters = list(task.parameters.signature.parameters.values())

    @property
    def named(self) -> Sequence[Parameter]:
        """The parameters that can be named."""
        return [parameter for parameter in self._parameters if parameter.kind not in _OPEN]

    def value(self, parameter: Parameter, text: str) -> Any:
        """The argument that *text* is."""
        kinds = _plain_kinds(self._annotations.get(parameter.name, Any))
        if str in kinds and not text.startswith('"'):
            return None if text == "null" and type(None) in kinds else text
        value = self._decoded(text)
        if not kinds or _is_one(value, kinds):
            return value
        for kind in kinds & _READERS.keys():
            try:
                return _READERS[kind](text)
            except (ValueError, InvalidOperation):
                continue
        wanted = " or ".join(sorted("null" if kind is type(None) else kind.__name__ for kind in kinds))
        raise InvalidArguments(f"{self._task.name}: {parameter.name}: {text!r} is no {wanted}")

    def words(self, words: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call of ``VALUE`` and ``NAME=VALUE`` words, those without a name first."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for word in words:
            name, equals, text = word.partition("=")
            if equals and name.isidentifier():
                if name in kwargs:
                    raise InvalidArguments(f"{self._task.name}: {name} is given twice")
                kwargs[name] = self.value(self._named(name, word), text)
            else:
                args.append(self.value(self._at(len(args)), word))
        return tuple(args), kwargs

    def _named(self, name: str, word: str) -> Parameter:
        found = next((each for each in self._parameters if each.name == name), None)
        rest = next((each for each in self._parameters if each.kind is Parameter.VAR_KEYWORD), None)
        if found is None and rest is None:
            hint = nearest(name, [each.name for each in self.named])
            raise InvalidArguments(
                f"{self._task.name}{self._task.parameters.signature} has no parameter {name!r}{hint}; a text is "
                f"written '{json.dumps(word)}'"
            )
        return found or typing.cast(Parameter, rest)

    def _at(self, position: int) -> Parameter:
        places = [each for each in self._parameters if each.kind <= Parameter.POSITIONAL_OR_KEYWORD]
        rest = next((each for each in self._parameters if each.kind is Parameter.VAR_POSITIONAL), None)
        # What is too much is told when the call is checked.
        return [*places, rest or _TOO_MUCH][min(position, len(places))]

    def _decoded(self, text: str) -> Any:
        try:
            json.loads(text)
            return self._task.app.codec.decode(text)
        except (ValueError, RecursionError, UndecodablePayload):
            return text


def _plain_kinds(annotation: Any) -> set[type]:
    """The types that it allows; none where it is not made of plain ones only."""
    is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
    kinds = {*typing.get_args(annotation)} if is_union else {type(None) if annotation is None else annotation}
    return kinds if kinds <= _PLAIN else set()


def _is_one(value: Any, kinds: set[type]) -> bool:
    # An int does for a float, and True is none of them.
    return type(value) in kinds or (float in kinds and type(value) is int)
