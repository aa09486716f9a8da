"""The line between processes: messages arrive whole however they are cut; what is none is left out, and ends nobody."""

from __future__ import annotations

import json
import socket
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taskmill._core.event import Notice
from taskmill._core.job import EXECUTORS, Claimed, ErrorInfo, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._core.meter import Count
from taskmill._worker.line import Line
from taskmill._worker.messages import (
    LANGUAGE,
    Dumped,
    Hello,
    Leaving,
    Pulse,
    Ready,
    Stop,
    Told,
    WantsReplacement,
)
from tests.fuzz.damage import damaged_bytes

texts = st.text(max_size=10)
claims = st.builds(
    lambda *texts: Claimed(1, *texts, "thread", 1, 1, 1, True, "[[],{}]", None, None, 2),
    *(texts, texts, texts),
)
transitions = st.builds(
    Transition,
    st.sampled_from(State),
    texts,
    error=st.none() | st.builds(ErrorInfo, texts, texts),
    reason=st.none() | st.sampled_from(Reason),
)
settlements = st.builds(Settlement, claims, transitions, st.integers(0, 9))
numbers = st.integers(0, 9)
slots = st.tuples(st.sampled_from(EXECUTORS), numbers, numbers)
steps = st.lists(numbers, max_size=3).map(tuple)
counts = st.builds(
    Count,
    texts,
    texts,
    st.lists(st.tuples(st.just("failed"), numbers), max_size=2).map(tuple),
    steps,
    numbers,
    steps,
    numbers,
)
messages = st.one_of(
    st.builds(Hello, texts, st.integers(), st.integers(), st.integers()),
    st.just(Ready()),
    st.builds(
        Pulse, st.booleans(), st.lists(slots, max_size=3).map(tuple), st.lists(counts, max_size=3).map(tuple)
    ),
    st.builds(WantsReplacement, texts, st.none() | settlements),
    st.just(Dumped()),
    st.builds(Leaving, st.integers()),
    st.builds(Stop, st.none() | st.floats(allow_nan=False)),
    st.builds(Told, st.lists(st.builds(Notice, st.just("failed"), texts), max_size=3).map(tuple)),
)
names = st.sampled_from(
    ["Hello", "Ready", "Stop", "Told", "tuple", "State", "Reason", "Claimed", "Mallory", "__class__"]
)
told = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | names,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.builds(lambda name, more: [name, *more], names, st.lists(inner, max_size=4))
        | st.dictionaries(texts, inner, max_size=2)
    ),
    max_leaves=10,
)
rubbish = st.one_of(
    damaged_bytes(messages.map(LANGUAGE.line_of)),
    told.map(lambda value: json.dumps(value).encode()),
    st.binary(),
    st.sampled_from([b"[" * 100_000, b"\xff\xfe", b"", b"\xef\xbb\xbf[]", b"nan"]),
)


PART = 50_000
"""Less than what is heard at once."""


def heard(sent: bytes, cuts: list[int]) -> list[Any]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = Line(theirs, LANGUAGE)
        found: list[Any] = []
        for first, last in pairwise([0, *cuts, len(sent)]):
            if first < last:
                ours.sendall(sent[first:last])
                found += line.hear() or []
        return found


@given(st.lists(messages, max_size=4), st.data())
def test_messages_are_heard_whole_wherever_they_are_cut(said: list[Any], data: st.DataObject) -> None:
    sent = b"".join(map(LANGUAGE.line_of, said))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))

    assert heard(sent, cuts) == said


@given(st.lists(rubbish, min_size=1, max_size=3))
def test_what_is_no_message_is_left_out_and_what_follows_is_heard(lines: list[bytes]) -> None:
    sent = b"".join(line.removesuffix(b"\n") + b"\n" for line in lines)

    sent += LANGUAGE.line_of(Ready())
    found = heard(sent, [*range(PART, len(sent), PART)])

    assert found[-1] == Ready()
