"""New jobs as functions/add.sql takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from taskmill._core.job import NewJob
from taskmill._storage.postgres.connection import encoded

_FIELDS = tuple(field.name for field in fields(NewJob))
_VALUES = attrgetter(*_FIELDS)
# What differs from call to call, and what many calls have in common; in the order of `add_one` and `add_alike`.
_OWN = attrgetter("run_at", "headers", "pipeline")
_SHARED = attrgetter(
    *("queue", "executor", "priority", "delay", "max_attempts", "task", "expires_in", "result_ttl"),
    *("lock", "tags", "step"),
)


def as_columns(jobs: Sequence[NewJob]) -> str:
    """What all share under the name of the field; else, under "each_" and that, what it is in each job."""
    columns: dict[str, Any] = {}
    for name, column in zip(_FIELDS, zip(*map(_VALUES, jobs), strict=True), strict=True):
        if name != "job_id" and column.count(column[0]) == len(column):
            columns[name] = column[0]
        else:
            columns[f"each_{name}"] = column
    return json.dumps(columns)


def are_alike(jobs: Sequence[NewJob]) -> bool:
    """Whether they differ in id and arguments only, their keys left out of account."""
    shared, own = _SHARED(jobs[0]), _OWN(jobs[0])
    return all(_SHARED(job) == shared and _OWN(job) == own for job in jobs)


def values(job: NewJob) -> Sequence[object]:
    """What `add_one` and `add_alike` are given of the job, behind its id and arguments."""
    return *_OWN(job), *_encoded(*_SHARED(job))


@lru_cache(maxsize=256)
def _encoded(*shared: object) -> Sequence[bytes | None]:
    return tuple(map(encoded, shared))
