"""What the steps measure with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple, ParamSpec, TypeVar

from taskmill import Result
from taskmill.errors import ResultError

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 30.0
"""How long a step waits, in seconds, for what usually takes milliseconds: the machine may be busy."""

SOON = 5.0
"""What still counts as soon, in seconds; the figure that was measured is shown."""


class Span(NamedTuple):
    """From when to when some work was done, on the clock that all processes of a host share, and by whom."""

    began_at: float
    ended_at: float
    pid: int


def most_at_once(spans: Iterable[Span]) -> int:
    """How many of *spans* overlapped, at most."""
    changes = [change for span in spans for change in ((span.began_at, 1), (span.ended_at, -1))]
    level = highest = 0
    for _, change in sorted(changes):
        level += change
        highest = max(highest, level)
    return highest


def longest_gap(spans: Iterable[Span]) -> float:
    """The longest pause between one span and the next, in seconds."""
    return max(later.began_at - earlier.ended_at for earlier, later in pairwise(sorted(spans)))


def timed(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> tuple[R, float]:
    """What the call returned, and how many seconds it took."""
    began_at = time.monotonic()
    value = call(*args, **kwargs)
    return value, time.monotonic() - began_at


def error_of(result: Result[Any], timeout: float = PATIENCE) -> ResultError | None:
    """What its `get` raises; None if it returns a value."""
    try:
        result.get(timeout)
    except ResultError as error:
        return error
    return None


def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so; TimeoutError if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it was not so within {PATIENCE:g} s")
        time.sleep(0.005)


def shown(seconds: float) -> str:
    """A duration for people."""
    unit = f"{seconds * 1000:.1f} ms" if abs(seconds) < 1 else f"{seconds:.2f} s"
    return unit.replace(" ", "\N{NO-BREAK SPACE}")


def said(error: Exception | None) -> str:
    """What was raised, in a line."""
    if error is None:
        return "nothing"
    message = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {message}"
