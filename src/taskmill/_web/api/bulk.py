"""The same for many jobs."""

from __future__ import annotations

from taskmill._app.bulk import Done
from taskmill._web.api import shapes
from taskmill._web.api.jobs import wanted_of
from taskmill._web.pages.bulk import MOST, carry_out, chosen_of, told_of
from taskmill._web.pages.errors import ids_of_kind
from taskmill._web.problem import Problem
from taskmill._web.visit import Visit

_WAYS = ("job_ids", "kind", "matching")


def act(visit: Visit, body: shapes.Bulk) -> shapes.BulkDone:
    """Retry, cancel or delete many jobs, or only count them."""
    if sum(way in body for way in _WAYS) != 1:
        raise Problem(
            400,
            "the body does not say which jobs, or says it twice",
            f"give exactly one of {', '.join(_WAYS)}; matching: {{}} are all",
        )
    ids = [*dict.fromkeys(body["job_ids"])] if "job_ids" in body else None
    if "kind" in body:
        ids = ids_of_kind(visit, body["kind"])
    wanted = wanted_of(body.get("matching", {}))
    chosen = chosen_of(visit, wanted, ids)
    of = told_of(wanted, ids, kind=body.get("kind"))
    found = Done(0, 0, 0) if body.get("only_count") else carry_out(visit, body["deed"], chosen, of)
    return {
        "found": len(chosen),
        "changed": found.changed,
        "refused": found.refused,
        "left": found.left,
        "is_all": len(chosen) < MOST,
    }
