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
    """What all share under the name of the field; else, under "each_" and that, what it is in each job."""
    columns: dict[str, Any] = {}
    for name, column in zip(_FIELDS, zip(*map(_VALUES, jobs), strict=True), strict=True):
        if name != "job_id" and column.count(column[0]) == len(column):
            columns[name] = column[0]
        else:
            columns[f"each_{name}"] = column
    return json.dumps(columns)


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
