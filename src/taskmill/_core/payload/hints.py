"""What to pass instead of a value that cannot be stored."""

from __future__ import annotations

import dataclasses
import inspect
import io
import types
from collections.abc import Awaitable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from datetime import tzinfo
from enum import Enum
from typing import Final

from taskmill._core.payload.classes import is_rebuildable
from taskmill._core.payload.leaves import KNOWN

_UNSET: Final = object()


def hint_for(value: object) -> str:
    cls = type(value)
    if issubclass(cls, Enum) or dataclasses.is_dataclass(cls) or is_rebuildable(cls):
        return f"call mill.register({cls.__qualname__}), or name the class in the annotations of the task"
    plain = next((base for base in cls.__mro__ if base in KNOWN), None)
    if plain is not None:
        return f"{cls.__qualname__} would come back as a plain {plain.__name__}; pass it as one"
    if cls.__module__ in _LIVING:
        return "it lives in this process only; open or make it in the task"
    for kinds, hint in _HINTS:
        if issubclass(cls, kinds):
            return hint
    for name in ("pk", "id"):
        if inspect.getattr_static(value, name, _UNSET) is not _UNSET:
            return f"pass its {name} and load it in the task"
    if callable(value):
        return "a function is code, not data: pass what it needs, or make it a task and enqueue that"
    if issubclass(cls, Iterable):
        return "pass a list"
    return "pass the data in it, or make it a dataclass and call mill.register() with that"


_LIVING: Final = frozenset(
    {"_queue", "_thread", "queue", "socket", "sqlite3", "ssl", "tempfile", "threading"}
)

_HINTS: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((type,), "pass its name, or an instance of it"),
    ((types.ModuleType,), "pass its name"),
    ((Awaitable,), "await it first and pass what it gives"),
    ((io.IOBase,), "pass the path and open the file in the task"),
    ((BaseException,), "pass str(error)"),
    ((memoryview,), "pass bytes"),
    ((slice,), "pass its start, stop and step"),
    ((tzinfo,), "use a zoneinfo.ZoneInfo with a key, or a datetime.timezone"),
    ((Iterator, KeysView, ItemsView, ValuesView), "pass a list"),
    ((Mapping,), "pass a dict"),
)
