"""``taskmill worker``: a supervising process, which imports nothing of the application, and those that run the jobs."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from taskmill._app.listening import listen
from taskmill._cli import logs
from taskmill._cli.parser import Parser, address, names, one_of, positive, seconds, whole
from taskmill._cli.version import installed
from taskmill._core.wording import clean, counted
from taskmill._storage.open import is_shared
from taskmill._storage.urls import shown
from taskmill._worker.messages import Hello
from taskmill._worker.options import JOB_LOGS, WorkerOptions
from taskmill._worker.parent import Parent
from taskmill._worker.reload import Changes, folders_of
from taskmill._worker.supervisor import SupervisorOptions
from taskmill.errors import ConfigurationError

logger = logging.getLogger("taskmill.worker")

_EXAMPLE = """\
  taskmill worker shop.tasks:mill --threads 8 --queues mail,default
  TASKMILL_WORKER_THREADS=8 taskmill worker "shop:create()"

signals:
  SIGTERM, SIGINT (Ctrl-C)
      take no more jobs, let the running ones finish within the grace, give the
      rest back with no attempt burnt, and end with status 0
  the second of them
      ends the grace
  SIGUSR1
      write where every thread, coroutine and process with a job stands, to
      standard error"""

_DEFAULTS = WorkerOptions()


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe("Run the jobs of an application until told to stop.", example=_EXAMPLE)
    parser.add_argument(
        "app",
        nargs="?",
        metavar="TARGET",
        help="module:attribute of the Mill, module alone if it has only one, or module:function() that makes it; the "
        "current folder is searched last, and not if everybody may write to it",
    )
    _configure_capacity(parser)
    parser.add_argument(
        "--grace",
        type=seconds,
        default=_DEFAULTS.grace,
        metavar="SECONDS",
        help="how long running jobs may go on when it is told to stop",
    )
    parser.add_argument(
        "--burst",
        action="store_true",
        help="run all that is due, then stop",
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="while you write the application: start it anew when a Python file of it changes; what runs has the "
        "grace to finish",
    )
    parser.add_argument(
        "--import",
        type=names,
        action="extend",
        dest="imports",
        metavar="MODULES",
        help="modules that define tasks, parted by commas, beside those of Mill(imports=...); may be repeated",
    )
    parser.add_argument(
        "--http",
        type=address,
        metavar="HOST:PORT",
        help="answer /healthz, /readyz, /metrics and /queues/NAME there, to everybody who can reach it; :PORT is on "
        "all addresses of this machine",
    )
    _configure_recycling(parser)
    _configure_log(parser)


def run(arguments: Any) -> int:
    """Supervise the processes that run the jobs; returns when all have stopped."""
    target = target_of(arguments)
    options_of(arguments)
    if arguments.reload and arguments.burst:
        raise ConfigurationError(
            "--reload goes on until it is stopped, and --burst stops by itself: leave one out"
        )
    logs.configure("debug" if arguments.verbose else arguments.log_level, arguments.log_format)
    options = SupervisorOptions(
        processes=arguments.processes,
        grace=arguments.grace,
        burst=arguments.burst,
        queues=arguments.queues,
        max_memory=arguments.max_memory * 1_000_000,
        reloads=arguments.reload,
    )
    # As it was understood here: those that start later are not to depend on what has become of a file by then.
    understood = {name: value for name, value in vars(arguments).items() if name != "left_out"}
    command = partial(_command, json.dumps(understood))
    http = None if arguments.http is None else listen(*arguments.http)
    with _changes_of(target) if arguments.reload else nullcontext() as changes:
        parent = Parent(
            options,
            command,
            lambda hello: _announce(hello, arguments, http),
            version=installed(),
            http=http,
            changes=changes,
        )
        return parent.run()


@contextmanager
def _changes_of(target: str) -> Iterator[Changes]:
    changes = Changes(folders_of(target.partition(":")[0], sys.path))
    try:
        yield changes
    finally:
        changes.close()


def target_of(arguments: Any) -> str:
    """What names the application."""
    target: str | None = arguments.app
    if not target:
        raise ConfigurationError("name the application, for example: taskmill worker shop.tasks:mill")
    return target


def options_of(arguments: Any) -> WorkerOptions:
    """The options of each of the processes."""
    return WorkerOptions(
        threads=arguments.threads,
        coroutines=arguments.coroutines,
        process_slots=arguments.process_slots,
        queues=arguments.queues,
        grace=arguments.grace,
        burst=arguments.burst,
        job_logs=arguments.job_logs or _DEFAULTS.job_logs,
    )


def _configure_capacity(parser: Parser) -> None:
    parser.add_argument(
        "--processes",
        type=positive,
        default=1,
        metavar="N",
        help="how many processes run jobs, each with threads and coroutines of its own; one uses one processor",
    )
    parser.add_argument(
        "-c",
        "--threads",
        type=whole,
        default=_DEFAULTS.threads,
        metavar="N",
        help="how many plain functions run at once",
    )
    parser.add_argument(
        "--coroutines",
        type=whole,
        default=_DEFAULTS.coroutines,
        metavar="N",
        help="how many async functions run at once",
    )
    parser.add_argument(
        "--process-slots",
        type=whole,
        default=_DEFAULTS.process_slots,
        metavar="N",
        help='how many tasks of executor "process" run at once, each in a process of its own',
    )
    parser.add_argument(
        "-q",
        "--queues",
        type=names,
        action="extend",
        metavar="NAMES",
        help="only these queues, parted by commas; among them jobs go by priority; all, if none is named",
    )


def _configure_recycling(parser: Parser) -> None:
    parser.add_argument(
        "--max-jobs",
        type=whole,
        default=0,
        metavar="N",
        help="replace a process that has run so many jobs, when those in it and those that it has claimed already have "
        "ended; 0 is never",
    )
    parser.add_argument(
        "--max-memory",
        type=whole,
        default=0,
        metavar="MB",
        help="the same for one that uses so many megabytes; 0 is any",
    )


def _configure_log(parser: Parser) -> None:
    parser.add_argument(
        "--log-level",
        type=one_of("log level", logs.LEVELS),
        metavar="LEVEL",
        help=f"{', '.join(logs.LEVELS)}; {logs.DEFAULT_LEVEL} unless the application sets up its own log",
    )
    parser.add_argument(
        "--log-format",
        type=one_of("log format", logs.FORMATS),
        default="text",
        metavar="FORMAT",
        help="text, or json: one object a line, of all that the worker and its application log",
    )
    parser.add_argument(
        "--job-logs",
        type=one_of("level of job logs", JOB_LOGS),
        metavar="LEVEL",
        help="from which level on what jobs log is kept with them, unless the application leaves it out: "
        f"{', '.join(JOB_LOGS)}; else {_DEFAULTS.job_logs}",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="the same as --log-level debug",
    )


def _announce(hello: Hello, arguments: Any, http: socket.socket | None) -> None:
    """The line that says that jobs are run from now on, and what is odd about that."""
    line = clean(_start_line(hello, arguments, http))
    if arguments.log_format == "json":
        logger.info(line)
    else:
        print(line, file=sys.stderr, flush=True)
    if not hello.tasks:
        logger.warning("no tasks are defined: name the modules that do with Mill(imports=[...]) or --import")
    if not is_shared(hello.url):
        logger.warning("%s lives in one process: nobody else can enqueue jobs for it", hello.url)


def _start_line(hello: Hello, arguments: Any, http: socket.socket | None) -> str:
    facts = (
        counted(hello.tasks, "task"),
        counted(hello.schedules, "schedule"),
        f"queues: {', '.join(arguments.queues) if arguments.queues else 'all'}",
        *([f"{arguments.processes} processes"] if arguments.processes > 1 else []),
        counted(arguments.threads, "thread"),
        counted(arguments.coroutines, "coroutine"),
        counted(arguments.process_slots, "process slot"),
        f"process {os.getpid()}",
        *([] if http is None else [f"HTTP on {arguments.http.host} port {http.getsockname()[1]}"]),
    )
    return f"taskmill {installed()} worker on {shown(hello.url)}: {'; '.join(facts)}"


# --- the processes

_CHILD = f"import sys; sys.path[:] = sys.argv.pop().split({os.pathsep!r}); from taskmill._cli.child import main; main()"
# Of short flags in one word only the last can take a value: after W or X, an m belongs to that.
_COMBINED_WITH_M = re.compile(r"(-[^-WXcm]+)m")
_FLAGS_WITH_A_VALUE = ("-W", "-X", "--check-hash-based-pycs")


def _command(understood: str, descriptor: int) -> list[str]:
    """That of a child: this Python with its flags and its path, and what was understood of the command line."""
    given = [str(os.getpid()), str(descriptor), understood]
    # The path as text: found by way of the current folder, another "taskmill" could take the place of this one.
    return [sys.executable, *_flags(), "-c", _CHILD, *given, os.pathsep.join(sys.path)]


def _flags() -> list[str]:
    """Those that Python itself was started with."""
    words = iter(sys.orig_argv[1:])
    flags: list[str] = []
    for word in words:
        if not word.startswith("-") or word.startswith(("-m", "-c")):
            break
        if combined := _COMBINED_WITH_M.match(word):
            flags.append(combined[1])
            break
        flags.append(word)
        if word in _FLAGS_WITH_A_VALUE:
            flags.append(next(words))
    return flags
