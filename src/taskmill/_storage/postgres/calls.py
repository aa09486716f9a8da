"""New jobs as functions/add.sql takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from taskmill._core.job import NewJob

_FIELDS = tuple(field.name for field in fields(NewJob))
_VALUES = attrgetter(*_FIELDS)


def as_columns(jobs: Sequence[NewJob]) -> str:
    """For each field a list of what it is in each job or, where all share it, of that alone."""
    columns: dict[str, Sequence[Any]] = dict(zip(_FIELDS, zip(*map(_VALUES, jobs), strict=True), strict=True))
    shared = {name: column[:1] for name, column in columns.items() if column.count(column[0]) == len(column)}
    # How many these are says how many jobs there are.
    return json.dumps({**columns, **shared, "job_id": columns["job_id"]})


def values(job: NewJob) -> Sequence[Any]:
    """What `add_one` is given of the job, in its order."""
    return (
        job.job_id,
        job.queue,
        job.executor,
        job.priority,
        job.run_at,
        job.delay,
        job.max_attempts,
        job.task,
        job.expires_in,
        job.result_ttl,
        job.lock,
        job.tags,
        job.headers,
        job.pipeline,
        job.step,
        job.args,
    )
