"""Who did what by hand."""

from __future__ import annotations

from taskmill._web.api import shapes
from taskmill._web.api.telling import instant
from taskmill._web.pages.audit import PAGE
from taskmill._web.visit import Visit


def page(visit: Visit, query: shapes.PageQuery) -> shapes.Deeds:
    """What was done from dashboards, through this API and in terminals, newest first."""
    found = visit.reader.storage.audit.page(after=query.get("after"), limit=query.get("limit", PAGE))
    return {
        "deeds": [
            {
                "at": instant(at),
                "who": deed.who,
                "origin": deed.origin,
                "what": deed.what,
                "subject": deed.subject,
                "number": deed.number,
            }
            for at, deed in found.deeds
        ],
        "more": found.more,
    }
