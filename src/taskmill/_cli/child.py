"""A process of ``taskmill worker`` that runs jobs; its supervisor tells it how the command line was understood."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from argparse import Namespace
from collections.abc import Callable
from typing import Any, NoReturn

from taskmill._cli import exit_code, logs
from taskmill._cli.output import complain
from taskmill._cli.target import import_all, load
from taskmill._cli.worker import options_of, target_of
from taskmill._core.meter import Meter
from taskmill._worker.bond import die_with, go_before_the_parent, leave_signals_to_the_parent
from taskmill._worker.child import Child
from taskmill._worker.line import Line
from taskmill._worker.messages import LANGUAGE
from taskmill.errors import TaskmillError
from taskmill.mill import Mill

logger = logging.getLogger("taskmill.worker")

# Threads that a job can keep from ending.
_JOB_THREADS = ("taskmill-job-", "taskmill-loop")
_PATIENCE = 0.5
# What a task has started beside its job may take so long after the last job, as when a program ends.
_THREADS_PATIENCE = 2.0
_LAST_WORDS = 2.0

_is_python_done_waiting = threading.Event()


def main() -> NoReturn:
    """Run jobs until the supervisor says otherwise; its words: its process, a descriptor, the options."""
    parent, descriptor, understood = sys.argv[1:]
    die_with(int(parent))
    go_before_the_parent()
    leave_signals_to_the_parent()
    end = socket.socket(fileno=int(descriptor))
    # What a task starts must not keep the line open.
    end.set_inheritable(False)
    arguments = Namespace(**json.loads(understood))
    child = Child(Line(end, LANGUAGE), max_jobs=arguments.max_jobs)
    child.wait_to_begin()
    status = _serve(child, arguments)
    child.leave(status)
    _end(status)


def _serve(child: Child, arguments: Any) -> int:
    """Import the application and work; all that goes wrong is told here, as the status and in words."""
    try:
        mill = _load(arguments)
        logs.configure("debug" if arguments.verbose else arguments.log_level, arguments.log_format)
        # Somebody may ask for what is counted.
        mill.app.meter = None if arguments.http is None else Meter()
        child.run(mill.app, options_of(arguments))
        mill.close()
    except TaskmillError as error:
        complain(str(error))
        return exit_code.of(error)
    except Exception:  # noqa: BLE001  (of an on_start handler, most likely; all of it is told)
        traceback.print_exc()
        return exit_code.FAILURE
    return exit_code.OK


def _load(arguments: Any) -> Mill:
    mill = load(target_of(arguments))
    import_all(arguments.imports or ())
    return mill


# --- the end


def _end(status: int) -> NoReturn:
    """End this process in the way of Python, or without it where that does not come to an end."""
    # The last one to be registered is the first to be called.
    atexit.register(_is_python_done_waiting.set)
    _later(_THREADS_PATIENCE, _leave, status)
    if _is_a_job_left():
        _leave(status)
    sys.exit(status)


def _is_a_job_left() -> bool:
    """Whether a job has outlasted the grace, so that its thread goes on."""
    deadline = time.monotonic() + _PATIENCE
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_JOB_THREADS)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return any(thread.is_alive() for thread in threads)


def _leave(status: int) -> NoReturn:
    """End the process as it stands: Python's own way out waits for what a job has begun, which may never end."""
    # Should a thread hold the lock of a stream or of a log handler, or an exit handler wait for one.
    _later(_LAST_WORDS, os._exit, status)
    _tell_what_ends()
    if not _is_python_done_waiting.is_set():
        atexit._run_exitfuncs()  # noqa: SLF001  (nothing public calls them before all threads have ended)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _tell_what_ends() -> None:
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    left = ", ".join(name for name in names if not name.startswith("taskmill-"))
    if any(name.startswith(_JOB_THREADS) for name in names):
        # Which jobs, was told when they outlasted the grace.
        logger.info("threads of jobs that go on end with this process")
    elif left:
        logger.warning("what jobs have started (%s) ends with this process", left)
    else:
        logger.warning("an exit handler that takes long ends with this process")


def _later(seconds: float, call: Callable[[int], None], status: int) -> None:
    timer = threading.Timer(seconds, call, [status])
    timer.name, timer.daemon = "taskmill-end", True
    timer.start()
