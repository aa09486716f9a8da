"""The command line: finds the command, loads only what it needs, and turns how it ended into an exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from taskmill._cli import exit_code
from taskmill._cli.output import OutputLost, complain, put
from taskmill._cli.parser import Parser
from taskmill._cli.version import installed
from taskmill.errors import TaskmillError


class Command(NamedTuple):
    """A module with ``configure(parser)`` and ``run(arguments) -> int``, imported when it is asked for."""

    module: str
    summary: str


COMMANDS = {
    "worker": Command("taskmill._cli.worker", "run the jobs of an application"),
    "enqueue": Command("taskmill._cli.enqueue", "store a call of a task as a job"),
    "status": Command("taskmill._cli.status", "how things stand, in one look"),
    "top": Command("taskmill._cli.top", "the same, kept on the screen"),
    "jobs": Command("taskmill._cli.jobs", "list, show, retry, cancel and delete jobs"),
    "logs": Command("taskmill._cli.job_logs", "print what a job has logged, and follow it"),
    "errors": Command("taskmill._cli.errors", "what jobs have failed of, by kind"),
    "explain": Command("taskmill._cli.explain", "why a job does not run"),
    "run": Command("taskmill._cli.run", "run a job that has ended here and now, for who looks for a mistake"),
    "queues": Command("taskmill._cli.queues", "how many jobs each queue holds; pause and resume"),
    "schedules": Command("taskmill._cli.schedules", "when schedules fire; run one now"),
    "workers": Command("taskmill._cli.workers", "who works"),
    "locks": Command("taskmill._cli.locks", "who holds which lock"),
    "dashboard": Command("taskmill._cli.dashboard", "serve pages that show the jobs, and act on them"),
    "purge": Command("taskmill._cli.purge", "delete waiting or ended jobs"),
    "doctor": Command("taskmill._cli.doctor", "say what is wrong with a store and the work in it"),
    "backup": Command("taskmill._cli.backup", "copy a store while it is in use"),
    "move": Command("taskmill._cli.move", "move all jobs to another store, while both are in use"),
    "export": Command("taskmill._cli.exporting", "write what a store holds as lines of JSON"),
    "import": Command("taskmill._cli.importing", "store what an export says"),
    "healthcheck": Command("taskmill._cli.healthcheck", "ask a worker whether it is well"),
    "bench": Command("taskmill._cli.bench", "measure how fast a store is"),
    "systemd": Command("taskmill._cli.systemd", "print the unit with which systemd runs a worker"),
    "completion": Command("taskmill._cli.completion", "print what lets a shell complete commands"),
    "demo": Command("taskmill._cli.demo", "see everything work, in under a minute"),
}

_DESCRIPTION = "Background jobs that start as one SQLite file and lose nothing."
_EPILOG = f"""\
options elsewhere:
  Each option is also a variable, as the help of each command names it, and a
  key of the nearest pyproject.toml: `threads` in [tool.taskmill.worker]. The
  command line goes before the environment, and that before the file.
  TASKMILL_URL  the store, if neither the application nor --url names one
  TASKMILL_APP  the application, instead of TARGET and --app

{exit_code.EXPLAINED}

examples:
  taskmill worker shop.tasks:mill --threads 8
  taskmill jobs list --state failed
  taskmill worker --help"""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line; return the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _carry_out(given)
    except KeyboardInterrupt:
        return exit_code.INTERRUPTED
    except OutputLost as loss:
        return _after_loss(loss)
    except TaskmillError as error:
        complain(str(error))
        return exit_code.of(error)


def build_parser(wanted: Sequence[str]) -> Parser:
    """The parser of all commands, complete for those that are *wanted*."""
    parser = Parser(prog="taskmill", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version and exit")
    for name, (module, summary) in COMMANDS.items():
        command = parser.command(name, summary)
        command.set_defaults(module=module)
        if name in wanted:
            import_module(module).configure(command)
    return parser


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"taskmill {installed()}")
        parser.exit()


def _carry_out(given: Sequence[str]) -> int:
    wanted = [next((word for word in given if not word.startswith("-")), "")]
    try:
        arguments = build_parser(wanted).parse_args(given)
    except SystemExit as end:
        status = int(end.code or 0)
    else:
        status = import_module(arguments.module).run(arguments)
    put()
    return status


def _after_loss(loss: OutputLost) -> int:
    # Python flushes standard output once more when it ends, and would complain then.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if isinstance(loss.__cause__, BrokenPipeError):
        return exit_code.PIPE_CLOSED
    complain(str(loss))
    return exit_code.FAILURE
