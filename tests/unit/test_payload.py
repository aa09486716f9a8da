"""The payload codec: what goes in comes out, or is refused with a reason; what is damaged is said to be."""

from __future__ import annotations

import asyncio
import builtins
import collections
import contextlib
import dataclasses
import doctest
import enum
import functools
import inspect
import json
import math
import socket
import subprocess
import sys
import tempfile
import threading
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskmill._core.payload import Codec, classes_in
from taskmill._core.payload.tags import MAX_DEPTH, READERS
from taskmill.errors import PayloadTooLarge, UndecodablePayload, Unserializable

LIMIT = 1_000_000
HERE = __name__


class Colour(enum.Enum):
    RED = 1
    ROUGE = 1  # noqa: PIE796  (an alias)
    BLUE = object()  # a value that has no text: members travel by name


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Item:
    name: str
    price: Decimal = Decimal(0)
    parts: list[Item] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    id: int
    items: Any
    colour: Colour | None = None


@dataclasses.dataclass(frozen=True)
class Doubled:
    """Changes its argument, and has a field that is no argument."""

    value: int
    label: str = dataclasses.field(init=False)
    never_set: str = dataclasses.field(init=False, repr=False)
    registry: ClassVar[list[str]] = []

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.value * 2)
        object.__setattr__(self, "label", "made here")


@dataclasses.dataclass
class NeedsMore:
    value: int
    scale: dataclasses.InitVar[int]


@dataclasses.dataclass
class Wrong:
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise RuntimeError("value below zero")


class Point(typing.NamedTuple):
    x: Any
    y: Any = None


class Address(pydantic.BaseModel):
    street: str = pydantic.Field(alias="str")
    zip: str | None = None


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    name: str
    born: date | None = None
    home: Address | None = None
    tags: set[str] = set()


class Names(pydantic.RootModel[list[str]]):
    pass


class Text(str):
    __slots__ = ()


REGISTERED = [Colour, Level, Rights, Item, Order, Doubled, Point, Person, Names]


@pytest.fixture
def codec() -> Codec:
    return Codec(REGISTERED)


def canonical(value: Any) -> Any:
    """A form that is equal only for values of equal types throughout, with NaN equal to itself."""
    for kinds, inside in INSIDE.items():
        if isinstance(value, kinds):
            return type(value), inside(value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return type(value), [canonical(getattr(value, name, None)) for name in names]
    return type(value), value


INSIDE: dict[Any, Callable[[Any], Any]] = {
    enum.Enum: lambda value: (value.name, id(value)),
    float: lambda value: "nan" if math.isnan(value) else value.hex(),
    complex: lambda value: (canonical(value.real), canonical(value.imag)),
    Decimal: lambda value: value.as_tuple(),
    (datetime, time): lambda value: (
        value.replace(tzinfo=None, fold=0).isoformat(),
        value.fold,
        canonical(value.tzinfo),
    ),
    ZoneInfo: lambda value: value.key,
    timezone: lambda value: (value.utcoffset(None), value.tzname(None)),
    range: lambda value: (value.start, value.stop, value.step),
    (list, tuple): lambda value: [canonical(each) for each in value],
    (set, frozenset): lambda value: sorted(repr(canonical(each)) for each in value),
    dict: lambda value: [(canonical(key), canonical(each)) for key, each in value.items()],
    pydantic.BaseModel: lambda value: (
        canonical(vars(value)),
        canonical(value.model_extra),
        value.model_fields_set,
    ),
}


# Strategies

any_text = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "\0", "\ud800", "\ud83d\ude00", "\ude00\ud83d", "😀", "!int", '{"!int":"1"}', "NaN", "\\ud800", '"!']
)
zones = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC", "Etc/GMT+5"]).map(
    ZoneInfo
)
offsets = st.timedeltas(-timedelta(hours=23), timedelta(hours=23)).map(timezone)
named_offsets = st.builds(timezone, st.just(timedelta(hours=1)), any_text)
any_zone = st.none() | st.just(UTC) | zones | offsets | named_offsets
folds = st.sampled_from([0, 1])


def folded(value: Any, zone: tzinfo | None, fold: int) -> Any:
    return value.replace(tzinfo=zone, fold=fold)


# Not more than 4300 digits, which hypothesis could not print; these have a test of their own.
huge_ints = st.integers(-4000, 4000).map(lambda digits: (10 ** abs(digits)) * (digits or 1))
edges = st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1])
plain_leaves = st.none() | st.booleans() | st.integers() | st.floats() | any_text
hashable_leaves = st.one_of(
    plain_leaves,
    huge_ints | edges,
    st.binary(),
    st.complex_numbers(),
    st.decimals().filter(lambda value: not value.is_snan())
    | st.sampled_from([Decimal(each) for each in ("NaN12", "-NaN", "-0E+3", "1E-400", "-Infinity")]),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.builds(folded, st.datetimes(), any_zone, folds),
    st.builds(folded, st.times(), any_zone, folds),
    st.timedeltas(),
    any_zone,
    st.builds(range, st.integers(), st.integers(), st.integers(1, 9) | st.integers(-9, -1)),
    st.builds(Path, any_text),
    st.builds(PurePosixPath, any_text),
    st.builds(PureWindowsPath, any_text),
    st.sampled_from([*Colour, *Level, Rights(0), Rights.READ, Rights.READ | Rights.WRITE]),
)


def hashable_containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(inner, max_size=3)
    return few.map(tuple) | st.frozensets(inner, max_size=3) | st.builds(Point, inner, inner)


def named(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The same with a short repr: hypothesis prints, and warns of, long ones."""
    return st.composite(lambda draw: draw(strategy))()


hashables = named(st.recursive(named(hashable_leaves), hashable_containers, max_leaves=4))
leaves = hashables | st.binary().map(bytearray) | st.just(Decimal("sNaN7"))


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashables, max_size=4),
        st.dictionaries(any_text, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
        st.builds(Order, id=st.integers(), items=st.dictionaries(any_text, inner, max_size=2)),
        st.builds(Item, any_text, inner),
        st.builds(Doubled, st.integers()),
        st.builds(Person, name=st.text(), born=st.dates(), nick=inner) | st.builds(Person, name=st.text()),
        st.builds(Names, st.lists(st.text(), max_size=2)),
    )


anything = named(st.recursive(leaves, containers, max_leaves=12))


class TestRoundTrip:
    @given(anything)
    def test_gives_back_the_same_value_of_the_same_types(self, value: Any) -> None:
        codec = Codec(REGISTERED)

        text = codec.encode(value, limit=LIMIT)

        assert text.isascii()
        assert canonical(codec.decode(text)) == canonical(value)

    @given(st.lists(anything, max_size=3).map(tuple), st.dictionaries(any_text, anything, max_size=3))
    @example((), {})
    @example((2, 3), {})
    @example((), {"!int": "ff"})
    def test_gives_back_the_same_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        codec = Codec(REGISTERED)

        text = codec.encode_call(args, kwargs, limit=LIMIT)

        assert canonical(codec.decode_call(text)) == canonical((args, kwargs))

    @given(st.recursive(plain_leaves, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner)))
    def test_writes_a_value_alike_whichever_way_is_faster(self, value: Any) -> None:
        codec = Codec()

        alone = codec.encode(value, limit=LIMIT)
        beside_a_tag = codec.encode([value, b""], limit=LIMIT)

        assert beside_a_tag == f'[{alone},{{"!bytes":""}}]'

    @given(anything)
    def test_gives_a_text_that_any_json_reader_takes(self, value: Any) -> None:
        text = Codec(REGISTERED).encode(value, limit=LIMIT)

        assert json.dumps(json.loads(text), separators=(",", ":"), allow_nan=False) == text

    def test_keeps_ints_of_5000_digits_whatever_this_process_allows(self, codec: Codec) -> None:
        value = [7**6000, -(7**6000), {7**6000: 1}]

        assert codec.decode(codec.encode(value, limit=LIMIT)) == value

    def test_keeps_both_passes_of_an_hour_that_comes_twice(self, codec: Codec) -> None:
        zone = ZoneInfo("Europe/Berlin")
        passes = [datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]

        first, second = codec.decode(codec.encode(passes, limit=LIMIT))

        assert second.timestamp() - first.timestamp() == 3600
        assert first.tzinfo is zone

    def test_gives_equal_texts_for_equal_sets(self, codec: Codec) -> None:
        texts = {codec.encode(set(order), limit=LIMIT) for order in (("a", 8, 0, None), (None, 0, 8, "a"))}

        assert texts == {'{"!set":["a",0,8,null]}'}

    def test_shares_nothing_with_the_value(self, codec: Codec) -> None:
        value = {"list": [1]}

        copy = codec.decode(codec.encode(value, limit=LIMIT))
        copy["list"].append(2)

        assert value == {"list": [1]}


# What other processes and later versions read. A line may be added here, none may change.
FORMAT: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    (-7, "-7"),
    (2**63 - 1, "9223372036854775807"),
    (2**63, '{"!int":"8000000000000000"}'),
    (-(2**64), '{"!int":"-10000000000000000"}'),
    (-0.0, "-0.0"),
    (1e300, "1e+300"),
    (math.inf, '{"!float":"inf"}'),
    (-math.inf, '{"!float":"-inf"}'),
    (math.nan, '{"!float":"nan"}'),
    (complex(-0.0, math.inf), '{"!complex":[-0.0,{"!float":"inf"}]}'),
    ("é😀\0", '"\\u00e9\\ud83d\\ude00\\u0000"'),
    ("!int", '"!int"'),
    ("\ud83d\ude00", '{"!str":"7aC97biA"}'),
    (b"\x00\xff", '{"!bytes":"AP8="}'),
    (bytearray(b"a"), '{"!bytearray":"YQ=="}'),
    ([], "[]"),
    ([1, ["a"]], '[1,["a"]]'),
    ((), '{"!tuple":[]}'),
    ((1, (2,)), '{"!tuple":[1,{"!tuple":[2]}]}'),
    ({2, 1}, '{"!set":[1,2]}'),
    (frozenset("ba"), '{"!frozenset":["a","b"]}'),
    ({}, "{}"),
    ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
    ({"😀": 'x"!'}, '{"\\ud83d\\ude00":"x\\"!"}'),
    ({1: "a", None: "b"}, '{"!dict":[[1,"a"],[null,"b"]]}'),
    ({"!int": "ff"}, '{"!dict":[["!int","ff"]]}'),
    ({"a": 1, "!": 2}, '{"!dict":[["a",1],["!",2]]}'),
    ({"\ud800": 1}, '{"!dict":[[{"!str":"7aCA"},1]]}'),
    (range(0, 9, 2), '{"!range":[0,9,2]}'),
    (Decimal("1.10"), '{"!decimal":"1.10"}'),
    (Fraction(1, 3), '{"!fraction":[1,3]}'),
    (UUID(int=7), '{"!uuid":"00000000-0000-0000-0000-000000000007"}'),
    (Path("a/b"), '{"!path":"a/b"}'),
    (PurePosixPath("a/b"), '{"!posixpath":"a/b"}'),
    (PureWindowsPath("a/b"), '{"!windowspath":"a\\\\b"}'),
    (date(2026, 1, 31), '{"!date":"2026-01-31"}'),
    (datetime(2026, 1, 31, 9), '{"!datetime":"2026-01-31T09:00:00"}'),  # noqa: DTZ001
    (datetime(2026, 1, 31, 9, 0, 0, 5, tzinfo=UTC), '{"!datetime":"2026-01-31T09:00:00.000005+00:00"}'),
    (
        datetime(2026, 1, 31, 9, tzinfo=ZoneInfo("Europe/Berlin")),
        '{"!datetime":["2026-01-31T09:00:00",{"!zoneinfo":"Europe/Berlin"},0]}',
    ),
    (datetime(2026, 1, 31, 9, fold=1), '{"!datetime":["2026-01-31T09:00:00",null,1]}'),  # noqa: DTZ001
    (time(9, 30), '{"!time":"09:30:00"}'),
    (
        time(9, tzinfo=timezone(timedelta(hours=-1))),
        '{"!time":["09:00:00",{"!timezone":[-3600000000]},0]}',
    ),
    (timedelta(-1, 2, 3), '{"!timedelta":[-1,2,3]}'),
    (timezone(timedelta(hours=1), "CET"), '{"!timezone":[3600000000,"CET"]}'),
    (ZoneInfo("UTC"), '{"!zoneinfo":"UTC"}'),
    (Colour.ROUGE, f'{{"!object":["{HERE}:Colour","RED"]}}'),
    (Rights.READ | Rights.WRITE, f'{{"!object":["{HERE}:Rights",3]}}'),
    (Point(1), f'{{"!object":["{HERE}:Point",{{"x":1,"y":null}}]}}'),
    (Order(id=1, items={}), f'{{"!object":["{HERE}:Order",{{"id":1,"items":{{}},"colour":null}}]}}'),
    (Names(["a"]), f'{{"!object":["{HERE}:Names",{{"root":["a"]}}]}}'),
    (
        Person(name="A"),
        f'{{"!object":["{HERE}:Person",{{"name":"A"}},{{"born":null,"home":null,"tags":{{"!set":[]}}}}]}}',
    ),
]


class TestFormat:
    @pytest.mark.parametrize("value,text", FORMAT, ids=[text for _, text in FORMAT])
    def test_is_stable(self, codec: Codec, value: Any, text: str) -> None:
        assert codec.encode(value, limit=LIMIT) == text
        assert canonical(codec.decode(text)) == canonical(value)

    def test_of_a_call_is_two_plain_parts(self, codec: Codec) -> None:
        assert codec.encode_call((), {}, limit=LIMIT) == "[[],{}]"
        assert codec.encode_call((2, (3,)), {"a": "b"}, limit=LIMIT) == '[[2,{"!tuple":[3]}],{"a":"b"}]'


def a_function() -> None: ...


class Row:
    """Like a model of an ORM: its columns are attributes of the class."""

    id = property(lambda _self: 1 / 0)


class ByPk:
    def __init__(self) -> None:
        self.pk = 1


class Unhelpful:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: a_function, "a function is code, not data"),
    (lambda: lambda _: None, "a function is code, not data"),
    (lambda: functools.partial(a_function, 1), "a function is code, not data"),
    (lambda: "".join, "a function is code, not data"),
    (lambda: (each for each in "ab"), "pass a list"),
    (lambda: map(str, "ab"), "pass a list"),
    (dict.fromkeys("a").keys, "pass a list"),
    (collections.deque, "pass a list"),
    (collections.ChainMap, "pass a dict"),
    (lambda: collections.OrderedDict(a=1), "OrderedDict would come back as a plain dict; pass it as one"),
    (lambda: collections.defaultdict(list), "defaultdict would come back as a plain dict; pass it as one"),
    (lambda: Text("a"), "Text would come back as a plain str; pass it as one"),
    (lambda: type("Stamp", (datetime,), {})(2026, 1, 1), "would come back as a plain datetime"),
    (
        lambda: enum.IntEnum("Size", ["S"])["S"],
        "call mill.register(Size), or name the class in the annotations",
    ),
    (lambda: Wrong(1), "call mill.register(Wrong)"),
    (lambda: collections.namedtuple("Pair", "a b")(1, 2), "call mill.register(Pair)"),  # noqa: PYI024
    (lambda: NeedsMore(1, 2), "call mill.register(NeedsMore)"),
    (lambda: Address(str="a"), "call mill.register(Address)"),
    (lambda: int, "pass its name, or an instance of it"),
    (lambda: math, "pass its name"),
    (lambda: sys.stdout, "pass the path and open the file"),
    (threading.Lock, "it lives in this process only"),
    (lambda: asyncio.sleep, "a function is code"),
    (lambda: ValueError("a"), "pass str(error)"),
    (lambda: memoryview(b"a"), "pass bytes"),
    (lambda: slice(1), "pass its start, stop and step"),
    (Row, "pass its id and load it in the task"),
    (ByPk, "pass its pk and load it in the task"),
    (Unhelpful, "<Unhelpful instance at "),
    (object, "make it a dataclass"),
    (lambda: ..., "make it a dataclass"),
]


class Elsewhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)


def an_order(number: Any) -> Order:
    return Order(id=number, items=None)


class TestRefusal:
    @pytest.mark.parametrize("make,hint", REFUSED, ids=[hint for _, hint in REFUSED])
    def test_says_what_to_pass_instead(self, make: Callable[[], Any], hint: str) -> None:
        with pytest.raises(Unserializable) as refused:
            Codec().encode(make(), limit=LIMIT)

        assert str(refused.value).startswith("value = ")
        assert hint in str(refused.value)

    def test_of_a_coroutine_asks_to_await_it(self, codec: Codec) -> None:
        coroutine = asyncio.sleep(0)

        with pytest.raises(Unserializable, match="await it first"):
            codec.encode(coroutine, limit=LIMIT)
        coroutine.close()

    def test_of_what_is_open_asks_to_open_it_in_the_task(self, codec: Codec) -> None:
        with tempfile.NamedTemporaryFile() as file, socket.socket() as connection:
            for value in (file, connection):
                with pytest.raises(Unserializable, match="open or make it in the task"):
                    codec.encode(value, limit=LIMIT)

    @pytest.mark.parametrize("value", [Elsewhere(), time(1, tzinfo=Elsewhere())])
    def test_of_a_foreign_time_zone_names_the_ones_to_use(self, codec: Codec, value: Any) -> None:
        with pytest.raises(
            Unserializable, match=r"use a zoneinfo\.ZoneInfo with a key, or a datetime\.timezone"
        ):
            codec.encode(value, limit=LIMIT)

    @pytest.mark.parametrize(
        "args,kwargs,path",
        [
            ((1, ...), {}, "args[1]"),
            (({"items": {"x": [0, 1, 2, ...]}},), {}, "args[0]['items']['x'][3]"),
            ((Order(id=1, items={"x": [0, 1, 2, ...]}),), {}, "args[0].items['x'][3]"),
            ((), {"limit": (1, ...)}, "kwargs['limit'][1]"),
            ((Point(1, [...]),), {}, "args[0].y[0]"),
            ((Person(name="A", nick=...),), {}, "args[0].nick"),
            (([{1, ...}],), {}, "args[0][0]{...}"),
            (({..., 1},), {}, "args[0]{...}"),
            (({(1, ...): 1},), {}, "args[0].keys()[1]"),
            (({1: "a", 2: ...},), {}, "args[0][2]"),
            (([[]] * 5 + [[Text("a")]],), {}, "args[0][5][0]"),
        ],
    )
    def test_names_the_path(
        self, codec: Codec, args: tuple[Any, ...], kwargs: dict[str, Any], path: str
    ) -> None:
        with pytest.raises(Unserializable) as refused:
            codec.encode_call(args, kwargs, limit=LIMIT)

        assert refused.value.path == path

    def test_calls_a_result_a_result(self, codec: Codec) -> None:
        with pytest.raises(Unserializable, match=r"^result\[0\] = Ellipsis cannot be stored: "):
            codec.encode([...], limit=LIMIT, root="result")

    def test_shortens_what_it_shows(self, codec: Codec) -> None:
        with pytest.raises(Unserializable) as refused:
            codec.encode(collections.OrderedDict.fromkeys(range(10**5)), limit=LIMIT)

        assert len(str(refused.value)) < 300

    def test_of_what_contains_itself_says_where(self, codec: Codec) -> None:
        loop: dict[str, Any] = {"a": 1}
        loop["list"] = [0, loop]

        with pytest.raises(Unserializable, match="it contains itself") as refused:
            codec.encode_call(([loop],), {}, limit=LIMIT)
        assert refused.value.path == "args[0][0]['list'][1]"

        with pytest.raises(Unserializable, match="it contains itself") as refused:
            codec.encode(loop, limit=LIMIT)
        assert refused.value.path == "value['list'][1]"

    @pytest.mark.parametrize(
        "wrap", [lambda each: [each], lambda each: (each,), lambda each: {"a": each}, Point, an_order]
    )
    def test_begins_one_level_below_the_deepest_that_fits(
        self, codec: Codec, wrap: Callable[[Any], Any]
    ) -> None:
        deepest: Any = 1
        for _ in range(MAX_DEPTH):
            deepest = wrap(deepest)

        text = codec.encode_call((deepest,), {"a": deepest}, limit=LIMIT)
        with pytest.raises(Unserializable, match="nested deeper than 100 levels"):
            codec.encode_call((wrap(deepest),), {}, limit=LIMIT)

        assert codec.decode_call(text) == ((deepest,), {"a": deepest})

    @pytest.mark.parametrize("innermost", [[], {}, ()])
    def test_counts_empty_containers(self, codec: Codec, innermost: Any) -> None:
        deep = innermost
        for _ in range(MAX_DEPTH):
            deep = [deep]

        with pytest.raises(Unserializable, match="nested deeper than 100 levels"):
            codec.encode(deep, limit=LIMIT)

    def test_of_what_is_far_too_deep_is_the_same(self, codec: Codec) -> None:
        deep: Any = ...
        for _ in range(100_000):
            deep = [deep]

        with pytest.raises(Unserializable, match="nested deeper than 100 levels") as refused:
            codec.encode_call((deep,), {}, limit=LIMIT)

        assert refused.value.path.startswith("args[0][0][0]")
        assert refused.value.path.endswith("...")

    def test_says_so_when_the_caller_has_used_up_the_stack(self, codec: Codec) -> None:
        deep: Any = ()
        for _ in range(MAX_DEPTH - 1):
            deep = (deep,)

        def recurse() -> None:
            try:
                recurse()
            except RecursionError:
                codec.encode(deep, limit=LIMIT)

        with pytest.raises((Unserializable, RecursionError)):
            recurse()


class TestLimit:
    @pytest.mark.parametrize("value", ["é" * 10, ["é" * 10], [b"x", "é"], {1: 2}])
    def test_counts_the_bytes_that_are_stored(self, codec: Codec, value: Any) -> None:
        size = len(codec.encode(value, limit=LIMIT).encode("ascii"))

        codec.encode(value, limit=size)
        with pytest.raises(PayloadTooLarge) as refused:
            codec.encode(value, limit=size - 1)

        assert (refused.value.size, refused.value.limit) == (size, size - 1)

    def test_holds_for_a_whole_call(self, codec: Codec) -> None:
        with pytest.raises(PayloadTooLarge):
            codec.encode_call(("a" * 50,), {"b": "b" * 50}, limit=100)

    @pytest.mark.parametrize("empty", [[], (), {}, [b""]])
    def test_stops_what_would_double_at_each_level(self, codec: Codec, empty: Any) -> None:
        bomb = empty
        for _ in range(MAX_DEPTH - 2):
            bomb = [bomb, bomb]

        with pytest.raises(PayloadTooLarge):
            codec.encode_call((bomb,), {}, limit=10_000)


tags = st.sampled_from([*READERS, "!object", "!", "!later", "root", "name", "x"])
scraps = st.one_of(
    plain_leaves,
    st.sampled_from([f"{HERE}:{cls.__qualname__}" for cls in REGISTERED]),
    st.sampled_from(["RED", "2026-01-31", "09:00", "UTC", "/", "../x", "America", "YQ==", "ff", "os:system"]),
    st.sampled_from([10**400, 1e308, -1]),
)
json_like = st.recursive(
    scraps,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(tags | any_text, inner, max_size=3)
        | st.dictionaries(tags, inner, min_size=1, max_size=1)
    ),
    max_leaves=20,
)


class TestDamage:
    @given(st.text() | st.text('[]{}":,!0123456789.eE-+ntfaulse '))
    def test_never_raises_anything_else(self, text: str) -> None:
        codec = Codec(REGISTERED)

        for decode in (codec.decode, codec.decode_call):
            with contextlib.suppress(UndecodablePayload):
                decode(text)

    @given(json_like)
    def test_in_any_json_is_said_and_the_rest_can_be_written_again(self, value: Any) -> None:
        codec = Codec(REGISTERED)
        text = json.dumps(value)

        try:
            found = codec.decode(text)
        except UndecodablePayload:
            return

        assert canonical(codec.decode(codec.encode(found, limit=LIMIT))) == canonical(found)

    @given(anything, st.data())
    def test_of_one_character_is_never_fatal(self, value: Any, data: st.DataObject) -> None:
        codec = Codec(REGISTERED)
        text = codec.encode(value, limit=LIMIT)
        at = data.draw(st.integers(0, len(text) - 1))

        damaged = (
            text[:at]
            + data.draw(st.sampled_from(["", '"', "]", "0", "\\", "!", "\x00", "é"]))
            + text[at + 1 :]
        )

        with contextlib.suppress(UndecodablePayload):
            codec.decode(damaged)

    @pytest.mark.parametrize("text,detail",
        [
            ("", "no payload: JSONDecodeError"),
            ("[1", "no payload: JSONDecodeError"),
            ("1 2", "no payload: extra data from character 1"),
            ("NaN", "NaN is no JSON"),
            ('[{"!tuple":[]},-Infinity]', "-Infinity is no JSON"),
            ("9" * 10_000, "no payload: ValueError"),
            ('{"!later":1}', "unknown tag '!later'; was it written by a newer taskmill?"),
            ('{"!int":"1","a":2}', "unknown tag '!int'"),
            ('{"!int":255}', "bad content of !int: TypeError: a string was expected, found int"),
            ('{"!tuple":{"a":1}}', "bad content of !tuple: TypeError: a list was expected, found dict"),
            ('{"!bytes":"a"}', "bad content of !bytes: Error"),
            ('{"!dict":["ab"]}', "bad content of !dict: TypeError"),
            ('{"!dict":[[[],1]]}', "bad content of !dict: TypeError: unhashable type: 'list'"),
            ('{"!dict":[[1,2,3]]}', "bad content of !dict: ValueError"),
            ('{"!set":[{}]}', "bad content of !set: TypeError: unhashable type: 'dict'"),
            ('{"!fraction":[1,0]}', "bad content of !fraction: ZeroDivisionError"),
            ('{"!zoneinfo":"Mars/Olympus"}', "bad content of !zoneinfo: ZoneInfoNotFoundError"),
            ('{"!zoneinfo":"../../etc/passwd"}', "bad content of !zoneinfo: ValueError"),
            ('{"!date":"' + "x" * 1000 + '"}', "bad content of !date: ValueError: Invalid isoformat"),
            (
                '{"!object":["os:system","reboot"]}',
                "class 'os:system' is not registered here: call mill.register(system), or",
            ),
            ('{"!object":[["a"],1]}', "bad content of !object: TypeError: unhashable"),
            ('{"!object":[]}', "bad content of !object: ValueError"),
            (f'{{"!object":["{HERE}:Colour","GREEN"]}}', "bad content of !object: KeyError: 'GREEN'"),
            (f'{{"!object":["{HERE}:Colour",1]}}', "bad content of !object: TypeError: a string was"),
            (f'{{"!object":["{HERE}:Rights",64]}}', "bad content of !object: ValueError"),
            (f'{{"!object":["{HERE}:Order",{{"id":1}}]}}', "bad content of !object: TypeError"),
            (f'{{"!object":["{HERE}:Order","id"]}}', "TypeError: an object was expected, found str"),
            (f'{{"!object":["{HERE}:Item",{{"name":"a","__class__":1}}]}}', "there is no field '__class__'"),
            (f'{{"!object":["{HERE}:Point",{{"y":1}}]}}', "bad content of !object: KeyError: 'x'"),
            (f'{{"!object":["{HERE}:Person",{{"name":1}}]}}', "bad content of !object: ValidationError"),
        ],
    )  # fmt: skip
    def test_is_described(self, codec: Codec, text: str, detail: str) -> None:
        with pytest.raises(UndecodablePayload) as refused:
            codec.decode(text)

        assert detail in str(refused.value)
        assert len(str(refused.value)) < 400

    @pytest.mark.parametrize(
        "text", ["7", "null", "[]", "[[]]", "[{},[]]", "[[],{},1]", '"ab"', '[[],{"!dict":[[1,2]]}]']
    )
    def test_of_a_call_is_described(self, codec: Codec, text: str) -> None:
        with pytest.raises(UndecodablePayload, match="no call: expected"):
            codec.decode_call(text)

    @pytest.mark.parametrize("text", [None, b"[[],{}]", 7])
    def test_by_a_value_that_is_no_text_is_said_too(self, codec: Codec, text: Any) -> None:
        with pytest.raises(UndecodablePayload):
            codec.decode_call(text)

    @pytest.mark.parametrize("opening", ["[", '{"a":', '{"!tuple":[', '{"!dict":[[1,'])
    def test_by_nesting_is_no_crash(self, codec: Codec, opening: str) -> None:
        with pytest.raises(UndecodablePayload):
            codec.decode(opening * 100_000)

    def test_by_closed_nesting_is_no_crash(self, codec: Codec) -> None:
        with pytest.raises(UndecodablePayload, match="RecursionError"):
            codec.decode("[" * 100_000 + "]" * 100_000)

    def test_that_a_class_finds_itself_is_described(self) -> None:
        codec = Codec([Wrong])
        text = codec.encode(Wrong(1), limit=LIMIT)

        with pytest.raises(
            UndecodablePayload, match="bad content of !object: RuntimeError: value below zero"
        ):
            codec.decode(text.replace("1", "-1"))

    def test_never_leads_to_an_import(self, codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("something was imported")

        before = set(sys.modules)
        monkeypatch.setattr(builtins, "__import__", refuse)
        for name in ("antigravity:x", "this:s", "os:system", "builtins:eval", "xml.dom.minidom:parse", "a"):
            for state in ('"x"', "{}", "1", "[]"):
                with pytest.raises(UndecodablePayload, match="is not registered here"):
                    codec.decode(f'[{{"!object":["{name}",{state}]}}]')

        assert set(sys.modules) == before


class TestRegister:
    @pytest.mark.parametrize(
        "cls",
        [int, dict, object, collections.OrderedDict, Text, datetime, enum.Enum, Row, pydantic.SecretStr],
    )
    def test_refuses_what_it_could_not_rebuild(self, cls: type) -> None:
        with pytest.raises(TypeError, match="cannot be rebuilt from its fields"):
            Codec().register(cls)

    def test_refuses_a_dataclass_that_needs_more_than_its_fields(self) -> None:
        with pytest.raises(TypeError, match=r"NeedsMore cannot be rebuilt from its fields alone: .*'scale'"):
            Codec().register(NeedsMore)

    def test_refuses_a_dataclass_that_also_holds_items(self) -> None:
        @dataclasses.dataclass
        class Both(dict[str, int]):
            value: int

        with pytest.raises(TypeError, match="Both cannot be rebuilt"):
            Codec().register(Both)

    @pytest.mark.parametrize("cls", ["Colour", list[int], None])
    def test_refuses_what_is_no_class(self, cls: Any) -> None:
        with pytest.raises(TypeError, match="is no class"):
            Codec().register(cls)

    def test_includes_the_classes_of_the_fields(self) -> None:
        codec = Codec([Order])

        order = Order(id=1, items={}, colour=Colour.BLUE)

        assert codec.decode(codec.encode(order, limit=LIMIT)) == order

    def test_does_not_include_subclasses(self) -> None:
        class Special(Item):
            pass

        with pytest.raises(Unserializable, match="Special"):
            Codec([Item]).encode(Special("a"), limit=LIMIT)

    def test_again_under_the_same_name_replaces_the_class(self) -> None:
        def cell() -> type[enum.Enum]:
            return enum.Enum("Cell", ["A"], module="__main__")

        old, new = cell(), cell()
        codec = Codec([old])

        codec.register(new)
        codec.register(new)

        assert codec.decode(codec.encode(new["A"], limit=LIMIT)) is new["A"]
        with pytest.raises(Unserializable):
            codec.encode(old["A"], limit=LIMIT)

    def test_leaves_other_codecs_alone(self) -> None:
        text = Codec([Point]).encode(Point(1), limit=LIMIT)

        with pytest.raises(UndecodablePayload, match=r"call mill\.register\(Point\)"):
            Codec().decode(text)


class TestClasses:
    def test_a_dataclass_keeps_fields_that_are_no_arguments(self, codec: Codec) -> None:
        value = Doubled(2)
        object.__setattr__(value, "label", "changed since")

        copy = codec.decode(codec.encode(value, limit=LIMIT))

        assert (copy.value, copy.label) == (4, "changed since")
        assert not hasattr(copy, "never_set")

    def test_a_field_with_a_default_may_be_added_later(self, codec: Codec) -> None:
        assert codec.decode(f'{{"!object":["{HERE}:Item",{{"name":"a"}}]}}') == Item("a")
        assert codec.decode(f'{{"!object":["{HERE}:Point",{{"x":1}}]}}') == Point(1)
        assert codec.decode(f'{{"!object":["{HERE}:Person",{{"name":"a"}}]}}') == Person(name="a")

    def test_a_model_keeps_which_fields_were_given(self, codec: Codec) -> None:
        patch = Person(name="A", home=Address(str="Main"), nick=(1, 2))

        copy = codec.decode(codec.encode(patch, limit=LIMIT))

        assert copy == patch
        assert copy.model_dump(exclude_unset=True) == patch.model_dump(exclude_unset=True)

    def test_a_model_of_older_pydantic_with_aliases_is_refused(self) -> None:
        class Old:
            model_fields: ClassVar = {"a": Address.model_fields["street"]}

            @classmethod
            def model_validate(cls, _: object) -> None: ...

        with pytest.raises(TypeError, match=r"from pydantic 2\.11 on"):
            Codec().register(Old)

    def test_a_model_of_older_pydantic_without_aliases_works(self) -> None:
        codec = Codec([Older])
        value = Older(a=(1, 2))

        assert vars(codec.decode(codec.encode(value, limit=LIMIT))) == vars(value)

    def test_a_dynamic_member_is_refused(self) -> None:
        member = object.__new__(Colour)
        member._name_ = "GREEN"

        with pytest.raises(Unserializable, match="no member of its Enum"):
            Codec([Colour]).encode(member, limit=LIMIT)


class Older:
    """What the codec asks of a model, as pydantic 2.0 had it."""

    model_fields: ClassVar = {"a": Person.model_fields["name"]}
    model_extra = None

    def __init__(self, a: Any) -> None:
        self.a = a

    @property
    def model_fields_set(self) -> set[str]:
        return {"a"}

    @classmethod
    def model_validate(cls, fields: dict[str, Any]) -> Older:
        return cls(**fields)


Money = typing.NewType("Money", Point)
Bound = typing.TypeVar("Bound", bound=Item)
Either = typing.TypeVar("Either", Order, Level)
Held = typing.TypeVar("Held")


class Movie(typing.TypedDict):
    made: Item
    rights: typing.NotRequired[Rights]


@dataclasses.dataclass
class Node:
    """Refers to itself, to what cannot be resolved, and to what can."""

    next: Node | None
    lost: Nowhere  # type: ignore[name-defined]  # noqa: F821
    colour: list[Colour] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Box(typing.Generic[Held]):
    inside: Held


class Crate(pydantic.BaseModel, typing.Generic[Held]):
    inside: Held


class TestClassesIn:
    @pytest.mark.parametrize(
        "annotation,expected",
        [
            (int, set()),
            (None, set()),
            ("Item", set()),
            (object(), set()),
            (Any, set()),
            (Level, {Level}),
            (Item | None, {Item}),
            (typing.Union[Level, list[Rights]], {Level, Rights}),  # noqa: UP007
            (typing.Optional[Point], {Point}),  # noqa: UP045
            (dict[str, tuple[Level, ...]], {Level}),
            (typing.Annotated[Level, Point(1)], {Level}),
            (typing.Literal[Colour.RED, "a", 1], {Colour}),
            (Callable[[Level], Rights], {Level, Rights}),
            (Money, {Point}),
            (Bound, {Item}),
            (list[Either], {Order, Colour, Level}),  # type: ignore[valid-type]
            (Movie, {Item, Rights}),
            (Order, {Order, Colour}),
            (Person, {Person, Address}),
            (Crate[Level], {Crate[Level], Level}),
            (Box[Level], {Box, Level}),
            (NeedsMore, set()),
            (type[Item], {Item}),
        ],
    )
    def test_finds_what_can_be_registered(self, annotation: Any, expected: set[type]) -> None:
        assert classes_in(annotation) == expected

    def test_goes_round_in_no_circle_and_skips_what_cannot_be_resolved(self) -> None:
        assert classes_in(Node) == {Node, Colour}

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement came with 3.12")
    def test_looks_through_a_type_statement(self) -> None:
        scope: dict[str, Any] = {"Item": Item}
        exec("type Tree = Item | list[Tree]\ntype Lost = Nowhere", scope)  # noqa: S102

        assert classes_in(scope["Tree"]) == {Item}
        assert classes_in(scope["Lost"]) == set()


def test_pure_paths_of_this_system_are_kept_as_such() -> None:
    codec = Codec()

    assert type(codec.decode(codec.encode(PurePath("a"), limit=LIMIT))) is type(PurePath("a"))


class TestScript:
    """What a program that is run says of its classes is understood where it is imported, and the other way round."""

    APP = """
        import dataclasses, enum, sys, typing
        from taskmill import Mill

        mill = Mill("sqlite:///jobs.db")

        class Size(enum.Enum):
            SMALL = "S"

        @dataclasses.dataclass
        class Item:
            name: str
            size: Size

        class Point(typing.NamedTuple):
            x: int

        @mill.register
        @dataclasses.dataclass
        class Extra:
            points: list[Point]

        @mill.task
        def pack(item: Item, extra: object) -> Item: ...

        def the_call():
            return (Item("pen", Size.SMALL), Extra([Point(1)]))

        def read(job_id):
            job = mill.app.storage.inspection.job(job_id)
            assert mill.app.tasks[job.task] is pack
            args, _ = mill.app.codec.decode_call(job.args)
            assert args == the_call(), args
            return [type(each).__module__ for each in args]

        if __name__ == "__main__":
            print(read(*sys.argv[1:]) if sys.argv[1:] else pack.enqueue(*the_call()).id)
    """
    IMPORTER = """
        import sys
        import {module} as app
        print(app.read(*sys.argv[1:]) if sys.argv[1:] else app.pack.enqueue(*app.the_call()).id)
    """

    def python(self, *command: str, folder: Path) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @pytest.mark.parametrize(
        "file,command,module",
        [
            ("app.py", ["app.py"], "app"),
            ("app.py", ["-m", "app"], "app"),
            ("shop/app.py", ["-m", "shop.app"], "shop.app"),
            ("shop/__main__.py", ["-m", "shop"], "shop.__main__"),
        ],
    )
    def test_agrees_with_its_importers(
        self, tmp_path: Path, file: str, command: list[str], module: str
    ) -> None:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(inspect.cleandoc(self.APP))
        importer = ["-c", inspect.cleandoc(self.IMPORTER.format(module=module))]

        run_here = self.python(*command, folder=tmp_path)
        imported_here = self.python(*importer, folder=tmp_path)

        assert self.python(*importer, run_here, folder=tmp_path) == f"['{module}', '{module}']"
        assert self.python(*command, imported_here, folder=tmp_path) == "['__main__', '__main__']"

    def test_at_a_prompt_has_no_name(self, tmp_path: Path) -> None:
        program = """
            import enum
            from taskmill._core.payload import Codec
            Size = enum.Enum("Size", ["SMALL"], module=__name__)
            print(Codec([Size]).encode(Size.SMALL, limit=100))
        """

        text = self.python("-c", inspect.cleandoc(program), folder=tmp_path)

        assert text == '{"!object":["__main__:Size","SMALL"]}'


@pytest.mark.parametrize("public", [Codec, classes_in])
def test_the_examples_run(public: Any) -> None:
    assert doctest.testmod(sys.modules[public.__module__]).failed == 0
