"""What annotations say, as JSON Schema for others and as a check of what they send.

``Annotated[int, ("minimum", 0)]``: what stands behind the type are words of JSON Schema.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from taskmill._core.wording import nearest
from taskmill._web.problem import Problem

Schema = dict[str, Any]

_PLAIN: dict[Any, tuple[str, tuple[type, ...]]] = {
    str: ("string", (str,)),
    bool: ("boolean", (bool,)),
    int: ("integer", (int,)),
    float: ("number", (int, float)),
    NoneType: ("null", (NoneType,)),
}


def schema_of(kind: Any, shapes: dict[str, Schema]) -> Schema:
    """The schema of an annotation; TypedDicts go to *shapes*, under their names, and are referred to."""
    origin, args = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        if kind.__name__ not in shapes:
            shapes[kind.__name__] = _object_schema(kind, shapes)
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    if origin is Annotated:
        return schema_of(args[0], shapes) | dict(args[1:])
    if origin in {Union, UnionType}:
        return {"anyOf": [schema_of(each, shapes) for each in args]}
    if origin is list:
        return {"type": "array", "items": schema_of(args[0], shapes)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(args[1], shapes)}
    choices = _choices(kind)
    if choices:
        return {"type": "string", "enum": choices}
    return {} if kind is Any else {"type": _PLAIN[kind][0]}


def fields_of(kind: Any) -> Iterator[tuple[str, Any, bool]]:
    """The name and annotation of each field of a TypedDict, and whether it has to be there."""
    for name, annotation in get_type_hints(kind, include_extras=True).items():
        yield name, annotation, name in kind.__required_keys__


def is_list(kind: Any) -> bool:
    """Whether it takes several values."""
    return get_origin(get_args(kind)[0] if get_origin(kind) is Annotated else kind) is list


def _object_schema(kind: Any, shapes: dict[str, Schema]) -> Schema:
    fields = list(fields_of(kind))
    return {
        "type": "object",
        "description": kind.__doc__,
        "properties": {name: schema_of(annotation, shapes) for name, annotation, _ in fields},
        "required": [name for name, _, is_required in fields if is_required],
        "additionalProperties": False,
    }


def check(kind: Any, value: Any, where: str) -> None:
    """Raise a Problem, which names the place, unless *value* is of that kind."""
    origin, args = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        _check_object(kind, value, where)
    elif origin is Annotated:
        check(args[0], value, where)
        _check_bounds(dict(args[1:]), value, where)
    elif origin is list:
        if not isinstance(value, list):
            raise _misfit(where, "is no array", "send [...]")
        for at, item in enumerate(value):
            check(args[0], item, f"{where}[{at}]")
    elif origin is dict:
        if not isinstance(value, dict):
            raise _misfit(where, "is no object", "send {...}")
        for name, item in value.items():
            check(args[1], item, f"{where}.{name}")
    elif choices := _choices(kind):
        if value not in choices:
            near = nearest(value, choices) if isinstance(value, str) else ""
            raise _misfit(where, f"is none of its values{near}", f"send one of: {', '.join(choices)}")
    elif kind is not Any:
        _check_plain(kind, value, where)


def _check_object(kind: Any, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _misfit(where, "is no object", "send {...}")
    fields = list(fields_of(kind))
    names = [name for name, _, _ in fields]
    for name in value:
        if name not in names:
            raise _misfit(
                where, f"has no {name!r}{nearest(name, names)}", f"leave it out; it has: {', '.join(names)}"
            )
    for name, annotation, is_required in fields:
        if name in value:
            check(annotation, value[name], f"{where}.{name}")
        elif is_required:
            raise _misfit(where, f"lacks {name!r}", "say it")


def _check_plain(kind: Any, value: Any, where: str) -> None:
    told, types = _PLAIN[kind]
    # To Python, True is a number.
    is_right = isinstance(value, types) and (kind is bool or not isinstance(value, bool))
    if not is_right or (isinstance(value, float) and not math.isfinite(value)):
        raise _misfit(where, f"is no {told}", f"send a {told}")


def _check_bounds(bounds: Mapping[str, Any], value: Any, where: str) -> None:
    size = len(value) if isinstance(value, str | list) else value
    lowest = bounds.get("minimum", bounds.get("minLength", bounds.get("minItems")))
    highest = bounds.get("maximum", bounds.get("maxLength", bounds.get("maxItems")))
    told = "" if size is value else "the length of "
    if lowest is not None and size < lowest:
        raise _misfit(f"{told}{where}", "is too small", f"the least is {lowest:,}")
    if highest is not None and size > highest:
        raise _misfit(f"{told}{where}", "is too large", f"the most is {highest:,}")
    if "pattern" in bounds and not re.search(bounds["pattern"], value, re.ASCII):
        raise _misfit(where, "is not of its form", f"that is {bounds['pattern']}")


def _choices(kind: Any) -> list[str]:
    """The values of what has only some."""
    if get_origin(kind) is Literal:
        return [*get_args(kind)]
    return [each.value for each in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def _misfit(where: str, wrong: str, advice: str) -> Problem:
    return Problem(400, f"{where} {wrong}", advice)
