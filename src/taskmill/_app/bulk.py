"""The same for many jobs, one after the other; for the command line and the dashboard."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._core.wording import counted

Deed = Literal["retry", "cancel", "delete"]


class Done(NamedTuple):
    """What became of jobs: so many *changed*, so many that could not be, and so many that the time did not reach."""

    changed: int
    refused: int
    left: int


def _delete(app: Application, job_id: str) -> bool:
    return steering.delete(app, [job_id]) > 0


DEEDS: dict[Deed, Callable[[Application, str], bool]] = {
    "retry": steering.retry,
    "cancel": steering.cancel,
    "delete": _delete,
}
_TOLD: dict[Deed, str] = {
    "retry": "queued again",
    "cancel": "cancelled, or asked to stop",
    "delete": "deleted",
}


def carry_out(
    app: Application,
    deed: Deed,
    job_ids: Sequence[str],
    *,
    on_progress: Callable[[int], object],
    patience: float = math.inf,
) -> Done:
    """Do it to each of them, and begin with none after *patience* seconds; *on_progress* is told how many are done."""
    give_up_at = time.monotonic() + patience
    done = tried = 0
    for job_id in job_ids:
        if time.monotonic() >= give_up_at:
            break
        tried += 1
        done += DEEDS[deed](app, job_id)
        on_progress(done)
    return Done(done, tried - done, len(job_ids) - tried)


def told(deed: Deed, found: Done) -> str:
    """That, for people."""
    said = [f"{counted(found.changed, 'job')} {_TOLD[deed]}."]
    if found.refused:
        said.append(f"{found.refused:,} could not be: they had moved on.")
    if found.left:
        said.append(f"{found.left:,} are left: do it again.")
    return " ".join(said)
