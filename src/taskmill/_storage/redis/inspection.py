"""What people and waiting callers read from Redis: in pages, so that nobody else waits for long."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from taskmill._core.filter import EVERY, Filter
from taskmill._core.instant import to_datetime
from taskmill._core.job import State
from taskmill._core.record import Job
from taskmill._storage.base import Inspection, Outcome, Page, QueueCount, SessionState
from taskmill._storage.matching import holds, matches
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.rows import STATES, Record, ending_of, job_of, records_of
from taskmill._storage.redis.sessions import Session
from taskmill._storage.rows import error_text

_PAGE, _ALL = 500, 1_000_000_000
# How many jobs are read for one page of a search: some 200 ms, almost all of them here.
_READ = 4_000
# The states by which jobs are found without reading the others.
_INDEXED = {State.BLOCKED, State.FAILED, State.CANCELLED}


class RedisInspection(Inspection):
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def outcome(self, job_id: str) -> Outcome | None:
        found = self._caller.look("outcome", job_id)
        if found is None:
            return None
        number, task, text = found
        state = STATES[number]
        reason, result, error = ending_of(state, None if text is None else text.decode())
        return Outcome(task.decode(), state, reason, result, error)

    def job(self, job_id: str) -> Job | None:
        for record in records_of(self._caller.look("job", job_id)):
            return job_of(record, with_attempts=True)
        return None

    def find(self, wanted: Filter = EVERY, *, limit: int = 100) -> Sequence[Job]:
        is_by_state = wanted == Filter(states=wanted.states)
        candidates = self._candidates(wanted.states, limit if is_by_state else _ALL)
        found = (job_of(record, with_attempts=False) for record in candidates if _is_wanted(record, wanted))
        return list(islice(found, limit))

    def steps(self, pipeline: str, *, limit: int = 1_000) -> Sequence[Job]:
        records = islice(records_of(self._caller.look("steps", pipeline)), limit)
        return [job_of(record, with_attempts=False) for record in records]

    def search(self, wanted: Filter = EVERY, *, after: str | None = None, limit: int = 100) -> Page:
        found: list[Job] = []
        for count, record in enumerate(self._candidates(wanted.states, _ALL, after), 1):
            if _is_wanted(record, wanted):
                found.append(job_of(record, with_attempts=False))
            if len(found) == limit or count == _READ:
                return Page(found, str(record.ref))
        return Page(found, None)

    def _candidates(self, states: Collection[State], most: int, after: str | None = None) -> Iterator[Record]:
        """Newest first, from behind *after* on, the jobs of these states and perhaps others."""
        wanted = set(states)
        if wanted == {State.RUNNING}:
            running = records_of(self._caller.look("running", most))
            return (record for record in running if after is None or record.ref < int(after))
        source = f"state:{STATES.index(wanted.pop())}" if len(wanted) == 1 and wanted <= _INDEXED else "ids"
        return self.pages(source, after)

    def pages(
        self, source: str = "ids", after: str | None = None, *, peeks: bool = False
    ) -> Iterator[Record]:
        """All jobs of an index, newest first; what comes in or goes meanwhile may be missing."""
        first = "+inf" if after is None else f"({after}"
        while first:
            following, *reply = self._caller.look("page", source, first, _PAGE, peeks=peeks)
            yield from records_of(reply)
            first = following.decode()

    def recent(self, limit: int) -> Sequence[Job]:
        reply = self._caller.look("recent", limit)
        return [job_of(record, with_attempts=True) for record in records_of(reply)]

    def queues(self) -> Sequence[QueueCount]:
        counts, in_line = self._caller.look("queues")
        found: dict[str, Counter[State]] = {}
        due_now: dict[str, int] = {}
        for name, number in zip(counts[::2], counts[1::2], strict=True):
            state, _, queue = name.decode().partition(" ")
            found.setdefault(queue, Counter())[STATES[int(state)]] += int(number)
        for queue, number, due in json.loads(in_line):
            if number:
                found.setdefault(queue, Counter())[State.QUEUED] += number
                due_now[queue] = due
        return [QueueCount(queue, found[queue], due_now.get(queue, 0)) for queue in sorted(found)]

    def paused(self, *, peeks: bool = False) -> Mapping[str, datetime]:
        told = self._caller.link.ask("HGETALL", self._caller.link.key("paused"), peeks=peeks)
        queues = zip(told[::2], told[1::2], strict=True)
        return {queue.decode(): to_datetime(int(since)) for queue, since in sorted(queues)}

    def has_suspects(self, queues: Collection[str] | None) -> bool:
        return bool(self._caller.look("suspects", json.dumps(None if queues is None else list(queues))))

    def sessions(self) -> Sequence[SessionState]:
        found = []
        for session, text, _, held, _, is_asked in zip(
            *[iter(self._caller.look("sessions")[1:])] * 6, strict=True
        ):
            known = Session(*json.loads(text))
            found.append(
                SessionState(
                    session=int(session),
                    host=known.host,
                    pid=known.pid,
                    kind=known.kind,
                    parent=known.parent,
                    started_at=to_datetime(int(known.started_at or 0)),
                    running=held,
                    is_asked_to_stop=bool(is_asked),
                )
            )
        return sorted(found, key=lambda state: state.session)


def _is_wanted(record: Record, wanted: Filter) -> bool:
    call, row = record.call, record.row
    is_match = matches(
        wanted,
        state=record.state,
        task=call.task,
        queue=call.queue,
        tags=call.tags,
        priority=row.priority,
        enqueued_at=row.enqueued_at,
        ended_at=row.ended_at or None,
        session=row.session or None,
    )
    return is_match and (wanted.text is None or _has_text(record, wanted.text))


def _has_text(record: Record, text: str) -> bool:
    call = record.call
    _, result, error = ending_of(record.state, record.outcome)
    return holds(
        text,
        as_it_is=(call.job_id, call.task, call.queue, call.key),
        as_json=(call.tags, call.args, result, error_text(error)),
    )
