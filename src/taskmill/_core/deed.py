"""Who did what to jobs, queues and schedules by hand: what the audit remembers."""

from __future__ import annotations

from typing import NamedTuple

MOST_DEEDS = 10_000
"""How many are remembered."""


class Deed(NamedTuple):
    """Something that was done by hand, or tried.

    *who* did it, and from which address or machine (*origin*); *what* was done to which job, queue or schedule
    (*subject*), and to how many jobs or other things in all (*number*: 0 where nothing came of it). *deed_id* is made
    by who notes it, so that it is noted once.
    """

    deed_id: str
    who: str
    origin: str
    what: str
    subject: str
    number: int
