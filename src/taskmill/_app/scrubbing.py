"""No secret of a job is stored with its error, nor with what it says."""

from __future__ import annotations

from collections.abc import Callable

from taskmill._app.application import Application
from taskmill._core.job import Claimed, ErrorInfo


def scrubber(app: Application, claimed: Claimed | None) -> Callable[[str], str]:
    """Takes out of a text the secrets among the arguments of that job, if it is one's, and what looks like one."""
    secrecy = app.secrecy
    if claimed is None:
        return secrecy.scrubbed
    task = app.tasks.find(claimed.task)
    names = [] if task is None else [*task.parameters.signature.parameters]
    values = secrecy.values_of_call(claimed.args, names, given=claimed.given)
    return lambda text: secrecy.scrubbed(text, values)


def scrubbed(app: Application, claimed: Claimed | None, error: ErrorInfo) -> ErrorInfo:
    """The error of that attempt, or of what is no attempt, without secrets."""
    scrub = scrubber(app, claimed)
    return ErrorInfo(error.type, scrub(error.message), scrub(error.traceback))
