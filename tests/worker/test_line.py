"""The line between two processes: whole messages, in order, and no waiting for one that stands still."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from taskmill._core.event import Notice
from taskmill._core.job import Claimed, ErrorInfo, Reason, State
from taskmill._core.lifecycle import Settlement, Transition
from taskmill._worker.line import Line
from taskmill._worker.messages import LANGUAGE, Dump, Ready, Stop, Told, WantsReplacement


@pytest.fixture
def ends() -> Iterator[tuple[Line, Line]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Line(ours, LANGUAGE), Line(theirs, LANGUAGE)


@pytest.fixture
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_what_is_said_is_heard_as_it_was(ends: tuple[Line, Line]) -> None:
    here, there = ends
    claimed = Claimed(1, "id", "task", "q", "thread", 1, 1, 1, True, "[[],{}]", None, None, 2)
    transition = Transition(
        State.FAILED, "failed", error=ErrorInfo("E", "line\nbreak"), reason=Reason.TIMEOUT
    )
    messages = [
        Ready(),
        WantsReplacement("because", Settlement(claimed, transition, 7)),
        Told((Notice("failed", "id", Reason.CRASHED), Notice("rescued", "other"))),
        Stop(None),
    ]

    for message in messages:
        here.say(message)

    heard = there.hear()
    assert heard == messages
    settlement = heard[1].settlement
    assert settlement.transition.state is State.FAILED


def test_a_message_that_comes_in_parts_is_heard_when_it_is_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        there = Line(theirs, LANGUAGE)
        line = LANGUAGE.line_of(Stop(2.5))
        ours.send(line[:5])
        before = there.hear()
        ours.send(line[5:])

        assert (before, there.hear()) == ([], [Stop(2.5)])


def test_what_several_threads_say_at_once_is_heard_whole_and_once(
    ends: tuple[Line, Line], switching_often: None
) -> None:
    here, there = ends
    heard: list[int] = []
    speakers = [
        threading.Thread(target=lambda first=first: [here.say(Stop(first + n)) for n in range(2_000)])
        for first in range(0, 8_000, 2_000)
    ]
    for speaker in speakers:
        speaker.start()
    while any(speaker.is_alive() for speaker in speakers):
        heard += [stop.grace for stop in there.overhear()]
    here.say(Stop(8_000))
    while 8_000 not in heard:
        heard += [stop.grace for stop in there.hear() or ()]
        here.say(Stop(8_001))

    assert sorted(number for number in heard if number < 8_000) == list(range(8_000))


def test_nothing_said_and_a_closed_end_are_told_apart(ends: tuple[Line, Line]) -> None:
    here, there = ends
    silence = there.overhear()
    here.close()

    assert (silence, there.hear()) == ((), None)


def test_who_does_not_listen_keeps_nobody_waiting_and_hears_all_of_it_later(ends: tuple[Line, Line]) -> None:
    here, there = ends
    for _ in range(40_000):
        here.say(Dump())

    heard = 0
    while heard < 40_000:
        heard += len(there.hear() or ())
        here.say(Dump())
    assert heard >= 40_000


def test_to_speak_to_nobody_is_no_error(ends: tuple[Line, Line]) -> None:
    here, there = ends
    there.close()

    here.say(Dump())


def test_what_was_not_taken_in_goes_out_without_another_message(ends: tuple[Line, Line]) -> None:
    here, there = ends
    told = Told(tuple(Notice("rescued", f"{number:036}") for number in range(2_000)))
    said = [told, told, told, told, Stop(1.0)]
    for message in said:
        here.say(message)

    heard: list[object] = []
    while len(heard) < len(said):
        heard += there.overhear()
        here.say_the_rest()

    assert heard == said
