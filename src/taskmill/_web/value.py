"""Arguments and results to look at, without secrets: made of what is stored, so that no class needs to be known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from taskmill._core.secrecy import HIDDEN, Secrecy
from taskmill._core.wording import clean

USUAL: Final = Secrecy()

_MOST_NODES = 500
_LONGEST_TEXT = 2_000
_DEEPEST = 12
_DEEPEST_FOR_PROGRAMS = 100


@dataclass(frozen=True, slots=True)
class Node:
    """A value: its *kind* for the colours, its *text*, and what it holds, by *key*."""

    kind: str
    text: str
    key: str | None = None
    children: Sequence[Node] = field(default=())


def shown_headers(headers: dict[str, str], secrecy: Secrecy = USUAL) -> dict[str, str]:
    """Headers, those hidden that are secrets by their names."""
    return {name: HIDDEN if secrecy.is_secret(name) else value for name, value in headers.items()}


def tree(text: str, secrecy: Secrecy = USUAL) -> Node:
    """The value that is stored as *text*."""
    return _Builder(secrecy).node(_parsed(text), None)


def call(text: str, parameters: Sequence[str] = (), secrecy: Secrecy = USUAL) -> list[Node]:
    """The arguments of a stored call; *parameters* are the names of the positional ones, as far as they are known."""
    builder = _Builder(secrecy)
    match _parsed(text):
        case [list() as args, dict() as kwargs]:
            names = [parameters[at] if at < len(parameters) else str(at) for at in range(len(args))]
            given = [*zip(names, args, strict=True), *kwargs.items()]
            return [builder.node(value, _cut(name), name=name) for name, value in given]
        case other:
            return [builder.node(other if isinstance(other, str) else text, None)]


def masked(text: str, secrecy: Secrecy = USUAL) -> Any:
    """The value that is stored as *text*, for programs: as it is written there, but for what is secret."""
    return _Masking(secrecy).value(_parsed(text), None)


def masked_call(
    text: str, parameters: Sequence[str] = (), secrecy: Secrecy = USUAL
) -> tuple[Any, dict[str, Any]]:
    """The arguments of a stored call, likewise; what is no call, as it is stored, in place of the positional ones."""
    masking = _Masking(secrecy)
    match _parsed(text):
        case [list() as args, dict() as kwargs]:
            named = zip_longest(args, parameters[: len(args)])
            return [masking.value(value, name) for value, name in named], masking.value(kwargs, None)
        case _:
            return text, {}


def has_secret(value: Any, name: str, secrecy: Secrecy = USUAL) -> bool:
    """Whether something is hidden in the value that is stored by that name."""
    masking = _Masking(secrecy)
    masking.value(value, name)
    return masking.hides


class _Masking:
    """Hides what is secret in what JSON can say; `hides`: there was something."""

    def __init__(self, secrecy: Secrecy) -> None:
        self._secrecy = secrecy
        self.hides = False

    def value(self, value: Any, key: object, depth: int = 0) -> Any:
        if self._secrecy.is_secret(key):
            self.hides = True
            return HIDDEN
        if depth >= _DEEPEST_FOR_PROGRAMS:
            return "…"
        match value:
            case {"!dict": list() as pairs}:
                return {"!dict": [self._pair(pair, depth + 1) for pair in pairs]}
            case dict():
                return {name: self.value(inner, name, depth + 1) for name, inner in value.items()}
            case list():
                return [self.value(inner, None, depth + 1) for inner in value]
            case float() if not math.isfinite(value):
                return str(value)  # which JSON has no words for
            case _:
                return value

    def _pair(self, pair: Any, depth: int) -> Any:
        match pair:
            case [key, value]:
                return [self.value(key, None, depth), self.value(value, key, depth)]
            case _:
                return self.value(pair, None, depth)


def call_line(text: str, parameters: Sequence[str] = (), secrecy: Secrecy = USUAL) -> str:
    """The arguments of a stored call in a line, to recognise a job by."""
    nodes = call(text, parameters, secrecy)
    return ", ".join(f"{node.key}={_line(node)}" if _is_named(node) else _line(node) for node in nodes)


def _is_named(node: Node) -> bool:
    return node.key is not None and not node.key.isdecimal()


def _line(node: Node) -> str:
    if not node.children:
        return node.text
    inner = ", ".join(
        f"{child.key}: {_line(child)}" if node.kind == "object" else _line(child)
        for child in node.children[:5]
    )
    more = ", …" if len(node.children) > 5 else ""  # noqa: PLR2004  (as above)
    return f"{{{inner}{more}}}" if node.kind == "object" else f"[{inner}{more}]"


class _Builder:
    """Makes nodes, and no more than a page can bear."""

    def __init__(self, secrecy: Secrecy) -> None:
        self._secrecy = secrecy
        self._left = _MOST_NODES

    def node(self, value: Any, key: str | None, depth: int = 0, name: object = None) -> Node:
        """*value*, shown by *key*, which stands for *name*."""
        self._left -= 1
        if self._secrecy.is_secret(name):
            return Node("hidden", HIDDEN, key)
        if depth >= _DEEPEST:
            return Node("more", "…", key)
        match value:
            case dict() if len(value) == 1 and next(iter(value)).startswith("!"):
                [(tag, content)] = value.items()
                return self._tagged(tag[1:], content, key, depth)
            case dict():
                return Node("object", counted_in(len(value)), key, self._children(value.items(), depth))
            case list():
                items = ((str(at), item) for at, item in enumerate(value))
                return Node("array", counted_in(len(value)), key, self._children(items, depth))
            case str():
                return Node("string", _cut(json.dumps(value, ensure_ascii=False)), key)
            case None | bool():
                return Node("word", json.dumps(value), key)
            case _:
                return Node("number", _cut(str(value)), key)

    def _tagged(self, tag: str, content: Any, key: str | None, depth: int) -> Node:
        """A value that JSON has no words for, see the table in `_core/payload/tags.py`."""
        match tag, content:
            case "object", [str() as name, dict() as fields, *_]:
                return Node(
                    "object", clean(name.rpartition(":")[2]), key, self._children(fields.items(), depth)
                )
            case "object", [str() as name, member]:
                return Node("tagged", _cut(f"{name.rpartition(':')[2]}.{member}"), key)
            case "dict", list():
                pairs = ((pair[0], pair[-1]) for pair in content if isinstance(pair, list) and pair)
                children = list(self._bounded(pairs, depth, json.dumps))
                return Node("object", counted_in(len(content)), key, children)
            case _, list() if tag in {"tuple", "set", "frozenset"}:
                items = ((str(at), item) for at, item in enumerate(content))
                return Node("array", f"{tag} {counted_in(len(content))}", key, self._children(items, depth))
            case _:
                told = (
                    content
                    if isinstance(content, str)
                    else json.dumps(_Masking(self._secrecy).value(content, None))
                )
                return Node("tagged", _cut(f"{tag} {told}"), key)

    def _children(self, items: Any, depth: int) -> list[Node]:
        return list(self._bounded(items, depth))

    def _bounded(self, items: Any, depth: int, told: Callable[[Any], str] = str) -> Iterator[Node]:
        for key, value in items:
            if self._left <= 0:
                yield Node("more", "… and more", None)
                return
            yield self.node(value, _cut(told(key)), depth + 1, name=key)


def counted_in(number: int) -> str:
    """How many there are inside."""
    return "empty" if number == 0 else f"{number:,}"


def _cut(text: str) -> str:
    line = clean(text)
    return (
        line
        if len(line) <= _LONGEST_TEXT
        else f"{line[:_LONGEST_TEXT]}… ({len(line) - _LONGEST_TEXT:,} more)"
    )


def _parsed(text: str) -> Any:
    """What the text says; of one that is damaged, the text."""
    try:
        return json.loads(text, parse_int=str_or_int)
    except (ValueError, RecursionError):
        return text


def str_or_int(digits: str) -> Any:
    """A number, as it is written: Python refuses to read the longest ones."""
    return int(digits) if len(digits) < 50 else digits  # noqa: PLR2004  (far more than 64 bits)
