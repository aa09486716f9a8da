"""The hot operations on PostgreSQL: each is one call of a function that stands in functions/."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from taskmill._core import lifecycle
from taskmill._core.event import Notice
from taskmill._core.job import Claimed, ErrorInfo, Executor, NewJob, State
from taskmill._core.lifecycle import MOST_CRASHES, Settlement
from taskmill._storage.base import CancelAnswer, JobStore, Turn
from taskmill._storage.callers.base import Entry
from taskmill._storage.postgres.calls import are_alike, as_columns, values
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.doorbell import Doorbell
from taskmill._storage.postgres.frontier import Frontier
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.news import News
from taskmill._storage.postgres.sessions import PostgresSessions
from taskmill._storage.postgres.trouble import AlreadyStored
from taskmill._storage.postgres.version import Version
from taskmill._storage.postgres.within import PostgresEntry
from taskmill._storage.rows import error_text

SQL = Statements("jobs.sql")


class PostgresJobs(JobStore):
    def __init__(
        self, database: Database, wake: Doorbell, version: Version, sessions: PostgresSessions
    ) -> None:
        self._database = database
        self._wake = wake
        self._version = version
        self._sessions = sessions
        self._frontier = Frontier()

    def add(self, jobs: Sequence[NewJob]) -> Sequence[str]:
        calls = tuple(jobs)
        if not calls:
            return []
        if all(call.key is None for call in calls):
            with suppress(AlreadyStored):
                return self._add_plainly(calls)
        return self._add(calls, is_careful=True)

    def _add_plainly(self, calls: Sequence[NewJob]) -> Sequence[str]:
        """AlreadyStored where one of them is: by a call before, of which the reply was lost."""
        if not are_alike(calls):
            return self._add(calls, is_careful=False)
        job_ids = [call.job_id for call in calls]
        if len(calls) == 1:
            statement, each = SQL.add_one, (job_ids[0], calls[0].args)
        else:
            statement, each = SQL.add_alike, (_texts(job_ids), _texts(call.args for call in calls))
        wall = self._database.wall
        # A value that cannot be encoded is told of as one that the server refuses.
        self._database.run(lambda connection: connection.text(statement, (*each, *values(calls[0]), wall)))
        self._hear_of_more()
        return job_ids

    def _add(self, calls: Sequence[NewJob], *, is_careful: bool) -> Sequence[str]:
        request = as_columns(calls), len(calls), is_careful, self._database.wall
        added = json.loads(self._database.text(SQL.add, request))
        if added["changed"]:
            self._hear_of_more()
        return added["ids"] or [call.job_id for call in calls]

    def join(self, jobs: Sequence[NewJob]) -> Entry:
        return PostgresEntry(self._database, jobs)

    def turn(
        self,
        session: int,
        settlements: Sequence[Settlement],
        *,
        claim: int,
        wants: Mapping[Executor, int],
        queues: Collection[str] | None,
        knows: Collection[str] = (),
    ) -> Turn:
        plain: list[Settlement] = []
        others: list[Settlement] = []
        for settlement in settlements:
            (plain if is_plain(settlement) else others).append(settlement)
        resting = self._wake.resting
        since = self._frontier.since()
        request = (
            session,
            self._sessions.word(session),
            claim,
            _numbers(settlement.claimed.ref for settlement in plain),
            _numbers(settlement.claimed.fence for settlement in plain),
            _numbers(settlement.started_at for settlement in plain),
            _texts(str(settlement.transition.result) for settlement in plain),
            json.dumps([_as_row(number, settlement) for number, settlement in enumerate(others)])
            if others
            else None,
            json.dumps(wants),
            None if queues is None else _texts(queues),
            _texts(knows if wants.get("elsewhere") else ()),
            since,
            resting,
            self._database.wall,
        )
        seen = self._version.now()
        done = json.loads(self._database.text(SQL.turn, request))
        if done["claimed"] and resting is not None:
            self._wake.has_taken()
        self._frontier.note(since, passed=done["passed"], since=done["begins"] or {})
        news = News.of(done["news"])
        news.ended.extend(settlement.claimed.job_id for settlement in plain)
        news.announce(self._wake)
        return Turn(
            [plain[number - 1] if number > 0 else others[-number] for number in news.stale],
            list(map(Claimed._make, done["claimed"] or ())),
            done["next_at"],
            news.notices,
            self._version.after(seen, has_changed=news.changed),
        )

    def rescue(self) -> Sequence[Notice]:
        return self._sessions.rescue()

    def bury(self, session: int, crash: ErrorInfo, *, alone: bool) -> Sequence[Notice]:
        known = self._sessions.find(session)
        if known is None:
            return []
        ran = self._sessions.running(known)
        fates = [lifecycle.after_crash(crash, crashes=crashes) for crashes in range(MOST_CRASHES)]
        request = {
            "session": session,
            "refs": [ref for ref, _ in ran],
            "fences": [fence for _, fence in ran],
            "alone": alone,
            "fates": json.dumps(
                [
                    {
                        "state": fate.state,
                        "event": fate.event,
                        "error": error_text(fate.error),
                        "reason": fate.reason,
                    }
                    for fate in fates
                ]
            ),
            "wall": self._database.wall,
        }
        notices = self._told(self._database.row(SQL.bury, request)[0])
        self._sessions.let_go(known)
        return notices

    def cancel(self, job_id: str) -> tuple[CancelAnswer, Sequence[Notice]]:
        answer, news = self._database.row(SQL.cancel, (job_id, self._database.wall))
        return answer, self._told(news)

    def unwanted(self, session: int) -> Sequence[tuple[str, int]]:
        # Every busy worker asks that five times a second, while its threads compute.
        return [
            (job_id, fence) for job_id, fence in json.loads(self._database.text(SQL.unwanted, (session,)))
        ]

    def retry(self, job_id: str) -> bool:
        return self._freed(self._database.row(SQL.retry, (job_id, self._database.wall)))

    def prune(self, *, limit: int) -> int:
        [job_ids] = self._database.row(SQL.prune, (limit, self._database.wall))
        return self._gone(job_ids)

    def purge(self, *, queue: str | None, ended: bool, limit: int) -> int:
        [job_ids] = self._database.row(SQL.purge, (queue, ended, limit))
        if job_ids:
            self._wake.jobs_added()
        return self._gone(job_ids)

    def delete(self, job_ids: Sequence[str]) -> int:
        [gone] = self._database.row(SQL.delete, (list(job_ids),))
        if gone:
            self._wake.jobs_added()
        return self._gone(gone)

    def pause(self, queue: str) -> bool:
        [is_new] = self._database.row(SQL.pause, (queue, self._database.wall))
        if is_new:
            self._version.changed()
        return bool(is_new)

    def resume(self, queue: str) -> bool:
        return self._freed(self._database.row(SQL.resume, (queue,)))

    def hasten(self, job_id: str) -> bool:
        return self._freed(self._database.row(SQL.hasten, (job_id, self._database.wall)))

    def _freed(self, row: tuple[Any, ...]) -> bool:
        """Whether jobs became claimable."""
        [is_done] = row
        if is_done:
            self._hear_of_more()
        return bool(is_done)

    def _hear_of_more(self) -> None:
        """Jobs became claimable, which this process hears of here; the others were notified."""
        self._version.changed()
        self._wake.jobs_added()

    def _gone(self, job_ids: Sequence[str]) -> int:
        if job_ids:
            self._version.changed()
            self._wake.jobs_ended(job_ids)
        return len(job_ids)

    def _told(self, news: dict[str, Any]) -> Sequence[Notice]:
        told = News.of(news)
        if told.changed:
            self._version.changed()
        told.announce(self._wake)
        return told.notices


# --- what a turn is given


def is_plain(settlement: Settlement) -> bool:
    """Whether the job succeeded and touches no other row."""
    claimed, transition, _ = settlement
    return claimed.plain and transition.state is State.SUCCEEDED and transition.result is not None


def _as_row(number: int, settlement: Settlement) -> dict[str, Any]:
    claimed, transition, started_at = settlement
    return {
        "number": -number,
        "ref": claimed.ref,
        "fence": claimed.fence,
        "started_at": started_at,
        "state": transition.state,
        "event": transition.event,
        "result": transition.result,
        "error": error_text(transition.error),
        "reason": transition.reason,
        "delay": transition.delay,
        "hand_back": transition.hand_back,
        "hand_on": transition.hand_on,
        "acquits": transition.acquits,
        "crashes": transition.crashes,
        "kept": transition.is_kept(started_at),
    }


# Arrays as PostgreSQL writes them: for thousands a second, sooner done here than value by value by the driver.


def _numbers(numbers: Iterable[int | None]) -> str:
    return "{" + ",".join("null" if number is None else str(number) for number in numbers) + "}"


def _texts(texts: Iterable[str]) -> str:
    return "{" + ",".join([_quoted(text) for text in texts]) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
