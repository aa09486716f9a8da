"""What a store holds as lines of JSON, and back; docs/operations.md describes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from taskmill._core.identity import new_job_id
from taskmill._storage.base import Load
from taskmill._storage.records import at_rest, job_of, job_record, schedule_of, schedule_record
from taskmill.errors import NotAnExport

if TYPE_CHECKING:
    from taskmill._core.record import Job
    from taskmill._storage.base import Storage

VERSION = 1

# Jobs that are stored together. An import that is repeated knows by their places what it has stored before: another
# number would make of an export that is half imported one that is not.
_CHUNK = 200


class Imported(NamedTuple):
    """How many jobs of a file were stored, were known by their id or key, and had been imported from it before."""

    stored: int
    known: int
    before: int


def export(storage: Storage) -> Iterator[str]:
    """The lines. Who works in the store meanwhile goes on; each job, or pipeline, is as it was when it was read."""
    yield _line("taskmill", {"version": VERSION, "id": new_job_id(), "at": storage.now()})
    for queue in storage.inspection.paused():
        yield _line("pause", queue)
    for schedule in storage.schedules.list():
        yield _line("schedule", schedule_record(schedule))
    jobs = 0
    after: str | None = None
    while True:
        page = storage.transfer.read(after=after, limit=_CHUNK)
        for job in page.jobs:
            yield _line("job", job_record(at_rest(job)))
        jobs += len(page.jobs)
        after = page.more
        if after is None:
            break
    yield _line("end", {"jobs": jobs})


def _line(kind: str, value: object) -> str:
    return json.dumps({kind: value})


def load(storage: Storage, lines: Iterable[str], *, again: bool) -> Imported:
    """Store what an export says. Repeated, it stores nothing twice, whatever became of the jobs, unless *again*.

    Raises:
        NotAnExport: a line cannot be read, or the last one is missing. What stood before it is stored.
    """
    records = _records(lines)
    _, head = next(records, (0, None))
    export_id = _export_id(head)
    if again:
        export_id = new_job_id()
    total = Imported(0, 0, 0)
    for number, part in enumerate(_parts(storage, records)):
        known = storage.transfer.unpack(f"{export_id}/{number}", part)
        count = len(part.jobs)
        if known is None:
            total = total._replace(before=total.before + count)
        else:
            total = Imported(total.stored + count - len(known), total.known + len(known), total.before)
    return total


def _records(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise NotAnExport(f"line {number} is no JSON: {error}") from None


def _export_id(head: object) -> str:
    match head:
        case {"taskmill": {"version": int(version), "id": str(export_id)}} if version == VERSION:
            return export_id
        case {"taskmill": {"version": version}}:
            raise NotAnExport(f"it is of version {version}, and this taskmill reads version {VERSION}")
        case _:
            raise NotAnExport("its first line is not that of an export: it is made by taskmill export")


def _parts(storage: Storage, records: Iterator[tuple[int, Any]]) -> Iterator[Load]:
    """Schedules, then jobs in chunks; a pipeline is in one, as none of its steps may run before all are there."""
    jobs: list[Job] = []
    for number, record in records:
        match record:
            case {"pause": str(queue)}:
                storage.jobs.pause(queue)
            case {"schedule": schedule}:
                yield Load([], [_read(number, schedule_of, schedule)])
            case {"job": job}:
                new = _read(number, job_of, job)
                if len(jobs) >= _CHUNK and (new.pipeline is None or new.pipeline != jobs[-1].pipeline):
                    yield Load(jobs)
                    jobs = []
                jobs.append(new)
            case {"end": _}:
                yield Load(jobs)
                return
            case _:
                raise NotAnExport(f"line {number} is neither a job nor a schedule nor a pause")
    raise NotAnExport(
        "it ends in the middle: what it says was stored; import the whole of it, nothing is stored twice"
    )


def _read(number: int, read: Any, record: object) -> Any:
    try:
        return read(record)
    except ValueError as error:
        raise NotAnExport(f"line {number}: {error}") from None
