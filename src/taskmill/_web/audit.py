"""Who did what from the dashboard."""

from __future__ import annotations

from taskmill._app.audit import Actor
from taskmill._app.audit import note as note_deed
from taskmill._web.visit import Visit


def note(visit: Visit, deed: str, of: str, *, done: bool, number: int | None = None) -> None:
    """Say that the visitor of this request did it to *of*, or tried to; to *number* things, if not to one."""
    client = visit.request.client
    actor = Actor(visit.visitor.name if visit.visitor else "nobody", client.host if client else "")
    note_deed(visit.app, actor, deed, of, number=int(done) if number is None else number)
