"""What people ask about a Redis store as a whole; it reads in pages, and makes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from taskmill._core.census import Census, HeldLock, KnownSchedule, OpenCrate, Presence, Waiting
from taskmill._core.finding import Finding
from taskmill._core.instant import from_datetime
from taskmill._core.job import FAILED_TTL, State
from taskmill._storage.base import Backup, Health, Violation
from taskmill._storage.redis import surroundings
from taskmill._storage.redis.call import Caller
from taskmill._storage.redis.inspection import RedisInspection
from taskmill._storage.redis.rows import Record
from taskmill._storage.redis.schedules import schedule_of
from taskmill._storage.redis.sessions import RedisSessions, Session
from taskmill._storage.rows import serves_of
from taskmill.errors import BackupFailed

_EXAMPLES = 5


class RedisHealth(Health):
    def __init__(self, caller: Caller, inspection: RedisInspection) -> None:
        self._caller = caller
        self._inspection = inspection

    def findings(self) -> Iterator[Finding]:
        yield from surroundings.findings(self._caller.link)

    def census(self) -> Census:
        """As the contract has it, but for its one moment: jobs that come or go meanwhile may be missing."""
        now = self._now()
        counted = _Counted(now)
        for record in self._inspection.pages(peeks=True):
            counted.add(record)
        return Census(
            now=now,
            newest=counted.newest,
            sessions=self._presences(),
            waiting=counted.waiting(),
            locks=self._locks(),
            schedules=self._schedules(),
            paused={
                queue: from_datetime(since) for queue, since in self._inspection.paused(peeks=True).items()
            },
            ended=counted.ended,
            outlived=counted.outlived,
            outlived_at=counted.outlived_at,
            attempts=counted.attempts,
            payload=counted.payload,
            crate=self._crate(),
        )

    def verify(self) -> Sequence[Violation]:
        """As the contract has it; each page of jobs is judged at one moment, so that a store in use can be verified."""
        found: dict[str, list[str]] = {}
        following = "0"
        while following:
            following, broken = json.loads(self._caller.look("verify", following, peeks=True))
            for rule, name in broken or ():
                found.setdefault(rule, []).append(name)
        return [Violation(rule, len(names), names[:_EXAMPLES]) for rule, names in sorted(found.items())]

    def backup(self, target: Path, *, replace: bool) -> Backup:  # noqa: ARG002  (there is nothing to copy)
        raise BackupFailed(
            f"the jobs are in the Redis server at {self._caller.link.address}, not in a file of this host: back up "
            "what it writes itself, its append-only files or, after BGSAVE, its dump.rdb"
        )

    def _now(self) -> int:
        return int(self._caller.look("now", peeks=True))

    def _presences(self) -> list[Presence]:
        now, *told = self._caller.look("sessions", peeks=True)
        found = []
        for session, text, until, held, locks, is_asked in zip(*[iter(told)] * 6, strict=True):
            known = Session(*json.loads(text))
            is_leased = until is not None and float(until) >= int(now)
            found.append(
                Presence(
                    session=int(session),
                    kind=known.kind,
                    host=known.host,
                    pid=known.pid,
                    life=RedisSessions.life(known, is_leased=is_leased),
                    serves=serves_of(known.serves),
                    held=held + locks,
                    is_stopping=bool(is_asked),
                )
            )
        return sorted(found, key=lambda presence: presence.session)

    def _locks(self) -> list[HeldLock]:
        told = self._caller.look("locks", peeks=True)
        found = []
        for name, text, job_id, waiters in zip(*[iter(told)] * 4, strict=True):
            _, session, since, *_ = json.loads(text)
            held_by = None if job_id is None else job_id.decode()
            found.append(HeldLock(name.decode(), session, held_by, since, waiters))
        return sorted(found)

    def _schedules(self) -> list[KnownSchedule]:
        link = self._caller.link
        rows = [json.loads(text) for text in link.ask("HVALS", link.key("schedules"), peeks=True)]
        states = sorted(map(schedule_of, rows))
        return [KnownSchedule(*state[:4], state.paused_at) for state in states]

    def _crate(self) -> OpenCrate | None:
        link = self._caller.link
        crate, load = link.ask("HMGET", link.key("outgoing"), "crate", "load", peeks=True)
        return None if crate is None else OpenCrate(crate.decode(), len(json.loads(load)["jobs"]))


class _Counted:
    """The sums of a census."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._queued: Counter[tuple[str, str, str]] = Counter()
        self._due: dict[tuple[str, str, str], list[int]] = {}
        self.newest = self.ended = self.outlived = self.attempts = self.payload = 0
        self.outlived_at: int | None = None

    def add(self, record: Record) -> None:
        row, call = record.row, record.call
        self.newest = max(self.newest, row.enqueued_at, row.claimed_at, row.ended_at)
        self.attempts += len(record.attempts)
        self.payload += len(call.args.encode())
        if record.state is State.SUCCEEDED and record.outcome is not None:
            self.payload += len(record.outcome.encode())
        if record.state.is_final:
            self._add_ended(record)
        if record.state is State.QUEUED:
            self._add_queued(record)

    def _add_ended(self, record: Record) -> None:
        self.ended += 1
        ttl = record.row.result_ttl
        until = record.row.ended_at + (max(ttl, FAILED_TTL) if record.state is State.FAILED else ttl)
        if until <= self._now:
            self.outlived += 1
            self.outlived_at = min(until, self.outlived_at or until)

    def _add_queued(self, record: Record) -> None:
        row, call = record.row, record.call
        kind = (call.queue, call.executor, call.task)
        self._queued[kind] += 1
        is_over = row.expires_at and row.expires_at <= self._now
        if not row.is_parked and row.run_at <= self._now and not is_over:
            self._due.setdefault(kind, []).append(row.run_at)

    def waiting(self) -> list[Waiting]:
        return [
            Waiting(*kind, queued, len(self._due.get(kind, ())), min(self._due.get(kind, ()), default=None))
            for kind, queued in sorted(self._queued.items())
        ]
