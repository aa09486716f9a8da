"""Which jobs a list shows, as its address says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from taskmill._core.filter import Filter
from taskmill._core.instant import from_datetime
from taskmill._core.job import State

_LONGEST_TEXT = 200
_LARGEST = (1 << 31) - 1


class Wanted(NamedTuple):
    """Each as the address has it; what is left out, or cannot be read, lets every job pass. Times are UTC.

    *state* may be several, with commas between.
    """

    state: str | None = None
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    text: str | None = None
    lowest: str | None = None
    highest: str | None = None
    enqueued_from: str | None = None
    enqueued_before: str | None = None
    ended_from: str | None = None
    ended_before: str | None = None
    session: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is said."""
        return not any(self)

    @property
    def has_filter(self) -> bool:
        """Whether more is said than the state."""
        return any(self[1:])

    @property
    def has_rare(self) -> bool:
        """Whether something is said of what is seldom asked for."""
        return any(self[5:])

    @property
    def filter(self) -> Filter:
        """As stores take it."""
        read = {name: _READERS[name](text) for name, text in self.said.items() if name in _READERS}
        return Filter(
            states=self.states,
            task=self.task,
            queue=self.queue,
            tag=self.tag,
            text=self.text,
            **read,
        )

    @property
    def states(self) -> tuple[State, ...]:
        """Those that are asked for; none where all are."""
        return tuple(map(State, self.state.split(","))) if self.state else ()

    @property
    def said(self) -> dict[str, str]:
        """What is said, by its name."""
        return {name: text for name, text in self._asdict().items() if text}


def wanted_in(values: Callable[[str], str | None]) -> Wanted:
    """What an address or a form asks for."""
    said = {name: values(name) or "" for name in Wanted._fields}
    said["text"] = said["text"].strip()[:_LONGEST_TEXT]
    return Wanted(**{name: text for name, text in said.items() if text and _can_be_read(name, text)})


def _can_be_read(name: str, text: str) -> bool:
    if name == "state":
        return set(text.split(",")) <= set(State)
    try:
        _READERS.get(name, str)(text)
    except (ValueError, OverflowError):
        return False
    return True


def moment_in(text: str) -> datetime:
    """As a field for date and time says it, which has no time zone."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(text: str) -> int:
    return from_datetime(moment_in(text))


def _number(text: str) -> int:
    number = int(text)
    if abs(number) > _LARGEST:
        raise ValueError(text)
    return number


_READERS: Mapping[str, Callable[[str], int]] = {
    "lowest": _number,
    "highest": _number,
    "session": _number,
    "enqueued_from": _moment,
    "enqueued_before": _moment,
    "ended_from": _moment,
    "ended_before": _moment,
}
