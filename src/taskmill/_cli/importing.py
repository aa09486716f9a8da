"""``taskmill import``: into a store what an export says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from taskmill._app.exports import Imported, load
from taskmill._cli import exit_code, store
from taskmill._cli.output import put, put_json
from taskmill._cli.parser import Parser
from taskmill._core.wording import counted
from taskmill.errors import NotAnExport


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Store the jobs, schedules and pauses of an export; the store is made if need be. Repeated, after it was "
        "killed or by mistake, it stores nothing twice, whatever has become of the jobs.",
        example="  taskmill import jobs.ndjson --url redis://localhost\n"
        "  taskmill import - --url sqlite:///new.db",
    )
    parser.add_argument("file", metavar="FILE", help="what taskmill export wrote; - for standard input")
    parser.add_argument(
        "--again", action="store_true", help="store also what was imported from this file before and is gone"
    )
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Store the lines, and tell how many jobs."""
    with store.open_as_it_is(arguments) as app:
        try:
            if arguments.file == "-":
                imported = load(app.storage, sys.stdin, again=arguments.again)
            else:
                with Path(arguments.file).open(encoding="utf-8") as lines:
                    imported = load(app.storage, lines, again=arguments.again)
        except OSError as error:
            raise NotAnExport(f"{arguments.file} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise NotAnExport(f"{arguments.file} is no text: {error}") from error
    if arguments.json:
        put_json(imported._asdict())
    else:
        put(_as_text(imported))
    return exit_code.OK


def _as_text(imported: Imported) -> str:
    told = f"{counted(imported.stored, 'job')} imported"
    if imported.known:
        told += f", {imported.known} dropped, as their ids or keys were there already"
    if imported.before:
        told += f", {imported.before} imported before (see --again)"
    return told
