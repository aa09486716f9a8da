"""The command itself: which file, which steps, and what to say when the story is told."""

from __future__ import annotations

import platform
import shlex
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from taskmill._app import steering
from taskmill._cli import exit_code
from taskmill._cli.demo import basics, flow, locks, tasks, timing, workers
from taskmill._cli.demo.file import clear, url_of
from taskmill._cli.demo.paint import Paint
from taskmill._cli.demo.story import Story
from taskmill._cli.demo.watch import served
from taskmill._cli.output import put, shows_colours
from taskmill._cli.parser import Parser
from taskmill._core.filter import Filter

DEFAULT_FILE = "taskmill-demo.db"

STEPS = (
    basics.one_file,
    basics.signals,
    basics.priorities,
    basics.retries,
    basics.context,
    locks.locks,
    timing.scheduling,
    timing.revoking,
    flow.pipelines,
    timing.periodic,
    flow.enqueue_anywhere,
    flow.results,
    workers.worker_in_a_thread,
    workers.latest_events,
    workers.shared_memory,
    workers.coroutines,
    workers.poison,
    workers.killed_worker,
)


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        f"See everything work, in under a minute: {len(STEPS)} promises, each made and then checked, on a fresh "
        "SQLite file that is left to look at. Status 1 if one of them is broken.",
        example="  taskmill demo\n  taskmill demo --file /tmp/demo.db",
    )
    parser.add_argument(
        "--file",
        default=DEFAULT_FILE,
        metavar="PATH",
        help="the file to make; that of an earlier demo is replaced, any other is refused",
    )


def run(arguments: Any) -> int:
    """Tell the story; ConfigurationError where the file is not ours to replace."""
    file = Path(arguments.file)
    clear(file)
    tasks.mill.configure(url_of(file))
    try:
        is_kept = _tell(file)
    except KeyboardInterrupt:
        put("", f"Interrupted; {file} is left as it is.")
        return exit_code.INTERRUPTED
    return exit_code.OK if is_kept else exit_code.FAILURE


def _tell(file: Path) -> bool:
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    put(f"taskmill demo: {len(STEPS)} promises, each made and then checked", f"{versions}, {url_of(file)}")
    with closing(tasks.mill), served() as where:
        put(*where)
        is_kept = Story(STEPS, put, Paint(is_on=shows_colours(sys.stdout))).tell()
        failed = steering.find(tasks.mill.app, Filter(task=tasks.hopeless.name), limit=1)
    put(*_how_to_look(file, failed[0].job_id if failed else "ID"))
    return is_kept


def _how_to_look(file: Path, job_id: str) -> list[str]:
    url = shlex.quote(url_of(file))
    query = "select state, count(*) from taskmill_job group by state"
    return [
        "",
        "The file is left for you to look at:",
        f"  taskmill jobs list --url {url}",
        f"  taskmill jobs show --url {url} \\",
        f"    {job_id}",
        f"  taskmill dashboard --url {url}",
        f"  sqlite3 {shlex.quote(str(file))} \\",
        f"    '{query}'",
    ]
