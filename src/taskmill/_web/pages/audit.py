"""Who did what by hand, the newest first, page by page."""

from __future__ import annotations

import re

from starlette.responses import Response

from taskmill._core.instant import to_datetime
from taskmill._web.visit import Visit

PAGE = 50
_JOB = re.compile(r"(?:.* )?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def show(visit: Visit) -> Response:
    """One line for each deed."""
    after, storage = visit.after, visit.reader.storage
    page = storage.audit.page(after=after, limit=PAGE)
    return visit.page("audit.html", now=to_datetime(storage.now()), page=page, after=after, job_in=_job_in)


def _job_in(subject: str) -> str | None:
    """The job that a deed was done to, where it was one and its id was made by taskmill."""
    found = _JOB.fullmatch(subject)
    return found and found[1]
