"""The same for many jobs: those that are ticked, or all that a list shows; asked first, with how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from taskmill._app import bulk
from taskmill._app.bulk import DEEDS, Deed, Done, told
from taskmill._app.search import Search
from taskmill._core.instant import to_datetime
from taskmill._core.job import FINAL
from taskmill._web import audit
from taskmill._web.pages import errors
from taskmill._web.visit import Visit
from taskmill._web.wanted import Wanted, moment_in, wanted_in

MOST = 10_000
_EXAMPLES = 5
# So long, in seconds, one request may go on.
_PATIENCE = 10.0


def ask(visit: Visit) -> Response:
    """Say what would be done, and to how many."""
    deed, wanted, ids = _request(visit)
    if deed is None or (ids is not None and not ids):
        return visit.back("Tick some jobs first.")
    seen = _until_now(visit, wanted)
    chosen = chosen_of(visit, seen, ids)
    return visit.page(
        "ask.html",
        deed=deed,
        wanted=wanted,
        seen=seen,
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
    chosen = chosen_of(visit, wanted, ids)
    found = carry_out(visit, deed, chosen, told_of(wanted, ids))
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


def _until_now(visit: Visit, wanted: Wanted) -> Wanted:
    """The same without what comes, or ends so, from now on: it is done to none but those that were counted."""
    now = to_datetime(visit.reader.storage.now())
    ends = ["enqueued_before"]
    if wanted.state and FINAL.issuperset(wanted.states):
        ends.append("ended_before")
    moments = {name: min(moment_in(wanted.said[name]), now) if name in wanted.said else now for name in ends}
    return wanted._replace(**{name: moment.isoformat() for name, moment in moments.items()})


def carry_out(visit: Visit, deed: Deed, chosen: Sequence[str], of: str) -> Done:
    """Do it to these jobs, as long as a request may go on; *of* says which they are, for the audit."""
    with audit.noting(visit, deed, of) as count:
        return bulk.carry_out(visit.app, deed, chosen, patience=_PATIENCE, on_progress=count)


def told_of(wanted: Wanted, ids: Sequence[str] | None, *, kind: str | None = None) -> str:
    """Which jobs these are."""
    if kind is not None:
        return f"jobs with the error {kind}"
    if ids is not None:
        return f"jobs: {', '.join(ids[:_EXAMPLES])}{', ...' if len(ids) > _EXAMPLES else ''}"
    said = [f"{name}={value}" for name, value in wanted.said.items()]
    return f"jobs with {', '.join(said)}" if said else "all jobs"


def chosen_of(visit: Visit, wanted: Wanted, ids: Sequence[str] | None) -> Sequence[str]:
    """These, or all that are wanted, newest first, and no more than can be dealt with at once."""
    if ids is not None:
        return ids[:MOST]
    return [job.job_id for job in Search(visit.reader.inspection, wanted.filter).all(limit=MOST)]
