"""``taskmill jobs``: look at jobs, run them again, cancel them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from taskmill._app import audit, steering
from taskmill._app.application import Application
from taskmill._app.check import nearest
from taskmill._cli import exit_code, person, store
from taskmill._cli.job import as_full_json, as_json, as_text, when
from taskmill._cli.parser import Parser, positive, some_of
from taskmill._cli.text import Column, complain, put, table, terminal_width
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._core.wording import clean

_COLUMNS = (
    Column("JOB"),
    Column("STATE"),
    Column("TASK", shrinks=True),
    Column("WHEN", to_right=True),
    Column("ATTEMPT", to_right=True, optional=True),
    Column("QUEUE", shrinks=True, optional=True),
)
_STEPS_SHOWN = 1_000

_CANCELLED = {
    "cancelled": "cancelled",
    "requested": "asked to stop; it will not be retried",
    "ended": "it has ended already",
    "missing": "there is no such job",
}

Steer = Callable[[Application, str], tuple[bool, str]]


def configure(parser: Parser) -> None:
    """The commands and their options."""
    parser.describe(
        "Look at the jobs of a store, run them again, cancel them.",
        example="  taskmill jobs list --state failed\n  taskmill jobs retry 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    )
    _configure_list(parser.command("list", "the latest jobs, newest first"))
    _configure_show(parser.command("show", "everything that is known of one job"))
    retrying = parser.command("retry", "queue failed or cancelled jobs again")
    retrying.describe(
        "Queue failed or cancelled jobs again, with one more attempt. Status 1 if one of them is neither.",
        example="  taskmill jobs retry 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    )
    _configure_steering(retrying, _retry)
    cancelling = parser.command("cancel", "cancel waiting jobs, stop running ones")
    cancelling.describe(
        "Cancel waiting jobs with the later steps of their pipelines, and stop running ones. "
        "Status 1 if one of them has ended.",
        example="  taskmill jobs cancel 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    )
    _configure_steering(cancelling, _cancel)


def run(arguments: Any) -> int:
    """Carry out one of the commands."""
    with store.open_app(arguments) as app:
        status: int = arguments.action(app, arguments)
    return status


def _configure_list(parser: Parser) -> None:
    parser.describe(
        "List the latest jobs that match all that is given, newest first.",
        example="  taskmill jobs list --state failed,cancelled --task shop.send_mail --limit 50",
    )
    parser.add_argument(
        "--state",
        action="extend",
        type=some_of("state", [*map(str, State)]),
        metavar="STATE",
        help=f"only in this state, or these: {', '.join(State)}; may be repeated",
    )
    parser.add_argument("--task", metavar="NAME", help="only of this task")
    parser.add_argument("--queue", metavar="NAME", help="only in this queue")
    parser.add_argument(
        "--limit", type=positive, default=20, metavar="N", help="at most so many (default: 20)"
    )
    store.add_options(parser)
    parser.set_defaults(action=_list)


def _configure_show(parser: Parser) -> None:
    parser.describe(
        "Show everything that is known of one job: its call, its result, each attempt that did not succeed with its "
        "error, the steps of its pipeline.",
        example="  taskmill jobs show 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b --app shop.tasks:mill",
    )
    parser.add_argument("job_id", metavar="ID", help="the id of the job, as `taskmill jobs list` prints it")
    store.add_options(parser)
    parser.set_defaults(action=_show)


def _configure_steering(parser: Parser, steer: Steer) -> None:
    parser.add_argument("job_ids", nargs="+", metavar="ID", help="the ids of the jobs")
    store.add_options(parser)
    parser.set_defaults(action=_steer, steer=steer)


# --- look


def _list(app: Application, arguments: Any) -> int:
    states = [State(state) for state in arguments.state or ()]
    jobs = steering.find(
        app, Filter(states=states, task=arguments.task, queue=arguments.queue), limit=arguments.limit
    )
    if arguments.json:
        put(json.dumps({"jobs": [as_json(job) for job in jobs]}))
        return exit_code.OK
    now = to_datetime(app.storage.now())
    rows = [(job.job_id, job.state, job.task, when(job, now), _attempts(job), job.queue) for job in jobs]
    if rows:
        put(*table(_COLUMNS, rows, terminal_width()))
    else:
        print(f"no jobs{_queue_hint(app, arguments.queue)}", file=sys.stderr)
    return exit_code.OK


def _attempts(job: Job) -> str:
    told = f"{job.attempt}/{job.max_attempts}"
    return f"{told}, crashes: {job.crashes}" if job.crashes else told


def _queue_hint(app: Application, queue: str | None) -> str:
    names = [count.queue for count in steering.queues(app)]
    return "" if queue is None or queue in names else clean(f" in queue {queue!r}{nearest(queue, names)}")


def _show(app: Application, arguments: Any) -> int:
    job = app.storage.inspection.job(arguments.job_id)
    if job is None:
        complain(f"there is no job {arguments.job_id!r}; `taskmill jobs list` prints whole ids")
        return exit_code.FAILURE
    steps = app.storage.inspection.steps(job.pipeline, limit=_STEPS_SHOWN) if job.pipeline else ()
    if arguments.json:
        put(json.dumps(as_full_json(job, steps)))
    else:
        now = to_datetime(app.storage.now())
        put(*as_text(app, job, steps, now, terminal_width()))
    return exit_code.OK


# --- steer


def _steer(app: Application, arguments: Any) -> int:
    answers = [(job_id, *arguments.steer(app, job_id)) for job_id in dict.fromkeys(arguments.job_ids)]
    if arguments.json:
        told = [{"id": job_id, "done": done, "answer": answer} for job_id, done, answer in answers]
        put(json.dumps({"jobs": told}))
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
    is_done = answer in {"cancelled", "requested"}
    audit.note(app, person.here(), "cancel", job_id, number=int(is_done))
    return is_done, _CANCELLED[answer]


def _retry(app: Application, job_id: str) -> tuple[bool, str]:
    is_done = steering.retry(app, job_id)
    audit.note(app, person.here(), "retry", job_id, number=int(is_done))
    if is_done:
        return True, "queued again"
    found = app.storage.inspection.outcome(job_id)
    if found is None:
        return False, "there is no such job"
    if found.state in {State.FAILED, State.CANCELLED}:
        return False, "a step before it has not succeeded, or is gone: retry that one"
    return False, f"it is {found.state}; only failed and cancelled jobs can be retried"
