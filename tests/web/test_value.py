"""Arguments and results as trees: of every form that can be stored, bounded, and without what is secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill._core.payload import Codec
from taskmill._core.secrecy import HIDDEN
from taskmill._web.value import USUAL, Node, call, call_line, shown_headers, tree


class Colour(Enum):
    RED = 1


@dataclass
class Order:
    number: int
    token: str


CODEC = Codec([Colour, Order])


def encoded(*args: Any, **kwargs: Any) -> str:
    return CODEC.encode_call(args, kwargs, limit=10_000_000)


def all_of(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from all_of(child)


@pytest.mark.parametrize(
    "value, line",
    [
        (None, "null"),
        (True, "true"),
        (-7, "-7"),
        (2**200, "int " + f"{2**200:x}"),
        (1.5, "1.5"),
        ("a\nb", '"a\\nb"'),
        ([1, [2]], "[1, [2]]"),
        ({"a": 1}, "{a: 1}"),
        ((1, 2), "[1, 2]"),
        ({3}, "[3]"),
        ({1: "x"}, '{1: "x"}'),
        (Decimal("1.10"), "decimal 1.10"),
        (b"ab", "bytes YWI="),
        (datetime(2026, 1, 31, tzinfo=UTC), "datetime 2026-01-31T00:00:00+00:00"),
        (Colour.RED, "Colour.RED"),
        (Order(7, "x"), f"{{number: 7, token: {HIDDEN}}}"),
        ([1, 2, 3, 4, 5, 6], "[1, 2, 3, 4, 5, …]"),
    ],
)
def test_a_call_is_told_in_a_line(value: Any, line: str) -> None:
    assert call_line(encoded(value)) == line
    assert call_line(encoded(named=value)) == f"named={line}"
    assert call_line(encoded(value), ["first"]) == f"first={line}"


SECRETS = (
    *("password", "PASSWD", "db_password", "pin", "secret", "credentials", "private_key", "session_id"),
    *(
        "api_key",
        "apiKey",
        "X-API-Key",
        "token",
        "access_token",
        "Authorization",
        "auth",
        "cookie",
        "Set-Cookie",
    ),
)


@pytest.mark.parametrize("name", SECRETS)
def test_what_is_secret_by_its_name_is_not_shown(name: str) -> None:
    text = encoded(
        {name: "hunter2", "deep": [{name: "hunter2"}]},
        {name: "hunter2", 1: 2},
        **{name.replace("-", "_"): "hunter2"},
    )

    nodes = [each for node in call(text) for each in all_of(node)]

    assert USUAL.is_secret(name)
    assert [node.text for node in nodes].count(HIDDEN) == 4
    assert not [node for node in nodes if "hunter2" in node.text]
    assert shown_headers({name: "hunter2", "trace": "1"}) == {name: HIDDEN, "trace": "1"}
    assert "hunter2" not in call_line(encoded("hunter2"), [name])


def test_nor_is_it_in_a_value_of_a_kind_that_is_not_known() -> None:
    hidden = json.dumps(HIDDEN)

    assert tree('{"!new": [{"token": "hunter2", "n": 1}]}').text == f'new [{{"token": {hidden}, "n": 1}}]'


@pytest.mark.parametrize("name", ["author", "passenger", "keyboard", "spin", "path", "0"])
def test_what_only_sounds_like_it_is_shown(name: str) -> None:
    assert not USUAL.is_secret(name)


@pytest.mark.parametrize(
    "text", ["", "no json", "[1,2", "7", '{"a":1}', "[[],[]]", "[" * 100_000, "9" * 10_000]
)
def test_what_is_no_call_is_shown_as_it_is_stored(text: str) -> None:
    [node] = call(text)

    assert node.text
    assert len(call_line(text)) < 10_000


LEAVES = st.none() | st.integers() | st.text()


@settings(max_examples=50)
@given(st.recursive(LEAVES, lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_anything_stored_is_a_tree(value: Any) -> None:
    node = tree(json.dumps(value))

    assert all(each.text.isprintable() for each in all_of(node))


def test_a_tree_is_no_larger_than_a_page_can_bear() -> None:
    node = tree(json.dumps([{"x": "y" * 20_000, "z": list(range(100))} for _ in range(100)]))

    nodes = list(all_of(node))
    assert len(nodes) < 600
    assert sum(len(each.text) for each in nodes) < 1_000_000
    assert any(each.kind == "more" for each in nodes)
