"""``taskmill locks``: who holds which lock, and how many jobs wait for it."""

from __future__ import annotations

from typing import Any

from taskmill._app.application import Application
from taskmill._cli import exit_code, store
from taskmill._cli.job import iso
from taskmill._cli.output import put_json, put_table
from taskmill._cli.parser import Parser
from taskmill._cli.text import Column
from taskmill._core.instant import to_datetime
from taskmill._core.wording import span

_COLUMNS = (
    Column("LOCK", shrinks=True),
    Column("HELD BY"),
    Column("FOR", to_right=True),
    Column("WAITING", to_right=True),
    Column("TOKEN", to_right=True, optional=True),
)


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
        found = _locks(app)
        now = to_datetime(app.storage.now())
    if arguments.json:
        told = [each | {"since": iso(each["since"])} for each in found]
        put_json({"locks": told})
        return exit_code.OK
    rows = [
        (
            each["name"],
            each["job"] or each["process"] or f"session {each['session']}",
            span((now - each["since"]).total_seconds()),
            f"{each['waiting']:,}",
            each["token"],
        )
        for each in found
    ]
    put_table(_COLUMNS, rows, otherwise="no lock is held")
    return exit_code.OK


def _locks(app: Application) -> list[dict[str, Any]]:
    waiting = {lock.name: lock.waiters for lock in app.storage.health.census().locks}
    processes = {state.session: f"{state.host}:{state.pid}" for state in app.storage.inspection.sessions()}
    return [
        {
            "name": lock.name,
            "job": lock.job_id,
            "session": lock.session,
            "process": processes.get(lock.session),
            "since": lock.since,
            "waiting": waiting.get(lock.name, 0),
            "token": lock.token,
        }
        for lock in app.storage.limits.list()
    ]
