"""``taskmill jobs retry``, ``cancel`` and ``delete``: of the jobs that are named, or of all that match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._app.audit import Count
from taskmill._app.bulk import Deed, Done, carry_out, told
from taskmill._cli import consent, exit_code, filtering, person, store
from taskmill._cli.output import complain, note, put, put_json
from taskmill._cli.parser import Parser
from taskmill._cli.progress import Progress
from taskmill._core.job import FINAL, State
from taskmill._core.wording import clean, counted
from taskmill._storage.urls import shown
from taskmill.errors import ConfigurationError

_MOST = 10_000_000
_EXAMPLE = "01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


class _Words(NamedTuple):
    """What is said of a deed, and the jobs that are meant where no state is given."""

    about: str
    progress: str
    states: Sequence[State]


_WORDS: dict[Deed, _Words] = {
    "retry": _Words(
        "Queue failed or cancelled jobs again, with one more attempt: those of the ids, or all failed ones "
        "that match. Status 1 if one of them is neither.",
        "queued again",
        (State.FAILED,),
    ),
    "cancel": _Words(
        "Cancel waiting jobs with the later steps of their pipelines, and stop running ones: those of the ids, "
        "or all that match. Status 1 if one of them has ended.",
        "cancelled",
        (State.BLOCKED, State.QUEUED, State.RUNNING),
    ),
    "delete": _Words(
        "Delete jobs for good that wait or have ended: those of the ids, or all that match. Status 1 if one of them "
        "runs or is needed by a later step of its pipeline.",
        "deleted",
        (State.BLOCKED, State.QUEUED, *sorted(FINAL)),
    ),
}
_CANCELLED = {
    "cancelled": "cancelled",
    "requested": "asked to stop; it will not be retried",
    "ended": "it has ended already",
    "missing": "there is no such job",
}


def configure(parser: Parser, deed: Deed) -> None:
    """The options of one of them."""
    parser.describe(
        f"{_WORDS[deed].about} It says how many match, and asks.",
        example=f"  {parser.prog} {_EXAMPLE}\n  {parser.prog} --task shop.send_mail --text timeout",
    )
    parser.add_argument("job_ids", nargs="*", metavar="ID", help="the ids of the jobs")
    filtering.add_options(parser)
    parser.add_argument("--all", action="store_true", help="all of them, whatever they are")
    consent.add_option(parser)
    store.add_options(parser)
    parser.set_defaults(action=partial(_act, deed))


def _act(deed: Deed, app: Application, arguments: Any) -> int:
    is_bulk = filtering.has_any(arguments) or arguments.all
    if bool(arguments.job_ids) == is_bulk:
        raise ConfigurationError(
            f"say which jobs to {deed}: by their ids, by what they have in common (--state, --task, ...), or --all"
        )
    return _to_many(deed, app, arguments) if is_bulk else _to_each(deed, app, arguments)


# --- those that are named


def _to_each(deed: Deed, app: Application, arguments: Any) -> int:
    act = {"retry": _retry, "cancel": _cancel, "delete": _delete}[deed]
    answers = [(job_id, *act(app, job_id)) for job_id in dict.fromkeys(arguments.job_ids)]
    for job_id, done, _ in answers:
        person.note(app, deed, job_id, number=int(done))
    if arguments.json:
        put_json(
            {"jobs": [{"job_id": job_id, "done": done, "answer": told} for job_id, done, told in answers]}
        )
    else:
        _tell(answers)
    return exit_code.OK if all(done for _, done, _ in answers) else exit_code.FAILURE


def _tell(answers: Sequence[tuple[str, bool, str]]) -> None:
    for job_id, done, answer in answers:
        if done:
            put(f"{clean(job_id)}: {answer}")
        else:
            complain(f"{job_id}: {answer}")


def _cancel(app: Application, job_id: str) -> tuple[bool, str]:
    answer = steering.cancel_with_answer(app, job_id)
    return answer in {"cancelled", "requested"}, _CANCELLED[answer]


def _retry(app: Application, job_id: str) -> tuple[bool, str]:
    if steering.retry(app, job_id):
        return True, "queued again"
    found = app.storage.inspection.outcome(job_id)
    if found is None:
        return False, "there is no such job"
    if found.state in {State.FAILED, State.CANCELLED}:
        return False, "a step before it has not succeeded, or is gone: retry that one"
    return False, f"it is {found.state}; only failed and cancelled jobs can be retried"


def _delete(app: Application, job_id: str) -> tuple[bool, str]:
    if steering.delete(app, [job_id]):
        return True, "deleted"
    found = app.storage.inspection.outcome(job_id)
    if found is None:
        return False, "there is no such job"
    if found.state is State.RUNNING:
        return False, "it runs: cancel it first"
    return False, "a later step of its pipeline needs its result"


# --- all that match


def _to_many(deed: Deed, app: Application, arguments: Any) -> int:
    wanted = filtering.filter_of(arguments)
    wanted = wanted if wanted.states else replace(wanted, states=_WORDS[deed].states)
    job_ids = [job.job_id for job in filtering.jobs_of(app, wanted, arguments.kind, limit=_MOST)]
    found = Done(0, 0, 0)
    if job_ids:
        if not _is_wanted(deed, app, job_ids, is_sure=arguments.yes):
            return exit_code.FAILURE
        with person.noting(app, deed, filtering.described(wanted, arguments.kind)) as count:
            found = _carry_out(deed, app, job_ids, count)
    if arguments.json:
        put_json({"found": len(job_ids), **found._asdict()})
    elif job_ids:
        put(told(deed, found))
    else:
        note(filtering.none_found(app, arguments))
    return exit_code.FAILURE if found.refused else exit_code.OK


def _is_wanted(deed: Deed, app: Application, job_ids: Sequence[str], *, is_sure: bool) -> bool:
    return consent.is_given(
        f"{deed.capitalize()} {counted(len(job_ids), 'job')} in {shown(app.storage.url)}?",
        beforehand=is_sure,
        why=f"this would {deed} {counted(len(job_ids), 'job')}",
        otherwise="nothing was done",
    )


def _carry_out(deed: Deed, app: Application, job_ids: Sequence[str], count: Count) -> Done:
    progress = Progress(_WORDS[deed].progress, of=len(job_ids))

    def tell(done: int) -> None:
        count(done)
        progress(done)

    return carry_out(app, deed, job_ids, on_progress=tell)
