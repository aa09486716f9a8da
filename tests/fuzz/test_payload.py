"""Payloads: whatever stands in the store is a value again, or an UndecodablePayload; nothing else, and at once."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntFlag
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from taskmill._core.payload import Codec
from taskmill._core.payload.tags import READERS
from taskmill.errors import PayloadTooLarge, UndecodablePayload, Unserializable
from tests.fuzz.damage import damaged

LIMIT = 10_000


class Colour(Enum):
    RED = "red"


class Rights(IntFlag):
    READ = 1
    WRITE = 2


@dataclass
class Node:
    value: Any
    inner: Node | None = None


class Pair(NamedTuple):
    left: Any
    right: Any = ()


class Model(BaseModel):
    number: int = 0
    node: dict[str, float] = {}


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@dataclass
class Refuses:
    """Its constructor fails with an error that fails when it is asked what it is."""

    value: int

    def __post_init__(self) -> None:
        raise Unspeakable


CLASSES = (Colour, Rights, Node, Pair, Model, Refuses)
CODEC = Codec(CLASSES)

texts = st.sampled_from(
    ["1e999999999", "-1/3", "ff", "UTC", "Europe/Berlin", "..", "nan", "YQ==", "RED", "9" * 700, "2026-01-31"]
) | st.text(max_size=8)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, 10**400, True, -1])
names = st.sampled_from([f"{cls.__module__}:{cls.__qualname__}" for cls in CLASSES] + ["os:system"])
fields = st.sampled_from(["value", "inner", "left", "right", "number", "node", "root", ""])
tags = st.sampled_from([*READERS, "!object", "!later"])


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    contents = inner | st.lists(inner, max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(fields, inner, max_size=3),
        st.builds(lambda tag, content: {tag: content}, tags, contents),
        st.builds(
            lambda name, *state: {"!object": [name, *state]},
            names,
            texts | st.integers(0, 9) | st.dictionaries(fields, inner, max_size=3),
        ),
    )


tagged = st.recursive(st.none() | texts | numbers, containers, max_leaves=12)
"""What the format allows, and more: any tag around any content."""
values = st.recursive(
    st.none()
    | numbers
    | texts
    | st.binary()
    | st.decimals()
    | st.sampled_from([*Colour, *Rights, Decimal("sNaN")]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(texts, inner, max_size=4),
        st.builds(Node, inner, st.none() | st.builds(Node, inner)),
        st.builds(Pair, inner, inner),
        st.builds(Model, number=st.integers(), node=st.dictionaries(texts, st.floats(), max_size=2)),
    ),
    max_leaves=12,
)


def decode(text: str) -> None:
    for read in (CODEC.decode, CODEC.decode_call):
        with contextlib.suppress(UndecodablePayload):
            read(text)


@given(tagged)
@example({"!fraction": ["1e999999999", None]})
@example({"!object": [f"{Refuses.__module__}:Refuses", {"value": 1}]})
def test_any_tag_around_any_content_is_read_or_refused(value: Any) -> None:
    decode(json.dumps(value))


@given(damaged(values.map(lambda value: CODEC.encode(value, limit=10**6)), [*READERS, "!object"]))
def test_a_damaged_text_is_read_or_refused(text: str) -> None:
    decode(text)


@given(values)
def test_a_value_comes_back_as_what_it_was_or_is_refused(value: Any) -> None:
    try:
        text = CODEC.encode(value, limit=LIMIT)
    except (PayloadTooLarge, Unserializable):
        return

    assert CODEC.encode(CODEC.decode(text), limit=LIMIT) == text


@pytest.mark.parametrize(
    "opening,closing", [("[", "]"), ('{"a":', "}"), ('{"!tuple":[', "]}"), ('{"!set":', "}")]
)
def test_what_is_nested_without_end_is_refused(opening: str, closing: str) -> None:
    for depth in (99, 1_000, 100_000):
        decode(opening * depth + closing * depth)
        decode(opening * depth)
