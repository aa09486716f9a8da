"""Who did what by hand, the newest first, page by page."""

from __future__ import annotations

from starlette.responses import Response

from taskmill._core.instant import to_datetime
from taskmill._web.visit import Visit

PAGE = 50


def show(visit: Visit) -> Response:
    """One line for each deed."""
    after, storage = visit.after, visit.reader.storage
    page = storage.audit.page(after=after, limit=PAGE)
    return visit.page("audit.html", now=to_datetime(storage.now()), page=page, after=after)
