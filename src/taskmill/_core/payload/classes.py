"""Registered classes: how an instance is taken apart into fields, and made of them again."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterable
from enum import Enum, Flag
from functools import partial
from typing import Any, Final

from taskmill._core.payload.leaves import KNOWN, write_int, write_str
from taskmill._core.payload.refusal import Refusal
from taskmill._core.payload.tags import a_dict, a_str

_UNSET: Final = object()

Take = Callable[[Any], tuple[dict[str, Any], ...]]
Make = Callable[..., Any]


def require_rebuildable(cls: object) -> None:
    if not isinstance(cls, type):
        raise TypeError(f"{cls!r} is no class")
    if issubclass(cls, Enum) and cls.__members__:
        return
    record(cls)


def is_rebuildable(cls: type) -> bool:
    try:
        require_rebuildable(cls)
    except TypeError:
        return False
    return True


def record(cls: type) -> tuple[Take, Make]:
    """How to take instances of *cls* apart and make them again; TypeError if there is no safe way."""
    if issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_make"):
        return _namedtuple_record(cls)
    # A dataclass that is also, say, a dict would lose its items.
    if dataclasses.is_dataclass(cls) and not issubclass(cls, KNOWN):
        return _dataclass_record(cls)
    if callable(getattr(cls, "model_validate", None)) and isinstance(
        getattr(cls, "model_fields", None), dict
    ):
        return _model_record(cls)
    raise TypeError(
        f"{cls.__qualname__} cannot be rebuilt from its fields: "
        "register a dataclass, an Enum with members, a NamedTuple or a pydantic model"
    )


def _namedtuple_record(cls: Any) -> tuple[Take, Make]:
    def take(value: tuple[Any, ...]) -> tuple[dict[str, Any]]:
        return (dict(zip(cls._fields, value, strict=True)),)

    def make(fields: object) -> object:
        found = {**cls._field_defaults, **_fields(fields, cls._fields)}
        return cls._make([found[name] for name in cls._fields])

    return take, make


def _dataclass_record(cls: Any) -> tuple[Take, Make]:
    names = [field.name for field in dataclasses.fields(cls)]
    initial = {field.name for field in dataclasses.fields(cls) if field.init}
    try:
        inspect.signature(cls).bind(**dict.fromkeys(initial))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{cls.__qualname__} cannot be rebuilt from its fields alone: {error}") from error

    def take(value: object) -> tuple[dict[str, Any]]:
        return ({name: item for name in names if (item := getattr(value, name, _UNSET)) is not _UNSET},)

    def make(fields: object) -> object:
        found = _fields(fields, names)
        made = cls(**{name: item for name, item in found.items() if name in initial})
        # By now __post_init__ has changed twice what it changes, and made anew what is no argument.
        for name, item in found.items():
            if getattr(made, name, _UNSET) is not item:
                object.__setattr__(made, name, item)
        return made

    return take, make


def _model_record(cls: Any) -> tuple[Take, Make]:
    validate = cls.model_validate
    if "by_name" in inspect.signature(validate).parameters:
        validate = partial(validate, by_alias=False, by_name=True)
    elif any(field.validation_alias for field in cls.model_fields.values()):
        raise TypeError(f"{cls.__qualname__} has aliases, which can be rebuilt from pydantic 2.11 on")
    is_root = getattr(cls, "__pydantic_root_model__", False)

    def take(value: Any) -> tuple[dict[str, Any], ...]:
        # Neither dict(value) nor model_dump(): the class may define both to return something else.
        held = {name: item for name, item in vars(value).items() if name in cls.model_fields}
        held |= value.model_extra or {}
        given = {name: item for name, item in held.items() if name in value.model_fields_set}
        unset = {name: item for name, item in held.items() if name not in given}
        return (given, unset) if unset else (given,)

    def make(given: object, unset: object = None) -> object:
        left = {} if unset is None else a_dict(unset)
        found = {**a_dict(given), **left}
        made = validate(found["root"] if is_root else found)
        made.model_fields_set.difference_update(left)
        return made

    return take, make


def _fields(content: object, names: Iterable[str]) -> dict[str, Any]:
    found = a_dict(content)
    if unknown := found.keys() - set(names):
        raise TypeError(f"there is no field {min(unknown)!r}")
    return found


def write_member(opening: str, member: Enum) -> str:
    if type(member).__members__.get(member.name) is member:
        return f"{opening}{write_str(member.name)}]}}"
    if isinstance(member, Flag):
        return f"{opening}{write_int(member.value)}]}}"
    raise Refusal(member, "it is no member of its Enum by its name")


def make_member(cls: type[Enum], state: object) -> Enum:
    if type(state) is int and issubclass(cls, Flag):
        member = cls(state)
        # Python 3.11.2 drops the bits that it does not know.
        if member.value != state:
            raise ValueError(f"{state} is not a valid {cls.__qualname__}")
        return member
    return cls[a_str(state)]


def classes_in(annotation: object) -> set[type]:
    """Return the classes that *annotation* names and a codec can register, those of their fields included.

    Walks unions, generics, Annotated, Literal, NewType, type variables, aliases and TypedDicts. Names in
    quotes are resolved in the fields of classes only: at the top, call ``typing.get_type_hints`` first.

    >>> from uuid import SafeUUID
    >>> classes_in(dict[str, list[SafeUUID]] | None)
    {<enum 'SafeUUID'>}
    """
    found: set[type] = set()
    seen: dict[int, object] = {}
    ahead = [annotation]
    while ahead:
        node = ahead.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        ahead.extend(_parts(node))
        if isinstance(node, type) and is_rebuildable(node):
            found.add(node)
    return found


def _parts(node: object) -> list[Any]:
    origin, args = typing.get_origin(node), typing.get_args(node)
    if origin is typing.Annotated:
        return [args[0]]
    if origin is typing.Literal:
        return [type(each) for each in args]
    if origin is not None:
        return [origin, *args]
    if isinstance(node, list):  # the parameters of a Callable
        return node
    if isinstance(node, type):
        return _field_types(node) if is_rebuildable(node) or typing.is_typeddict(node) else []
    with contextlib.suppress(NameError):  # an alias of 3.12 is evaluated when it is asked
        inner = (getattr(node, name, None) for name in ("__supertype__", "__bound__", "__value__"))
        return [*inner, *getattr(node, "__constraints__", ())]
    return []


def _field_types(cls: Any) -> list[Any]:
    # pydantic has resolved the type variables of a generic model; the annotations of the class have not.
    found = [field.annotation for field in getattr(cls, "model_fields", {}).values()]
    for owner in cls.__mro__:
        with contextlib.suppress(NameError):
            found += [_resolved(each, owner) for each in inspect.get_annotations(owner).values()]
    return found


def _resolved(annotation: object, owner: type) -> object:
    def bearer() -> None:
        """Carry the annotation: typing resolves those of functions and classes only, and all or none."""

    bearer.__annotations__ = {"it": annotation}
    module = getattr(sys.modules.get(owner.__module__), "__dict__", {})
    try:
        return typing.get_type_hints(bearer, module, {owner.__name__: owner}, include_extras=True)["it"]
    except Exception:  # noqa: BLE001  (what stands in quotes may raise anything; it is found when it is stored)
        return annotation
