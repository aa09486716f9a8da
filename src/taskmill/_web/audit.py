"""Who did what from the dashboard: in the log, one line each."""

from __future__ import annotations

import logging

from taskmill._core.wording import clean
from taskmill._web.visit import Visit

logger = logging.getLogger("taskmill.dashboard")


def note(visit: Visit, deed: str, of: str, *, done: bool) -> None:
    """Say that the visitor of this request did it, or tried to."""
    who = visit.visitor.name if visit.visitor else "nobody"
    logger.info("%s: %s %s%s", clean(who), deed, clean(of), "" if done else " (nothing was done)")
