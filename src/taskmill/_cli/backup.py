"""``taskmill backup``: a copy of the store, made while it is in use."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from taskmill._cli import exit_code, store
from taskmill._cli.output import put, put_json
from taskmill._cli.parser import Parser
from taskmill._core.wording import clean, counted, listed, sized
from taskmill._storage.base import Backup


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Copy a store to the file TARGET while workers and producers go on. The copy is verified and on disk before it "
        "gets its name. What runs in the store waits to be run in the copy. docs/operations.md says how to restore it.",
        example="  taskmill backup /backups/jobs.db --app shop.tasks:mill\n"
        "  taskmill backup copy.db --url sqlite:///jobs.db --force",
    )
    parser.add_argument(
        "target", metavar="TARGET", type=Path, help="the file to be made, in a folder that is there"
    )
    parser.add_argument("--force", action="store_true", help="replace the file, if there is one")
    store.add_options(parser)


def run(arguments: Any) -> int:
    """Make the copy, and tell what it has become."""
    began = time.monotonic()
    with store.open_as_it_is(arguments) as app:
        backup = app.storage.health.backup(arguments.target, replace=arguments.force)
    seconds = time.monotonic() - began
    if arguments.json:
        put_json(_as_json(backup, seconds))
    else:
        put(clean(_as_text(backup, seconds)))
    if backup.violations:
        rules = listed([violation.rule for violation in backup.violations])
        print(
            f"taskmill: the store breaks rules of its own ({rules}): see taskmill doctor --verify",
            file=sys.stderr,
        )
    return exit_code.OK


def _as_json(backup: Backup, seconds: float) -> dict[str, Any]:
    return {
        "path": str(backup.path),
        "size": backup.size,
        "jobs": backup.jobs,
        "seconds": round(seconds, 3),
        "violations": [violation.rule for violation in backup.violations],
    }


def _as_text(backup: Backup, seconds: float) -> str:
    size, jobs = sized(backup.size), counted(backup.jobs, "job")
    return f"{backup.path}: {size}, {jobs}, verified, in {seconds:.1f} s"
