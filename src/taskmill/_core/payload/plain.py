"""What JSON can say without a tag."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final

from taskmill._core.payload.tags import MAX_DEPTH

_ONLY_STR: Final = frozenset({str})

_SCALARS: Final = frozenset({str, bool, float, type(None)})


def is_plain(value: object, limit: int) -> bool:
    """True if *value* is made of what JSON has and is neither too deep nor sure to be too large."""
    level: list[Any] = [value]
    count = 0
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:  # written out in one place: it runs for each item of each argument
            kind = type(item)
            if kind in _SCALARS:
                continue
            if kind is int:
                if not -(2**63) <= item < 2**63:
                    return False
            elif kind is list:
                deeper += item
            elif kind is dict and _ONLY_STR.issuperset(map(type, item)):
                deeper += item.values()
            else:
                return False
        if not deeper:
            return True
        count += len(deeper)
        if count > limit:
            break
        level = deeper
    return False


def plain_names(fields: dict[Any, Any]) -> list[str] | None:
    """The quoted keys of *fields*, or None if they cannot all be names in a JSON object."""
    if not _ONLY_STR.issuperset(map(type, fields)):
        return None
    names = [quoted(name) for name in fields]
    text = ",".join(names)
    if ('"!' in text or "\\ud" in text) and any(name[:1] == "!" or not is_unicode(name) for name in fields):
        return None
    return names


def is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
