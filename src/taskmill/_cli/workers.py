"""``taskmill workers``: who works, and whether he lives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._cli import exit_code, person, store
from taskmill._cli.job import iso
from taskmill._cli.output import complain, put, put_json, put_table
from taskmill._cli.parser import Parser, whole
from taskmill._cli.text import Column
from taskmill._core.census import Census, Presence
from taskmill._core.instant import to_datetime
from taskmill._core.wording import span
from taskmill._storage.base import SessionState

_COLUMNS = (
    Column("SESSION", to_right=True),
    Column("KIND"),
    Column("PROCESS", to_right=True),
    Column("LIFE"),
    Column("RUNS", to_right=True),
    Column("UP", to_right=True),
    Column("QUEUES", shrinks=True, ends=True),
    Column("FOR", shrinks=True, ends=True, optional=True),
    Column("HOST", shrinks=True, optional=True),
)


class _Process(NamedTuple):
    """A session, and how the census has it: None where it has come since."""

    state: SessionState
    presence: Presence | None


def configure(parser: Parser) -> None:
    """The commands and their options."""
    parser.describe(
        "Look at who works on the jobs of a store, and ask workers to stop. Without a command: list.",
        example="  taskmill workers\n  taskmill workers stop 17",
    )
    _configure_list(
        parser.command("list", "the processes that hold, or may hold, jobs and locks", is_usual=True)
    )
    _configure_stop(parser.command("stop", "ask a worker to stop, as SIGTERM does"))


def run(arguments: Any) -> int:
    """Carry out one of the commands."""
    with store.open_app(arguments) as app:
        status: int = arguments.action(app, arguments)
    return status


def _configure_list(parser: Parser) -> None:
    parser.describe(
        "List the processes that hold, or may hold, jobs and locks of a store: those that run jobs, those that watch "
        "them, and programs that hold a lock. RUNS counts what each holds, FOR says for which executors it takes jobs.",
        example="  taskmill workers list --json",
    )
    store.add_options(parser)
    parser.set_defaults(action=_list)


def _configure_stop(parser: Parser) -> None:
    parser.describe(
        "Ask a whole `taskmill worker`, by any session of it, to stop as on SIGTERM: it takes no more jobs and lets "
        "those that run finish within its grace. It is seen within a second or two; what watches over it sees it end "
        "with status 0.",
        example="  taskmill workers stop 17",
    )
    parser.add_argument(
        "session_id", type=whole, metavar="SESSION", help="a number, as `taskmill workers` prints it"
    )
    store.add_options(parser)
    parser.set_defaults(action=_stop)


def _list(app: Application, arguments: Any) -> int:
    processes = _processes(app)
    if arguments.json:
        put_json({"workers": [_as_json(process) for process in processes]})
    else:
        now = to_datetime(app.storage.now())
        put_table(_COLUMNS, [_row(process, now) for process in processes], otherwise="no worker is alive")
    return exit_code.OK


def _stop(app: Application, arguments: Any) -> int:
    session = arguments.session_id
    is_asked = steering.stop_worker(app, session)
    person.note(app, "stop of the worker of session", str(session), number=int(is_asked))
    if not is_asked:
        complain(f"session {session} is no worker's, is gone, or was asked already: see taskmill workers")
        return exit_code.FAILURE
    if arguments.json:
        put_json({"session": session, "done": True})
    else:
        put(f"the worker of session {session} was asked to stop")
    return exit_code.OK


def alive(census: Census) -> Sequence[Presence]:
    """The processes that run jobs and live."""
    return [each for each in census.sessions if each.life == "alive" and each.serves is not None]


def _processes(app: Application) -> list[_Process]:
    presences = {presence.session: presence for presence in app.storage.health.census().sessions}
    return [_Process(state, presences.get(state.session)) for state in app.storage.inspection.sessions()]


def _row(process: _Process, now: datetime) -> tuple[object, ...]:
    state, presence = process
    serves = None if presence is None else presence.serves
    return (
        state.session,
        state.kind,
        state.pid,
        _life(process),
        f"{state.running:,}",
        span((now - state.started_at).total_seconds()),
        "-" if serves is None else "all" if serves.queues is None else ", ".join(sorted(serves.queues)),
        "-" if serves is None else ", ".join(sorted(serves.executors)),
        state.host,
    )


def _life(process: _Process) -> str:
    life = "alive" if process.presence is None else process.presence.life
    return "stopping" if process.state.is_asked_to_stop and life == "alive" else life


def _as_json(process: _Process) -> dict[str, Any]:
    state, presence = process
    serves = None if presence is None else presence.serves
    return {
        "session": state.session,
        "kind": state.kind,
        "host": state.host,
        "pid": state.pid,
        "parent": state.parent,
        "life": "alive" if presence is None else presence.life,
        "is_asked_to_stop": state.is_asked_to_stop,
        "started_at": iso(state.started_at),
        "running": state.running,
        "queues": None if serves is None or serves.queues is None else sorted(serves.queues),
        "executors": None if serves is None else sorted(serves.executors),
        "tasks": None if serves is None else sorted(serves.tasks),
    }
