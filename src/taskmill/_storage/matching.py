"""What it means that a job matches a filter, for stores whose jobs are looked through here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase

from taskmill._core.filter import Filter
from taskmill._core.job import State

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def matches(
    wanted: Filter,
    *,
    state: State,
    task: str,
    queue: str,
    tags: str | None,
    priority: int,
    enqueued_at: int,
    ended_at: int | None,
    session: int | None,
) -> bool:
    """Whether a job is what is *wanted*, its text left out: `holds` says that."""
    return (
        (not wanted.states or state in wanted.states)
        and wanted.task in {None, task}
        and wanted.queue in {None, queue}
        and wanted.session in {None, session}
        and (wanted.tag is None or wanted.tag in json.loads(tags or "[]"))
        and _lies_in(priority, wanted.lowest, None if wanted.highest is None else wanted.highest + 1)
        and _lies_in(enqueued_at, wanted.enqueued_from, wanted.enqueued_before)
        and _lies_in(ended_at, wanted.ended_from, wanted.ended_before)
    )


def _lies_in(number: int | None, first: int | None, end: int | None) -> bool:
    if first is None and end is None:
        return True
    return number is not None and (first is None or number >= first) and (end is None or number < end)


def holds(text: str, *, as_it_is: Iterable[str | None], as_json: Iterable[str | None]) -> bool:
    """Whether *text* is found in one of these, A to Z being the same as a to z; in those of JSON, as JSON writes it."""
    plain, written = text.translate(_LOWER), json.dumps(text)[1:-1].translate(_LOWER)
    return any(place is not None and plain in place.translate(_LOWER) for place in as_it_is) or any(
        place is not None and written in place.translate(_LOWER) for place in as_json
    )
