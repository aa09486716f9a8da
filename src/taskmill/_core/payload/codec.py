"""Values into text and back: the containers are written here, all else by the tables beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from typing import Any, Final, NoReturn

from taskmill._core.naming import module_name
from taskmill._core.payload.classes import (
    Take,
    classes_in,
    make_member,
    record,
    require_rebuildable,
    write_member,
)
from taskmill._core.payload.hints import hint_for
from taskmill._core.payload.leaves import LEAVES, write_str
from taskmill._core.payload.plain import is_plain, plain_names
from taskmill._core.payload.refusal import (
    Refusal,
    Step,
    at_attribute,
    at_element,
    at_index,
    at_item,
    at_key,
    shortened,
)
from taskmill._core.payload.tags import MAX_DEPTH, READERS, a_list
from taskmill.errors import PayloadTooLarge, UndecodablePayload, Unserializable

_EMPTY_CALL: Final = "[[],{}]"
_NO_STACK: Final = "the call stack is used up; call this less deep in a recursion"
# Made here too: Python calls the methods of a name that was imported more slowly, by a tenth of decode_call.
_ONLY_STR: Final = frozenset({str})


class Codec:
    """Turns values into text and back, exactly, or says what cannot be.

    Types are matched exactly: a subclass that is not registered is refused, since it would come back as
    something else. Safe to share between threads.

    >>> from datetime import date
    >>> from decimal import Decimal
    >>> codec = Codec()
    >>> text = codec.encode_call((Decimal("1.10"),), {"on": date(2026, 1, 31)}, limit=1_000)
    >>> text
    '[[{"!decimal":"1.10"}],{"on":{"!date":"2026-01-31"}}]'
    >>> codec.decode_call(text)
    ((Decimal('1.10'),), {'on': datetime.date(2026, 1, 31)})
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._leaves: dict[type, Callable[[Any], str]] = dict(LEAVES)
        self._writers: dict[type, Callable[[Any, int, int], str]] = {
            list: self._list,
            tuple: self._tuple,
            dict: self._dict,
            set: partial(self._set, "!set"),
            frozenset: partial(self._set, "!frozenset"),
        }
        self._readers: dict[str, Callable[[Any], Any]] = {**READERS, "!object": self._rebuild}
        self._makers: dict[str, Callable[..., Any]] = {}
        self._classes: dict[str, type] = {}
        self._write_plain = json.JSONEncoder(
            separators=(",", ":"), allow_nan=False, check_circular=False
        ).encode
        self._read_plain = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
        self._read_tagged = json.JSONDecoder(
            parse_constant=_refuse_constant, object_hook=self._revive
        ).raw_decode
        for cls in types:
            self.register(cls)

    def register(self, cls: type) -> None:
        """Let instances of *cls*, and of the classes in the annotations of its fields, be stored and rebuilt.

        A dataclass is rebuilt by its constructor, then each field is set to what it was; a pydantic model is
        validated anew; a NamedTuple or Enum runs no code of its own. What is no field is not stored. A class
        of the same module and name takes the place of the one before (a notebook cell that ran again).

        Raises:
            TypeError: *cls* is none of the four, or its fields are not enough to make it.
        """
        require_rebuildable(cls)
        for each in {cls, *classes_in(cls)}:
            self._add(each)

    def encode(self, value: object, *, limit: int, root: str = "value") -> str:
        """Return the text of *value*; *root* is what an error calls it.

        Raises:
            Unserializable: something in it has no lossless text; names the path and what to pass instead.
            PayloadTooLarge: the text, or that of a part of it, has more than *limit* bytes.
        """
        try:
            text = self._text(value, MAX_DEPTH, limit)
        except Refusal as refusal:
            raise refusal.located(root) from None
        except RecursionError:
            raise Unserializable(root, shortened(value), _NO_STACK) from None
        return _within(limit, text)

    def decode(self, text: str) -> Any:
        """Return the value that *text* was made from; imports nothing, makes no class that is not registered.

        Raises:
            UndecodablePayload: *text* is anything but what a codec with the same classes has written.
        """
        try:
            # Most texts have no tag, and the parser is three times as fast without a hook to look for them.
            value, end = self._read_tagged(text) if '"!' in text else self._read_plain(text)
        except UndecodablePayload:
            raise
        except Exception as error:
            raise UndecodablePayload(f"no payload: {_brief(error)}") from error
        if end != len(text):
            raise UndecodablePayload(f"no payload: extra data from character {end}")
        return value

    def encode_call(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, limit: int) -> str:
        """Return the text of a call; raises like `encode`, with paths such as ``args[0].items['x'][3]``."""
        if not args and not kwargs:
            return _EMPTY_CALL
        root = "args"
        try:
            items = ",".join(self._texts(args, MAX_DEPTH, limit))
            root = "kwargs"
            named = self._dict(kwargs, MAX_DEPTH, limit) if kwargs else "{}"
        except Refusal as refusal:
            raise refusal.located(root) from None
        except RecursionError:
            raise Unserializable(root, shortened(args if root == "args" else kwargs), _NO_STACK) from None
        return _within(limit, f"[[{items}],{named}]")

    def decode_call(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the args and kwargs that *text* was made from; raises like `decode`."""
        if text == _EMPTY_CALL:
            return (), {}
        call = self.decode(text)
        try:
            args, kwargs = call
        except (TypeError, ValueError):
            args = kwargs = None
        if type(args) is list and type(kwargs) is dict and _ONLY_STR.issuperset(map(type, kwargs)):
            return tuple(args), kwargs
        raise UndecodablePayload("no call: expected [[arg, ...], {name: value, ...}]")

    def _add(self, cls: type) -> None:
        name = f"{module_name(cls.__module__)}:{cls.__qualname__}"
        replaced = self._classes.get(name, cls)
        if replaced is not cls:
            self._leaves.pop(replaced, None)
            self._writers.pop(replaced, None)
        opening = f'{{"!object":[{write_str(name)},'
        if issubclass(cls, Enum):
            self._leaves[cls] = partial(write_member, opening)
            self._makers[name] = partial(make_member, cls)
        else:
            take, make = record(cls)
            self._writers[cls] = partial(self._object, opening, take)
            self._makers[name] = make
        self._classes[name] = cls

    # Writers. *room* is how many levels of containers may still follow.

    def _text(self, value: object, room: int, limit: int) -> str:
        leaf = self._leaves.get(type(value))
        return leaf(value) if leaf else self._node(value, room, limit)

    def _node(self, value: object, room: int, limit: int) -> str:
        write = self._writers.get(type(value))
        if write is None:
            raise Refusal(value, hint_for(value))
        if not room:
            raise Refusal(value, f"it is nested deeper than {MAX_DEPTH} levels")
        if room == MAX_DEPTH and (text := self._plain_text(value, limit)):
            return _within(limit, text)
        try:
            text = write(value, room - 1, limit)
        except Refusal as refusal:
            refusal.nodes.append(value)
            raise
        # Here and not only at the end: shared parts, each twice in the next, would double the text 100 times.
        return text if len(text) <= limit else _within(limit, text)

    def _plain_text(self, value: object, limit: int) -> str:
        # Tried once for each argument or result: for those that are all plain, C is twice as fast.
        if not is_plain(value, limit):
            return ""
        try:
            text = self._write_plain(value)
        except ValueError:  # nan, inf
            return ""
        return "" if '"!' in text or "\\ud" in text else text

    def _texts(
        self, values: Iterable[Any], room: int, limit: int, step: Step = at_index, owner: Any = None
    ) -> list[str]:
        texts: list[str] = []
        leaves = self._leaves
        try:
            for value in values:
                leaf = leaves.get(type(value))
                texts.append(leaf(value) if leaf else self._node(value, room, limit))
        except Refusal as refusal:
            refusal.steps.append(step(len(texts), owner))
            raise
        return texts

    def _list(self, value: list[Any], room: int, limit: int) -> str:
        return "[" + ",".join(self._texts(value, room, limit)) + "]"

    def _tuple(self, value: tuple[Any, ...], room: int, limit: int) -> str:
        return '{"!tuple":[' + ",".join(self._texts(value, room, limit)) + "]}"

    def _set(self, tag: str, value: Iterable[Any], room: int, limit: int) -> str:
        # The order of a set differs from process to process; equal sets should be equal text.
        return f'{{"{tag}":[{",".join(sorted(self._texts(value, room, limit, at_element)))}]}}'

    def _dict(self, value: dict[Any, Any], room: int, limit: int, step: Step = at_item) -> str:
        fields = value.copy()  # another thread may change the dict between its keys and its values
        names = plain_names(fields)
        keys = self._texts(fields, room, limit, at_key) if names is None else names
        texts = self._texts(fields.values(), room, limit, step, fields)
        pairs = zip(keys, texts, strict=True)
        if names is None:
            return '{"!dict":[[' + "],[".join(map(",".join, pairs)) + "]]}"
        return "{" + ",".join(map(":".join, pairs)) + "}"

    def _object(self, opening: str, take: Take, value: object, room: int, limit: int) -> str:
        parts = [self._dict(part, room, limit, at_attribute) for part in take(value)]
        return f"{opening}{','.join(parts)}]}}"

    # Readers

    def _revive(self, found: dict[str, Any]) -> Any:
        tag = next(iter(found), "")
        if tag[:1] != "!":
            return found
        read = self._readers.get(tag)
        if read is None or len(found) != 1:
            raise UndecodablePayload(f"unknown tag {tag!r:.100}; was it written by a newer taskmill?")
        try:
            return read(found[tag])
        except UndecodablePayload:
            raise
        except Exception as error:  # a class may raise anything when it is made
            raise UndecodablePayload(f"bad content of {tag}: {_brief(error)}") from error

    def _rebuild(self, content: object) -> object:
        name, *state = a_list(content)
        make = self._makers.get(name)
        if make is None:
            short = str(name).rpartition(":")[2]
            raise UndecodablePayload(
                f"class {name!r:.200} is not registered here: call mill.register({short:.100}), "
                "or name it in the annotations of the task"
            )
        return make(*state)


def _brief(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error!s:.200}"
    except Exception:  # noqa: BLE001  (an error of a user's class may fail to say what it is)
        return type(error).__name__


def _within(limit: int, text: str) -> str:
    if len(text) > limit:
        raise PayloadTooLarge(len(text), limit)
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
