"""No secret of a job is stored with what went wrong in it, or with what it logged."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from taskmill._core.job import Claimed

if TYPE_CHECKING:
    from taskmill._app.application import Application

Scrub = Callable[[str], str]


def scrub_of(app: Application, claimed: Claimed) -> Scrub:
    """What takes out of a text the secrets among the arguments of that job, and what looks like one."""
    task = app.tasks.find(claimed.task)
    names = [] if task is None else [*task.parameters.signature.parameters]
    values = app.secrecy.values_of_call(claimed.args, names, given=claimed.given)
    return partial(app.secrecy.scrubbed, values=values)
