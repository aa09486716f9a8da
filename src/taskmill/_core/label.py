"""What a job's state is called where people read it."""

from __future__ import annotations

from datetime import datetime

from taskmill._core.job import State
from taskmill._core.record import Job


def label_of(job: Job, now: datetime) -> str:
    """The state, told more exactly where a queued job has to wait for its time."""
    if job.state is State.QUEUED and job.run_at > now:
        return "retrying" if job.attempt else "scheduled"
    return str(job.state)
