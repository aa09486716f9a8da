"""``taskmill schedules``: what the clock enqueues, and now if somebody wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._app.timetable import Entry, timetable
from taskmill._cli import exit_code, person, store
from taskmill._cli.job import iso
from taskmill._cli.output import complain, put, put_json, put_table
from taskmill._cli.parser import Parser
from taskmill._cli.text import Column
from taskmill._core.instant import to_datetime
from taskmill._core.wording import ago, clean, nearest

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
        "Look at the schedules of a store, run one now, pause them. Without a command: list.",
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
    _configure_deed(running, _run)
    pausing = parser.command("pause", "let no slot of a schedule fire, in whatever worker")
    pausing.describe(
        "Let no slot of a schedule fire, in whatever worker, until it is resumed. What would have fired meanwhile is "
        "not made up for.",
        example="  taskmill schedules pause shop.tidy",
    )
    _configure_deed(pausing, partial(_turn, steering.pause_schedule, "pause of schedule", "paused"))
    resuming = parser.command("resume", "let a schedule fire again, from its next slot on")
    resuming.describe(str(resuming.description), example="  taskmill schedules resume shop.tidy")
    _configure_deed(
        resuming,
        partial(_turn, steering.resume_schedule, "resuming of schedule", "goes on with its next slot"),
    )


def _configure_deed(parser: Parser, act: Callable[[Application, Any], int]) -> None:
    parser.add_argument("name", metavar="NAME", help="the name of the schedule")
    store.add_options(parser)
    parser.set_defaults(action=act)


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
    last = "-" if entry.last_slot is None else ago(entry.last_slot, now)
    following = "never" if entry.next_at is None else ago(entry.next_at, now)
    if entry.paused_at is not None:
        following = "paused"
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
        "paused_at": iso(entry.paused_at),
    }


def _run(app: Application, arguments: Any) -> int:
    job_id = steering.run_schedule(app, arguments.name)
    person.note(app, "run of schedule", arguments.name, number=int(job_id is not None))
    if job_id is None:
        complain(_why_not(app, arguments.name))
        return exit_code.FAILURE
    if arguments.json:
        put_json({"job_id": job_id})
    else:
        put(clean(job_id))
    return exit_code.OK


def _turn(
    turn: Callable[[Application, str], bool], deed: str, told: str, app: Application, arguments: Any
) -> int:
    name = arguments.name
    done = turn(app, name)
    person.note(app, deed, name, number=int(done))
    if not done and name not in _names(app):
        complain(_unknown(app, name))
        return exit_code.FAILURE
    if arguments.json:
        put_json({"schedule": name, "done": done})
    else:
        put(clean(f"schedule {name!r} {told}" if done else f"schedule {name!r}: that was so already"))
    return exit_code.OK


def _names(app: Application) -> list[str]:
    return [state.name for state in app.storage.schedules.list()]


def _unknown(app: Application, name: str) -> str:
    names = {*app.periodics, *_names(app)}
    return f"there is no schedule {name!r}{nearest(name, names)}; `taskmill schedules` lists them"


def _why_not(app: Application, name: str) -> str:
    if name in _names(app):
        return f"schedule {name!r} has not fired yet, so that only its application says what to run: name it with --app"
    return _unknown(app, name)
