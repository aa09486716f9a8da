"""The same for many jobs: those that are ticked, or all that a list shows; asked first, with how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from taskmill._app.bulk import DEEDS, Deed, carry_out, told
from taskmill._app.search import Search
from taskmill._web import audit
from taskmill._web.pages import errors
from taskmill._web.visit import Visit
from taskmill._web.wanted import Wanted, wanted_in

MOST = 10_000
_EXAMPLES = 5
# So long, in seconds, one request may go on.
_PATIENCE = 10.0


def ask(visit: Visit) -> Response:
    """Say what would be done, and to how many."""
    deed, wanted, ids = _request(visit)
    if deed is None or (ids is not None and not ids):
        return visit.back("Tick some jobs first.")
    chosen = _chosen(visit, wanted, ids)
    return visit.page(
        "ask.html",
        deed=deed,
        wanted=wanted,
        ids=ids,
        number=len(chosen),
        is_all=len(chosen) < MOST,
        examples=chosen[:_EXAMPLES],
    )


def act(visit: Visit) -> Response:
    """Do it."""
    deed, wanted, ids = _request(visit)
    if deed is None:
        return visit.back("Tick some jobs first.")
    chosen = _chosen(visit, wanted, ids)
    found = carry_out(visit.app, deed, chosen, patience=_PATIENCE)
    audit.note(visit, deed, f"{found.done} of {len(chosen)} jobs", done=found.done > 0)
    return visit.back(told(deed, found))


def _request(visit: Visit) -> tuple[Deed | None, Wanted, Sequence[str] | None]:
    """What is to be done, and to which jobs: with no ids, to all that are wanted."""
    deed = next((deed for deed in DEEDS if deed == visit.given("deed")), None)
    wanted = wanted_in(visit.given)
    match visit.given("which"):
        case "all":
            ids = None
        case "kind":
            ids = errors.ids_of_kind(visit, visit.given("kind") or "")
        case _:
            ids = [*dict.fromkeys(visit.form.get("id", []))]
    return deed, wanted, ids


def _chosen(visit: Visit, wanted: Wanted, ids: Sequence[str] | None) -> Sequence[str]:
    """Those that match, newest first, and no more than can be dealt with at once."""
    if ids is not None:
        return ids[:MOST]
    return [job.job_id for job in Search(visit.reader.inspection, wanted.filter).all(limit=MOST)]
