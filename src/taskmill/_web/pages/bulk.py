"""The same for many jobs: those that are ticked, or all that a list shows; asked first, with how many there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from starlette.responses import Response

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._core.record import Job
from taskmill._core.wording import counted
from taskmill._web import audit
from taskmill._web.pages import errors
from taskmill._web.pages.jobs import page_of
from taskmill._web.visit import Visit
from taskmill._web.wanted import Wanted, wanted_in

MOST = 10_000
_PAGE = 500
_EXAMPLES = 5
# So long, in seconds, one request may go on.
_PATIENCE = 10.0


def _retry(app: Application, job_id: str) -> bool:
    return steering.retry(app, job_id)


def _cancel(app: Application, job_id: str) -> bool:
    return steering.cancel(app, job_id)


def _delete(app: Application, job_id: str) -> bool:
    return steering.delete(app, [job_id]) > 0


DEEDS: dict[str, Callable[[Application, str], bool]] = {"retry": _retry, "cancel": _cancel, "delete": _delete}
_TOLD = {"retry": "queued again", "cancel": "cancelled, or asked to stop", "delete": "deleted"}


def ask(visit: Visit) -> Response:
    """Say what would be done, and to how many."""
    deed, wanted, ids = _request(visit)
    if deed is None or (ids is not None and not ids):
        return visit.back("Tick some jobs first.")
    chosen = chosen_of(visit, wanted, ids)
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
    chosen = chosen_of(visit, wanted, ids)
    of = told_of(wanted, ids, kind=visit.given("kind"))
    done, left = carry_out(visit, deed, chosen, of)
    said = [f"{counted(done, 'job')} {_TOLD[deed]}."]
    if len(chosen) - done - left:
        said.append(f"{len(chosen) - done - left:,} could not be: they had moved on.")
    if left:
        said.append(f"{left:,} are left: do it again.")
    return visit.back(" ".join(said))


def _request(visit: Visit) -> tuple[str | None, Wanted, Sequence[str] | None]:
    """What is to be done, and to which jobs: with no ids, to all that are wanted."""
    deed = visit.given("deed")
    wanted = wanted_in(visit.given)
    match visit.given("which"):
        case "all":
            ids = None
        case "kind":
            ids = errors.ids_of_kind(visit, visit.given("kind") or "")
        case _:
            ids = [*dict.fromkeys(visit.form.get("id", []))]
    return (deed if deed in DEEDS else None), wanted, ids


def carry_out(visit: Visit, deed: str, chosen: Sequence[str], of: str) -> tuple[int, int]:
    """Do it to these jobs, one after the other: to how many it was done, and how many were left when time was over.

    *of* says which they are, for the audit.
    """
    done, left = 0, 0
    give_up_at = time.monotonic() + _PATIENCE
    for job_id in chosen:
        if time.monotonic() >= give_up_at:
            left += 1
        else:
            done += DEEDS[deed](visit.app, job_id)
    audit.note(visit, deed, of, done=done > 0, number=done)
    return done, left


def told_of(wanted: Wanted, ids: Sequence[str] | None, *, kind: str | None = None) -> str:
    """Which jobs these are."""
    if kind is not None:
        return f"jobs with the error {kind}"
    if ids is not None:
        return f"jobs: {', '.join(ids[:_EXAMPLES])}{', ...' if len(ids) > _EXAMPLES else ''}"
    said = [f"{name}={value}" for name, value in wanted.said.items()]
    return f"jobs with {', '.join(said)}" if said else "all jobs"


def chosen_of(visit: Visit, wanted: Wanted, ids: Sequence[str] | None) -> Sequence[str]:
    """These, or all that are wanted, and no more than can be dealt with at once."""
    return [job.job_id for job in _all(visit, wanted)] if ids is None else ids[:MOST]


def _all(visit: Visit, wanted: Wanted) -> Iterator[Job]:
    """Those that match, newest first, and no more than can be dealt with at once."""
    after, found = None, 0
    while found < MOST:
        page = page_of(visit, wanted.filter, after=after, limit=min(_PAGE, MOST - found))
        yield from page.jobs
        found += len(page.jobs)
        after = page.more
        if after is None:
            return
