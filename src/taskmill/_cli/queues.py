"""``taskmill queues``: how much there is to do, and whether it may begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._cli import exit_code, person, store
from taskmill._cli.job import iso
from taskmill._cli.output import note, put, put_json, put_table
from taskmill._cli.parser import Parser
from taskmill._cli.text import Column
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.wording import clean, nearest, span
from taskmill._storage.base import QueueCount

_OPEN = (State.QUEUED, State.RUNNING)
_COLUMNS = (
    Column("QUEUE", shrinks=True),
    Column("DUE", to_right=True),
    # The last ones are left out first.
    *(Column(state.upper(), to_right=True, optional=state not in _OPEN) for state in State),
    Column("PAUSED", to_right=True),
)


def configure(parser: Parser) -> None:
    """The commands and their options."""
    parser.describe(
        "Look at the queues of a store, pause them and let them go on. Without a command: list.",
        example="  taskmill queues\n  taskmill queues pause mail",
    )
    listing = parser.command("list", "how many jobs each queue holds, by state", is_usual=True)
    listing.describe(
        "Count the jobs of each queue by state. DUE is the part of QUEUED that a worker could start now; PAUSED says "
        "for how long nothing of it has been begun any more.",
        example="  taskmill queues list --json",
    )
    store.add_options(listing)
    listing.set_defaults(action=_list)
    _configure_turn(
        parser.command(
            "pause", "let no job of a queue begin any more, in whatever worker; what runs goes on"
        ),
        steering.pause,
        "pause",
        "paused",
    )
    _configure_turn(
        parser.command("resume", "let the jobs of a queue begin again"), steering.resume, "resume", "goes on"
    )


def run(arguments: Any) -> int:
    """Carry out one of the commands."""
    with store.open_app(arguments) as app:
        status: int = arguments.action(app, arguments)
    return status


def _configure_turn(parser: Parser, turn: Callable[[Application, str], bool], deed: str, told: str) -> None:
    parser.describe(str(parser.description), example=f"  {parser.prog} mail")
    parser.add_argument("queue", metavar="NAME", help="the name of the queue")
    store.add_options(parser)
    parser.set_defaults(action=partial(_turn, turn, deed, told))


# --- look


def _list(app: Application, arguments: Any) -> int:
    paused = app.storage.inspection.paused()
    known = {count.queue: count for count in steering.queues(app)}
    # A pause may come before the first job.
    counts = [known.get(queue) or QueueCount(queue, {}, 0) for queue in sorted({*known, *paused})]
    if arguments.json:
        put_json({"queues": [as_json(count, paused) for count in counts]})
        return exit_code.OK
    now = to_datetime(app.storage.now())
    put_table(_COLUMNS, [_row(count, paused, now) for count in counts], otherwise="no jobs")
    return exit_code.OK


def _row(count: QueueCount, paused: Mapping[str, datetime], now: datetime) -> tuple[object, ...]:
    since = paused.get(count.queue)
    states = (f"{count.states.get(state, 0):,}" for state in State)
    held = "-" if since is None else span((now - since).total_seconds())
    return (count.queue, f"{count.due:,}", *states, held)


def as_json(count: QueueCount, paused: Mapping[str, datetime]) -> dict[str, Any]:
    """A queue for programs."""
    states = {str(state): count.states.get(state, 0) for state in State}
    return {"queue": count.queue, "due": count.due, **states, "paused_at": iso(paused.get(count.queue))}


# --- steer


def _turn(
    turn: Callable[[Application, str], bool], deed: str, told: str, app: Application, arguments: Any
) -> int:
    queue = arguments.queue
    done = turn(app, queue)
    person.note(app, deed, queue, number=int(done))
    if arguments.json:
        put_json({"queue": queue, "done": done})
    else:
        put(clean(f"queue {queue!r} {told}" if done else f"queue {queue!r}: that was so already"))
    names = [count.queue for count in steering.queues(app)]
    if queue not in names:
        note(f"there is no job in queue {queue!r}{nearest(queue, names)}")
    return exit_code.OK
