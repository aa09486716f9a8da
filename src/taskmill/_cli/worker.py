"""``taskmill worker``: a worker process from its start to its end."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

from taskmill._cli import exit_code, logs
from taskmill._cli.parser import Parser, names, one_of, seconds, whole
from taskmill._cli.target import import_all, load
from taskmill._cli.text import clean, complain
from taskmill._cli.version import installed
from taskmill._storage.open import shown
from taskmill._worker.options import WorkerOptions
from taskmill._worker.worker import Worker
from taskmill.errors import ConfigurationError, TaskmillError
from taskmill.mill import Mill

logger = logging.getLogger("taskmill.worker")

_EXAMPLE = """\
  taskmill worker shop.tasks:mill --threads 8 --queues mail,default
  TASKMILL_WORKER_THREADS=8 taskmill worker "shop:create()"

signals:
  SIGTERM, SIGINT (Ctrl-C)
      take no more jobs, let the running ones finish within the grace, give the
      rest back with no attempt burnt, and end with status 0
  the second of them
      ends the grace"""

_DEFAULTS = WorkerOptions()
# Threads that a job can keep from ending.
_JOB_THREADS = ("taskmill-job-", "taskmill-loop")
_PATIENCE = 0.5
_LAST_WORDS = 2.0


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe("Run the jobs of an application until told to stop.", example=_EXAMPLE)
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="module:attribute of the Mill, module alone if it has only one, or module:function() that makes it "
        "(default: TASKMILL_APP); the current folder is searched last, and not if everybody may write to it",
    )
    _configure_capacity(parser)
    parser.setting(
        "--grace",
        variable="TASKMILL_WORKER_GRACE",
        read=seconds,
        default=_DEFAULTS.grace,
        metavar="SECONDS",
        told="how long running jobs may go on when it is told to stop",
    )
    parser.setting(
        "--burst",
        variable="TASKMILL_WORKER_BURST",
        read=None,
        default=False,
        told="run all that is due, then stop",
    )
    parser.setting(
        "--import",
        variable="TASKMILL_WORKER_IMPORT",
        read=names,
        action="extend",
        dest="imports",
        metavar="MODULES",
        told="modules that define tasks, parted by commas, beside those of Mill(imports=...); may be repeated",
    )
    _configure_log(parser)


def run(arguments: Any) -> int:
    """Run a worker; returns when it has stopped, unless a job keeps its thread: then the process ends here."""
    mill = _load(arguments)
    logs.configure("debug" if arguments.verbose else arguments.log_level)
    options = WorkerOptions(
        threads=arguments.threads,
        coroutines=arguments.coroutines,
        queues=arguments.queues,
        grace=arguments.grace,
        burst=arguments.burst,
    )
    # After the application's own: what it says is true once the store is open and all is ready.
    mill.on_start(lambda: print(_start_line(mill, options), file=sys.stderr, flush=True))
    _warn(mill)
    status = _serve(Worker(mill.app, options))
    _leave_if_a_job_is_left(status)
    mill.close()
    return status


def _configure_capacity(parser: Parser) -> None:
    parser.setting(
        "-c",
        "--threads",
        variable="TASKMILL_WORKER_THREADS",
        read=whole,
        default=_DEFAULTS.threads,
        metavar="N",
        told="how many plain functions run at once",
    )
    parser.setting(
        "--coroutines",
        variable="TASKMILL_WORKER_COROUTINES",
        read=whole,
        default=_DEFAULTS.coroutines,
        metavar="N",
        told="how many async functions run at once",
    )
    parser.setting(
        "-q",
        "--queues",
        variable="TASKMILL_WORKER_QUEUES",
        read=names,
        action="extend",
        metavar="NAMES",
        told="only these queues, parted by commas; among them jobs go by priority (default: all queues)",
    )


def _configure_log(parser: Parser) -> None:
    parser.setting(
        "--log-level",
        variable="TASKMILL_WORKER_LOG_LEVEL",
        read=one_of("log level", logs.LEVELS),
        metavar="LEVEL",
        told=f"{', '.join(logs.LEVELS)}; {logs.DEFAULT_LEVEL} unless the application sets up its own log",
    )
    parser.setting(
        "-v",
        "--verbose",
        variable="TASKMILL_WORKER_VERBOSE",
        read=None,
        default=False,
        told="the same as --log-level debug",
    )


def _load(arguments: Any) -> Mill:
    target = arguments.target or os.environ.get("TASKMILL_APP")
    if not target:
        raise ConfigurationError("name the application, for example: taskmill worker shop.tasks:mill")
    mill = load(target)
    import_all(arguments.imports or ())
    return mill


def _warn(mill: Mill) -> None:
    if not len(mill.app.tasks):
        logger.warning("no tasks are defined: name the modules that do with Mill(imports=[...]) or --import")
    if mill.url.startswith("memory:"):
        logger.warning("%s lives in this process: nobody else can enqueue jobs for it", mill.url)


def _start_line(mill: Mill, options: WorkerOptions) -> str:
    app = mill.app
    queues = ", ".join(options.queues) if options.queues else "all"
    facts = (
        f"{len(app.tasks)} tasks",
        f"{len(app.periodics)} schedules",
        f"queues: {queues}",
        f"{options.threads} threads",
        f"{options.coroutines} coroutines",
        f"process {os.getpid()}",
    )
    return clean(f"taskmill {installed()} worker on {shown(app.storage.url)}: {'; '.join(facts)}")


# --- the end


def _serve(worker: Worker) -> int:
    try:
        worker.run()
    except TaskmillError as error:
        complain(str(error))
        return exit_code.of(error)
    except Exception:  # noqa: BLE001  (of an on_start handler, most likely; all of it is told)
        traceback.print_exc()
        return exit_code.FAILURE
    return exit_code.OK


def _leave_if_a_job_is_left(status: int) -> None:
    try:
        if not _is_a_job_left():
            return
    except KeyboardInterrupt:  # somebody is in a hurry
        status = exit_code.INTERRUPTED
    _leave(status)


def _is_a_job_left() -> bool:
    """Whether a job has outlasted the grace, so that its thread goes on."""
    deadline = time.monotonic() + _PATIENCE
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_JOB_THREADS)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return any(thread.is_alive() for thread in threads)


def _leave(status: int) -> NoReturn:
    """End the process as it stands: Python's own way out waits for what the job may have begun and never ends."""
    logger.warning("a job that outlasted the grace ends with this process")
    # Should the job hold the lock of a stream or of a log handler.
    guard = threading.Timer(_LAST_WORDS, os._exit, [status])
    guard.daemon = True
    guard.start()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
