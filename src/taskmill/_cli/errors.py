"""``taskmill errors``: what jobs have failed of, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from taskmill._app.application import Application
from taskmill._app.failures import MOST, Group, grouped, latest_failed
from taskmill._cli import exit_code, filtering, store
from taskmill._cli.job import iso
from taskmill._cli.output import note, put_json, put_table
from taskmill._cli.parser import Parser
from taskmill._cli.text import Column
from taskmill._core.filter import Filter
from taskmill._core.instant import to_datetime
from taskmill._core.wording import ago
from taskmill._storage.base import Page

_COLUMNS = (
    Column("KIND"),
    Column("JOBS", to_right=True),
    Column("LATEST", to_right=True),
    Column("TASK", shrinks=True),
    Column("ERROR", shrinks=True, ends=True),
    Column("IN", shrinks=True, ends=True, optional=True),
)
_PATIENCE = 60.0


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        f"Sort the latest {MOST:,} failed jobs by what went wrong. Errors of a task that differ in their "
        "figures only are of one kind; `taskmill jobs retry --kind KIND` runs its jobs again.",
        example="  taskmill errors --task shop.send_mail",
    )
    parser.add_argument("--task", metavar="NAME", help="only of this task")
    parser.add_argument("--queue", metavar="NAME", help="only in this queue")
    store.add_options(parser)
    parser.set_defaults(kind=None)


def run(arguments: Any) -> int:
    """Print the kinds, that of the latest error first."""
    with store.open_app(arguments) as app:
        wanted = Filter(task=arguments.task, queue=arguments.queue)
        page = latest_failed(app.storage, wanted, patience=_PATIENCE)
        now = to_datetime(app.storage.now())
        groups = grouped(page.jobs, now)
        if arguments.json:
            put_json(
                {
                    "errors": [_as_json(group) for group in groups],
                    "looked_at": len(page.jobs),
                    "is_all": page.more is None,
                }
            )
        else:
            _tell(app, arguments, [_row(group, now) for group in groups], page)
    return exit_code.OK


def _tell(app: Application, arguments: Any, rows: Sequence[Sequence[object]], page: Page) -> None:
    if rows:
        put_table(_COLUMNS, rows)
    else:
        note(filtering.none_found(app, arguments, kind="failed jobs"))
    if page.more is not None:
        note(f"these are the latest {len(page.jobs):,} failed jobs; there are more")


def _row(group: Group, now: datetime) -> tuple[object, ...]:
    kind = group.kind
    error = f"{kind.type}: {kind.message}" if kind.message else kind.type
    return kind.mark, f"{len(group.jobs):,}", ago(group.last_at, now), group.task, error, kind.place


def _as_json(group: Group) -> dict[str, Any]:
    return {
        "kind": group.kind.mark,
        "task": group.task,
        "type": group.kind.type,
        "message": group.kind.message,
        "place": group.kind.place,
        "jobs": len(group.jobs),
        "latest": group.latest.job_id,
        "first_at": iso(group.first_at),
        "last_at": iso(group.last_at),
    }
