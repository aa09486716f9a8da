"""The checks that options of tasks and of calls share; each raises ValueError with one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from taskmill._core.instant import DAY, duration, from_datetime
from taskmill._core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from taskmill._core.wording import nearest

Duration = float | timedelta
"""Seconds, or a timedelta."""

_LONGEST_TEXT = 1_000
# Whatever is longer was meant otherwise, and added to now it would leave the calendar.
_LONGEST_DURATION = 1000 * 366 * DAY


@contextmanager
def refused_as(kind: type[Exception]) -> Iterator[None]:
    """Let what these checks refuse be an error of *kind*."""
    try:
        yield
    except ValueError as error:
        raise kind(str(error)) from None


def known(kind: str, name: str, names: Iterable[str]) -> None:
    """Refuse a *name* that is not one of *names*, with the nearest one as a suggestion."""
    names = tuple(names)
    if name in names:
        return
    raise ValueError(f"there is no {kind} {name!r}{nearest(name, names)}: it is one of {', '.join(names)}")


def micros(option: str, value: object) -> int:
    """The microseconds of a duration from 0 up."""
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise ValueError(f"{option}={value!r} is no duration: give seconds or a timedelta")  # noqa: TRY004
    try:
        found = duration(value)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{option}={value!r} is no duration: give seconds or a timedelta from 0 up"
        ) from None
    if found > _LONGEST_DURATION:
        raise ValueError(f"{option}={value!r} is longer than a thousand years")
    return found


def micros_or_none(option: str, value: object) -> int | None:
    """As `micros`, or None."""
    return None if value is None else micros(option, value)


def instant(option: str, value: object) -> int:
    """The instant of an aware datetime."""
    if not isinstance(value, datetime):
        raise ValueError(f"{option}={value!r} is no instant: give an aware datetime")  # noqa: TRY004
    try:
        return from_datetime(value)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def whole(option: str, value: object, lowest: int, highest: int) -> int:
    """An int within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(f"{option}={value!r} is not a whole number from {lowest:,} to {highest:,}")
    return value


def priority(value: object) -> int:
    """A priority; higher runs first."""
    return whole("priority", value, LOWEST_PRIORITY, HIGHEST_PRIORITY)


def attempts(retries: object) -> int:
    """How many attempts that many retries make."""
    return whole("retries", retries, 0, 1_000_000) + 1


def number(option: str, value: object, lowest: float, highest: float) -> float:
    """A number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise ValueError(f"{option}={value!r} is not a number from {lowest:g} to {highest:g}")
    return float(value)


def text(option: str, value: object) -> str:
    """One line of text that is not blank; it ends up in tables, logs and terminals."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{option}={value!r} is not one line of printable text")
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"{option} has {len(value):,} characters, the limit is {_LONGEST_TEXT:,}")
    return value


def text_or_none(option: str, value: object) -> str | None:
    """As `text`, or None."""
    return None if value is None else text(option, value)


def one_of(option: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse what is not one of *choices*."""
    if value not in choices:
        raise ValueError(f"{option}={value!r} is not one of {', '.join(map(repr, choices))}")


def errors(option: str, value: object) -> None:
    """Refuse what `isinstance` would not take as classes of exceptions."""
    classes = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(item, type) and issubclass(item, BaseException) for item in classes):
        raise ValueError(f"{option}={value!r} is no class of exceptions, nor a tuple of them")


def queue(value: object) -> str:
    """The name of a queue; a comma would part it in two on the command line."""
    name = text("queue", value)
    if "," in name:
        raise ValueError(f"queue={value!r}: the name of a queue has no comma")
    return name


def texts(option: str, values: object) -> tuple[str, ...]:
    """Several texts; a single one is most likely a forgotten comma."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{option}={values!r} is not a list of texts")  # noqa: TRY004
    return tuple(text(option, value) for value in values)


def headers(value: object) -> dict[str, str]:
    """Text by text."""
    if not isinstance(value, Mapping):
        raise ValueError(f"headers={value!r} is not a dict of texts")  # noqa: TRY004
    return {text("headers", key): _header(key, item) for key, item in value.items()}


def _header(key: object, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"headers[{key!r}]={value!r} is not a text")  # noqa: TRY004
    return value
