"""What waits, seen from above: one line for each queue, executor and priority, however many jobs it holds.

Jobs that were handed on stand in the lanes of executors of their own, one for each task, so that a worker finds those
that it knows without reading the others.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, cast

from taskmill._core.job import Executor
from taskmill._core.lifecycle import Settlement
from taskmill._storage.sqlite.changes import SQL
from taskmill._storage.sqlite.opening import Connection

_ELSEWHERE = "elsewhere:"


class Request(NamedTuple):
    """The arguments of a turn; see the contract."""

    session: int
    settlements: Sequence[Settlement]
    claim: int
    wants: Mapping[Executor, int]
    queues: Collection[str] | None
    knows: Collection[str]

    def is_about(self, lane: Lane) -> bool:
        """Whether it asks for the jobs of this *lane* of one of its queues."""
        is_known = lane.serves != "elsewhere" or lane.executor.removeprefix(_ELSEWHERE) in self.knows
        return self.wants.get(lane.serves, 0) > 0 and is_known and is_whole(lane.queue)


class Lane(NamedTuple):
    """The jobs that share queue, executor (as it is stored) and priority, those left out that wait for a lock."""

    queue: str
    executor: str
    priority: int
    first_run_at: int
    has_locks: bool

    @property
    def serves(self) -> Executor:
        """For which its jobs are claimed."""
        return "elsewhere" if self.executor.startswith(_ELSEWHERE) else cast(Executor, self.executor)


class Look(NamedTuple):
    """The lanes, and when the first of all waiting jobs expires."""

    lanes: Sequence[Lane]
    expiry: int | None

    def due(self, now: int) -> list[Lane]:
        return [lane for lane in self.lanes if lane.first_run_at <= now]

    def next_at(self) -> int | None:
        """What the contract calls `Turn.next_at`."""
        instants = [lane.first_run_at for lane in self.lanes]
        return min(instants if self.expiry is None else [*instants, self.expiry], default=None)


def look(connection: Connection, request: Request) -> Look:
    """The lanes that the request is about; no job behind the first of a lane is read."""
    [expiry] = connection.execute(SQL.next_expiry).fetchone()
    if not any(request.wants.values()):
        return Look((), expiry)
    names = None if request.queues is None else json.dumps(sorted(request.queues))
    rows = connection.execute(SQL.lanes, {"queues": names}).fetchall()
    return Look([lane for lane in map(Lane._make, rows) if request.is_about(lane)], expiry)


def is_whole(text: str) -> bool:
    """Whether it can be given back to SQLite; one whose bytes were damaged cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
