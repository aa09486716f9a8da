"""What a worker and the processes that run its jobs say to each other."""

from __future__ import annotations

from typing import NamedTuple, get_args

from taskmill._core.job import Claimed, ErrorInfo
from taskmill._core.journal import Said
from taskmill._core.limit import Stop
from taskmill._core.outcome import Outcome
from taskmill._worker.line import Language


class Setup(NamedTuple):
    """From the worker, first of all: whose child it is, where it imports from (as in PYTHONPATH), the store's URL.

    And from which level on log lines of its jobs are kept (None: not at all), and that of the worker's root logger.
    """

    parent: int
    path: str
    url: str
    log_level: int | None
    root_level: int


class Run(NamedTuple):
    """From the worker: run that job, which *session* holds; its task is defined in *module*."""

    module: str
    session: int
    claimed: Claimed


class Halt(NamedTuple):
    """From the worker: stop that claim of a job, if it still runs."""

    job_id: str
    fence: int
    stop: Stop


class Dump(NamedTuple):
    """From the worker: write to standard error where every thread stands."""


class Begun(NamedTuple):
    """From the runner: the module is imported, the attempt begins."""


class Called(NamedTuple):
    """From the runner: the function is called now, and its time limits count; not said of a task without."""


class Noted(NamedTuple):
    """From the runner: what its job has said since."""

    said: Said


class Ended(NamedTuple):
    """From the runner: the attempt is over; *is_reported*: a service was told of its error, as `Reported` has it."""

    outcome: Outcome
    is_reported: bool = False


class Dumped(NamedTuple):
    """The answer to Dump: it is done."""


Message = Setup | Run | Halt | Dump | Begun | Called | Noted | Ended | Dumped

LANGUAGE = Language(*get_args(Message), *get_args(Outcome), Claimed, ErrorInfo, Said)
