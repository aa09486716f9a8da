"""Who did what by hand: noted in the store, and said in the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from taskmill._core.deed import Deed
from taskmill._core.identity import new_job_id
from taskmill._core.wording import clean
from taskmill.errors import StoreError

if TYPE_CHECKING:
    from taskmill._app.application import Application

_LONGEST = 1_000


class Actor(NamedTuple):
    """Who does something, and from which address or machine."""

    name: str
    origin: str


class Count:
    """What a deed has come to so far: called with how many things."""

    number = 0

    def __call__(self, number: int) -> None:
        self.number = number


@contextmanager
def noting(app: Application, actor: Actor, what: str, subject: str) -> Iterator[Count]:
    """As `note`, of what the block does: with the number that it came to, also where it is broken off."""
    count = Count()
    try:
        yield count
    finally:
        note(app, actor, what, subject, number=count.number)


def note(app: Application, actor: Actor, what: str, subject: str, *, number: int) -> None:
    """Say that somebody did *what* to *subject*, *number* things in all; 0 where nothing came of it.

    A store that cannot take it in is told of in the log: what was done is done.
    """
    import logging  # noqa: PLC0415  (7 ms of the import, and only who acts needs it)

    logger = logging.getLogger("taskmill.audit")
    who, origin, what, subject = (clean(text)[:_LONGEST] for text in (*actor, what, subject))
    logger.info("%s (%s): %s %s%s", who, origin, what, subject, "" if number else " (nothing was done)")
    try:
        app.storage.audit.append(Deed(new_job_id(), who, origin, what, subject, number))
    except StoreError as trouble:
        logger.error("that could not be noted in the store: %s", trouble)  # noqa: TRY400  (its message says it all)
