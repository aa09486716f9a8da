"""What people and waiting callers read from memory."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import nlargest
from itertools import islice

from taskmill._core.filter import EVERY, Filter
from taskmill._core.instant import from_datetime, to_datetime
from taskmill._core.record import Job
from taskmill._storage.base import Inspection, Outcome, Page, QueueCount, SessionState
from taskmill._storage.matching import holds, matches
from taskmill._storage.memory.changes import Memory
from taskmill._storage.memory.row import Row, job_of
from taskmill._storage.rows import error_text


class MemoryInspection(Inspection):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def outcome(self, job_id: str) -> Outcome | None:
        with self._memory.read() as tables:
            row = tables.rows.get(job_id)
            if row is None:
                return None
            return Outcome(row.call.task, row.state, row.reason, row.result, row.error)

    def job(self, job_id: str) -> Job | None:
        with self._memory.read() as tables:
            row = tables.rows.get(job_id)
            return None if row is None else job_of(row, tuple(row.attempts))

    def find(self, wanted: Filter = EVERY, *, limit: int = 100) -> Sequence[Job]:
        with self._memory.read() as tables:
            found = (row for row in reversed(tables.rows.values()) if _is_wanted(row, wanted))
            return [job_of(row) for row in islice(found, limit)]

    def steps(self, pipeline: str, *, limit: int = 1_000) -> Sequence[Job]:
        with self._memory.read() as tables:
            steps = tables.pipelines.get(pipeline, {})
            return [job_of(steps[step]) for step in sorted(steps)[:limit]]

    def search(self, wanted: Filter = EVERY, *, after: str | None = None, limit: int = 100) -> Page:
        with self._memory.read() as tables:
            older = (row for row in reversed(tables.rows.values()) if after is None or row.ref < int(after))
            rows = list(islice((row for row in older if _is_wanted(row, wanted)), limit))
            return Page([job_of(row) for row in rows], str(rows[-1].ref) if len(rows) == limit else None)

    def recent(self, limit: int) -> Sequence[Job]:
        with self._memory.read() as tables:
            events = ((moment, row.ref, row) for row in tables.rows.values() for moment in _moments(row))
            latest = nlargest(limit, events, key=lambda event: event[:2])
            return [job_of(row, tuple(row.attempts)) for row in {ref: row for _, ref, row in latest}.values()]

    def queues(self) -> Sequence[QueueCount]:
        with self._memory.read() as tables:
            queues: dict[str, list[Row]] = {}
            for row in tables.rows.values():
                queues.setdefault(row.call.queue, []).append(row)
            return [self._queue_count(name, rows) for name, rows in sorted(queues.items())]

    def _queue_count(self, name: str, rows: list[Row]) -> QueueCount:
        now = self._memory.clock.wall()
        due = sum(row.is_claimable(now) for row in rows)
        return QueueCount(name, Counter(row.state for row in rows), due)

    def paused(self) -> Mapping[str, datetime]:
        with self._memory.read() as tables:
            return {queue: to_datetime(since) for queue, since in tables.paused.items()}

    def has_suspects(self, queues: Collection[str] | None) -> bool:
        now = self._memory.clock.wall()
        with self._memory.read() as tables:
            return any(
                row.is_suspect
                and row.is_claimable(now)
                and (queues is None or row.call.queue in queues)
                and row.call.queue not in tables.paused
                for row in tables.line
            )

    def sessions(self) -> Sequence[SessionState]:
        with self._memory.read() as tables:
            return [
                SessionState(
                    session=session,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    kind=known.kind,
                    parent=known.parent,
                    started_at=to_datetime(known.started_at),
                    running=len(tables.held_by(session)),
                    is_asked_to_stop=known.is_asked_to_stop,
                )
                for session, known in sorted(tables.sessions.items())
            ]


def _is_wanted(row: Row, wanted: Filter) -> bool:
    call = row.call
    is_match = matches(
        wanted,
        state=row.state,
        task=call.task,
        queue=call.queue,
        tags=call.tags,
        priority=call.priority,
        enqueued_at=row.enqueued_at,
        ended_at=row.ended_at,
        session=row.session,
    )
    return is_match and (wanted.text is None or _has_text(row, wanted.text))


def _has_text(row: Row, text: str) -> bool:
    call = row.call
    return holds(
        text,
        as_it_is=(call.job_id, call.task, call.queue, call.key),
        as_json=(call.tags, call.args, row.result, error_text(row.error)),
    )


def _moments(row: Row) -> Iterator[int]:
    """When something happened to it, as far as it is remembered."""
    moments = (row.enqueued_at, row.claimed_at, row.started_at, row.ended_at)
    yield from (moment for moment in moments if moment is not None)
    yield from (from_datetime(attempt.ended_at) for attempt in row.attempts)
