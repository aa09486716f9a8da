"""``taskmill jobs``: look at jobs, run them again, cancel and delete them."""

from __future__ import annotations

from typing import Any

from taskmill._app.application import Application
from taskmill._cli import deeds, exit_code, listing, store
from taskmill._cli.job import as_full_json, as_text
from taskmill._cli.output import complain, put, put_json, terminal_width
from taskmill._cli.parser import Parser
from taskmill._core.instant import to_datetime

_STEPS_SHOWN = 1_000


def configure(parser: Parser) -> None:
    """The commands and their options."""
    parser.describe(
        "Look at the jobs of a store, run them again, cancel and delete them. Without a command: list.",
        example="  taskmill jobs --state failed\n  taskmill jobs retry 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    )
    listing.configure(parser.command("list", "the latest jobs, newest first", is_usual=True))
    _configure_show(parser.command("show", "everything that is known of one job"))
    deeds.configure(parser.command("retry", "queue failed or cancelled jobs again"), "retry")
    deeds.configure(parser.command("cancel", "cancel waiting jobs, stop running ones"), "cancel")
    deeds.configure(parser.command("delete", "delete jobs for good that wait or have ended"), "delete")


def run(arguments: Any) -> int:
    """Carry out one of the commands."""
    with store.open_app(arguments) as app:
        status: int = arguments.action(app, arguments)
    return status


def _configure_show(parser: Parser) -> None:
    parser.describe(
        "Show everything that is known of one job: its call, its result, each attempt that did not succeed with its "
        "error, the steps of its pipeline.",
        example="  taskmill jobs show 01981a2b-7c3d-7e4f-8a5b-6c7d8e9f0a1b --app shop.tasks:mill",
    )
    parser.add_argument("job_id", metavar="ID", help="the id of the job, as `taskmill jobs list` prints it")
    store.add_options(parser)
    parser.set_defaults(action=_show)


def _show(app: Application, arguments: Any) -> int:
    job = app.storage.inspection.job(arguments.job_id)
    if job is None:
        complain(f"there is no job {arguments.job_id!r}; `taskmill jobs list` prints whole ids")
        return exit_code.FAILURE
    steps = app.storage.inspection.steps(job.pipeline, limit=_STEPS_SHOWN) if job.pipeline else ()
    if arguments.json:
        put_json(as_full_json(job, steps))
    else:
        now = to_datetime(app.storage.now())
        put(*as_text(app, job, steps, now, terminal_width()))
    return exit_code.OK
