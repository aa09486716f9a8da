"""Moving from and to memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from taskmill._core.identity import new_job_id
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Crate, Load, Page, Transfer
from taskmill._storage.memory.changes import Memory
from taskmill._storage.memory.row import Row, job_of
from taskmill._storage.memory.tables import Tables


class MemoryTransfer(Transfer):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def identity(self) -> str:
        return self._memory.tables.identity

    def read(self, *, after: str | None, limit: int) -> Page:
        with self._memory.read() as tables:
            groups = [group for group in _groups(tables) if group[0].ref > int(after or 0)][:limit]
            jobs = [_whole(row) for group in groups for row in group]
            return Page(jobs, str(groups[-1][0].ref) if len(groups) == limit else None)

    def pack(self, target: str, *, limit: int) -> Crate | None:
        with self._memory.change() as changes:
            tables = changes.tables
            if tables.outgoing is None:
                resting = (
                    group for group in _groups(tables) if all(row.state is not State.RUNNING for row in group)
                )
                rows = [row for group in islice(resting, limit) for row in group]
                load = Load(
                    list(map(_whole, rows)), [tables.schedules.pop(name) for name in sorted(tables.schedules)]
                )
                if not any(load):
                    return None
                changes.take_out(rows)
                tables.version += 1
                tables.outgoing = Crate(new_job_id(), target, load)
            return tables.outgoing

    def unpack(self, crate_id: str, load: Load) -> Sequence[str] | None:
        with self._memory.change() as changes:
            if crate_id in changes.tables.unpacked:
                return None
            changes.tables.unpacked.add(crate_id)
            changes.tables.version += 1
            for schedule in load.schedules:
                changes.adopt(schedule)
            changes.has_freed = True
            return [job.job_id for job in load.jobs if not changes.take_in(job)]

    def forget(self, crate_id: str) -> None:
        with self._memory.change() as changes:
            outgoing = changes.tables.outgoing
            if outgoing is not None and outgoing.crate_id == crate_id:
                changes.tables.outgoing = None
                changes.tables.version += 1


def _whole(row: Row) -> Job:
    return job_of(row, tuple(row.attempts), row.sheets)


def _groups(tables: Tables) -> Iterator[list[Row]]:
    """Jobs that stand for themselves, and pipelines by the first of their steps."""
    for row in tables.rows.values():
        steps = tables.pipelines.get(row.call.pipeline, {})
        if not steps:
            yield [row]
        elif row.call.step == min(steps):
            yield [steps[step] for step in sorted(steps)]
