"""No secret of a job is stored with its error."""

from __future__ import annotations

from taskmill._app.application import Application
from taskmill._core.job import Claimed, ErrorInfo


def scrubbed(app: Application, claimed: Claimed, error: ErrorInfo) -> ErrorInfo:
    """The error of that attempt without the secrets among its arguments, and without what looks like one."""
    secrecy = app.secrecy
    task = app.tasks.find(claimed.task)
    names = [] if task is None else [*task.parameters.signature.parameters]
    values = secrecy.values_of_call(claimed.args, names, given=claimed.given)
    message, traceback = (secrecy.scrubbed(text, values) for text in (error.message, error.traceback))
    return ErrorInfo(error.type, message, traceback)
