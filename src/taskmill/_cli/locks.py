"""``taskmill locks``: who holds which lock, and how many jobs wait for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from taskmill._app.application import Application
from taskmill._cli import exit_code, store
from taskmill._cli.job import iso
from taskmill._cli.output import put_json, put_table
from taskmill._cli.parser import Parser
from taskmill._cli.text import Column
from taskmill._core.instant import to_datetime
from taskmill._core.wording import span
from taskmill._storage.base import LockState

_COLUMNS = (
    Column("LOCK", shrinks=True),
    Column("HELD BY"),
    Column("FOR", to_right=True),
    Column("WAITING", to_right=True),
    Column("TOKEN", to_right=True, optional=True),
)


class _Held(NamedTuple):
    """A lock, the process that holds it (None where that has gone), and how many jobs wait for it."""

    lock: LockState
    process: str | None
    waiting: int


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "List the locks that are held: by which job or process, for how long, and how many jobs wait for each.",
        example="  taskmill locks --json",
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Print them."""
    with store.open_app(arguments) as app:
        held = _held(app)
        now = to_datetime(app.storage.now())
    if arguments.json:
        put_json({"locks": [_as_json(each) for each in held]})
    else:
        put_table(_COLUMNS, [_row(each, now) for each in held], otherwise="no lock is held")
    return exit_code.OK


def _held(app: Application) -> list[_Held]:
    waiting = {lock.name: lock.waiters for lock in app.storage.health.census().locks}
    processes = {state.session: f"{state.host}:{state.pid}" for state in app.storage.inspection.sessions()}
    return [
        _Held(lock, processes.get(lock.session), waiting.get(lock.name, 0))
        for lock in app.storage.limits.list()
    ]


def _row(held: _Held, now: datetime) -> tuple[object, ...]:
    lock = held.lock
    by = lock.job_id or held.process or f"session {lock.session}"
    return lock.name, by, span((now - lock.since).total_seconds()), f"{held.waiting:,}", lock.token


def _as_json(held: _Held) -> dict[str, Any]:
    lock = held.lock
    return {
        "name": lock.name,
        "job_id": lock.job_id,
        "session": lock.session,
        "process": held.process,
        "since": iso(lock.since),
        "waiters": held.waiting,
        "token": lock.token,
    }
