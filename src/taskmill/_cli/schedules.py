"""``taskmill schedules``: what the clock enqueues, and now if somebody wants."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._app.check import nearest
from taskmill._app.timetable import Entry, timetable
from taskmill._cli import exit_code, store
from taskmill._cli.job import iso
from taskmill._cli.output import complain, put, put_json, put_table
from taskmill._cli.parser import Parser
from taskmill._cli.text import Column
from taskmill._core.instant import to_datetime
from taskmill._core.wording import ago, clean

_COLUMNS = (
    Column("SCHEDULE", shrinks=True),
    Column("WHEN", shrinks=True, ends=True, optional=True),
    Column("NEXT", to_right=True),
    Column("LAST", to_right=True),
    Column("FIRED", to_right=True, optional=True),
    Column("SKIPPED", to_right=True, optional=True),
)


def configure(parser: Parser) -> None:
    """The commands and their options."""
    parser.describe(
        "Look at the schedules of a store, and run one of them now. Without a command: list.",
        example="  taskmill schedules\n  taskmill schedules run shop.tidy --app shop.tasks:mill",
    )
    listing = parser.command("list", "when each schedule fires, and has fired", is_usual=True)
    store.add_options(listing)
    listing.set_defaults(action=_list)
    running = parser.command("run", "enqueue a job of a schedule now, beside its slots")
    running.describe(
        "Enqueue a job of a schedule now, beside its slots, and print its id. What the job is, says the application, "
        "else the latest job of the schedule.",
        example="  taskmill schedules run shop.tidy --app shop.tasks:mill",
    )
    running.add_argument("name", metavar="NAME", help="the name of the schedule")
    store.add_options(running)
    running.set_defaults(action=_run)


def run(arguments: Any) -> int:
    """Carry out one of the commands."""
    with store.open_app(arguments) as app:
        status: int = arguments.action(app, arguments)
    return status


def _list(app: Application, arguments: Any) -> int:
    entries = timetable(app.storage)
    if arguments.json:
        put_json({"schedules": [_as_json(entry) for entry in entries]})
        return exit_code.OK
    now = to_datetime(app.storage.now())
    put_table(_COLUMNS, [_row(entry, now) for entry in entries], otherwise="no schedules")
    return exit_code.OK


def _row(entry: Entry, now: datetime) -> tuple[object, ...]:
    state = entry.state
    # What is known of one that has not fired is when it was first seen.
    last = ago(entry.last_slot, now) if state.fired or state.skipped else "-"
    following = "never" if entry.next_at is None else ago(entry.next_at, now)
    return state.name, entry.told, following, last, f"{state.fired:,}", f"{state.skipped:,}"


def _as_json(entry: Entry) -> dict[str, Any]:
    state = entry.state
    return {
        "name": state.name,
        "task": state.task,
        "spec": state.spec,
        "next_at": iso(entry.next_at),
        "last_slot": iso(entry.last_slot),
        "fired": state.fired,
        "skipped": state.skipped,
        "last_job": state.last_job,
    }


def _run(app: Application, arguments: Any) -> int:
    job_id = steering.run_schedule(app, arguments.name)
    if job_id is None:
        complain(_why_not(app, arguments.name))
        return exit_code.FAILURE
    if arguments.json:
        put_json({"id": job_id})
    else:
        put(clean(job_id))
    return exit_code.OK


def _why_not(app: Application, name: str) -> str:
    names = {*app.periodics, *(state.name for state in app.storage.schedules.list())}
    if name in names:
        return f"schedule {name!r} has not fired yet, so that only its application says what to run: name it with --app"
    return f"there is no schedule {name!r}{nearest(name, names)}; `taskmill schedules` lists them"
