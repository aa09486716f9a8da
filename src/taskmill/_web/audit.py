"""Who did what from the dashboard."""

from __future__ import annotations

from contextlib import AbstractContextManager

from taskmill._app import audit
from taskmill._app.audit import Actor, Count
from taskmill._web.visit import Visit


def note(visit: Visit, deed: str, of: str, *, done: bool) -> None:
    """Say that the visitor of this request did it to *of*, or tried to."""
    audit.note(visit.app, _actor(visit), deed, of, number=int(done))


def noting(visit: Visit, deed: str, of: str) -> AbstractContextManager[Count]:
    """Likewise, of what the block does to many."""
    return audit.noting(visit.app, _actor(visit), deed, of)


def _actor(visit: Visit) -> Actor:
    client = visit.request.client
    return Actor(visit.visitor.name if visit.visitor else "nobody", client.host if client else "")
