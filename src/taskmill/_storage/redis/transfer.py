"""Moving from and to Redis.

What is taken out is read first, and written as text here: a script cannot, without rounding numbers. It takes out what
is still as it was read, and says what is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any, NamedTuple

from taskmill._core.identity import new_job_id
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Crate, Load, Page, Transfer
from taskmill._storage.records import load_of, load_text
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.journals import journal_text, sheets_of
from taskmill._storage.redis.rows import TOLD, Call, attempts_text, job_of, packed_of, records_of
from taskmill._storage.redis.schedules import schedule_of, schedule_text
from taskmill.errors import StoreRefused

_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class _Read(NamedTuple):
    """A job as it was read: its name, its row as it is stored, and what that means."""

    ref: bytes
    packed: bytes
    job: Job


class RedisTransfer(Transfer):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def identity(self) -> str:
        return str(self._caller.change("identity", new_job_id()))

    def read(self, *, after: str | None, limit: int) -> Page:
        found, more = self._page(after, limit)
        return Page([each.job for each in found], more)

    def _page(self, after: str | None, limit: int) -> tuple[list[_Read], str | None]:
        more, *reply = self._caller.look("oldest", after or "-inf", limit)
        jobs = [job_of(record, with_attempts=True) for record in records_of(reply)]
        # What has been taken out, or runs, by now is not taken out as it was read.
        sheets = sheets_of(self._caller, [job.job_id for job in jobs])
        whole = [replace(job, sheets=its_sheets) for job, its_sheets in zip(jobs, sheets, strict=True)]
        return list(map(_Read, reply[::TOLD], reply[1::TOLD], whole)), more.decode() or None

    # --- out

    def pack(self, target: str, *, limit: int) -> Crate | None:
        while True:
            before = self._outgoing()
            if before is not None:
                return before
            schedules = self._caller.link.ask("HGETALL", self._caller.link.key("schedules"))
            groups = list(islice(self._movable(limit), limit))
            crate, is_over = self._take_out(target, groups, schedules)
            if is_over:
                return crate

    def _outgoing(self) -> Crate | None:
        link = self._caller.link
        crate, target, text = link.ask("HMGET", link.key("outgoing"), "crate", "target", "load")
        return None if crate is None else Crate(crate.decode(), target.decode(), load_of(text.decode()))

    def _movable(self, limit: int) -> Iterator[list[_Read]]:
        """Jobs and pipelines of which nothing runs."""
        after: str | None = None
        while True:
            found, after = self._page(after, limit)
            for group in _grouped(found):
                if all(each.job.state is not State.RUNNING for each in group):
                    yield group
            if after is None:
                return

    def _take_out(
        self, target: str, groups: list[list[_Read]], schedules: Sequence[bytes]
    ) -> tuple[Crate | None, bool]:
        """What was packed, and whether that is all there is to do."""
        crate_id = new_job_id()
        states = sorted(schedule_of(json.loads(text)) for text in schedules[1::2])
        while True:
            taken = [each for group in groups for each in group]
            load = Load([each.job for each in taken], states)
            if not any(load):
                return None, True
            as_read = [text for each in taken for text in (each.ref, each.packed)]
            answer = self._caller.change(
                "pack", crate_id, target, load_text(load), len(schedules) // 2, *schedules, *as_read
            )
            if answer == "packed":
                return Crate(crate_id, target, load), True
            if answer == "again":
                return None, False
            changed = {ref.encode() for ref in answer}
            groups = [group for group in groups if all(each.ref not in changed for each in group)]

    def forget(self, crate_id: str) -> None:
        self._caller.change("forget", crate_id)

    # --- in

    def unpack(self, crate_id: str, load: Load) -> Sequence[str] | None:
        schedules = [schedule_text(schedule) for schedule in load.schedules]
        jobs = [argument for job in load.jobs for argument in _arguments(job)]
        known: list[str] | None = self._caller.change("unpack", crate_id, len(schedules), *schedules, *jobs)
        return known


def _grouped(found: Iterable[_Read]) -> Iterator[list[_Read]]:
    """The steps of a pipeline together, which follow each other."""
    for _, group in groupby(found, key=lambda each: each.job.pipeline or each.job.job_id):
        yield list(group)


def _arguments(job: Job) -> Iterator[Any]:
    """What unpack.lua takes of a job."""
    if any("\0" in name for name in (job.queue, job.task, job.lock or "")):
        raise StoreRefused("Redis cannot hold the name of a queue, a task or a lock with a NUL: leave it out")
    yield job.job_id
    yield packed_of(job)
    yield _text(
        Call(
            job_id=job.job_id,
            task=job.task,
            queue=job.queue,
            executor=job.executor,
            headers=json.dumps(job.headers) if job.headers else None,
            args=job.args,
            lock=job.lock,
            key=job.key,
            pipeline=job.pipeline,
            tags=json.dumps(job.tags) if job.tags else None,
        )
    )
    yield "" if job.key is None else f"{job.task}\0{job.key}"
    yield "" if job.pipeline is None else f":{job.pipeline}"
    yield _outcome(job)
    yield attempts_text(job.attempts)
    yield journal_text(job.sheets)


def _outcome(job: Job) -> str:
    if job.state is State.SUCCEEDED:
        return job.result or ""
    return _text([job.reason, job.error]) if job.state.is_final else ""
