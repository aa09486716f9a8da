"""Which jobs are meant: by what they are, by when they came and ended, by what they say."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from taskmill._core.job import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The jobs that match all that is given; what is left out lets every job pass.

    - `states`: in one of these.
    - `lowest`, `highest`: of a priority between these, both included.
    - `enqueued_from`, `enqueued_before`, `ended_from`, `ended_before`: instants in microseconds; those that have not
      ended match neither of the latter two.
    - `session`: that has the job or, once it has ended, had it.
    - `text`: is found in a job's id, task, queue or key or, as JSON writes it, in its tags, arguments, result or error;
      A to Z are the same as a to z.
    """

    states: Collection[State] = ()
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    lowest: int | None = None
    highest: int | None = None
    enqueued_from: int | None = None
    enqueued_before: int | None = None
    ended_from: int | None = None
    ended_before: int | None = None
    session: int | None = None
    text: str | None = None


EVERY = Filter()
"""All jobs."""
