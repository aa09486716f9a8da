"""The usual turn in a single statement: succeeded jobs that touch no other row, and one lane to claim from.

A turn of several statements gives the interpreter away at each of them, and while the threads of busy tasks have it,
the write lock is held: 20 ms and more beside four of them. So the whole turn is the body of a trigger, on a view that
only this connection has; the row that is put into it carries what the turn needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from taskmill._core.job import Claimed, State
from taskmill._core.lifecycle import Settlement
from taskmill._storage.sqlite.changes import SQL
from taskmill._storage.sqlite.insert import INLINE
from taskmill._storage.sqlite.lanes import Lane, Look, Request
from taskmill._storage.sqlite.opening import Connection

# The places in a listed settlement: digits of started_at, then of the fence, then the job's id, then the result.
_LATEST, _HIGHEST = 10**16, 10**10
_NEVER = "-" * 16

_NO_LANE = Lane("", "thread", 0, 0, has_locks=False)


class QuickTurn(NamedTuple):
    """The columns of the view."""

    session: int
    claim: int
    now: int
    settlements: str
    queue: str
    executor: str
    priority: int
    want: int

    def take(self, connection: Connection) -> tuple[int, list[Claimed]]:
        """How many jobs were settled and claimed, and what the session holds under this claim."""
        before = connection.total_changes
        connection.execute(_TAKE, self)
        changed = connection.total_changes - before
        # Alone in its transaction the turn is committed here; the pages with its jobs are still at hand.
        return changed, claimed_under(connection, self.session, self.claim)


def claimed_under(connection: Connection, session: int, claim: int) -> list[Claimed]:
    """What *session* holds under the number *claim*."""
    rows = connection.execute(SQL.claimed, {"session": session, "claim": claim}).fetchall()
    return list(map(Claimed._make, rows))


def plan(request: Request, seen: Look, now: int) -> QuickTurn | None:
    """The turn as one statement, or None where it takes more."""
    due = seen.due(now)
    if (
        len(due) > 1
        or any(lane.has_locks for lane in due)
        or (seen.expiry is not None and seen.expiry <= now)
    ):
        return None
    if not all(map(is_quick, request.settlements)):
        return None
    lane = due[0] if due else _NO_LANE
    return QuickTurn(
        session=request.session,
        claim=request.claim,
        now=now,
        settlements=listed_text(request.settlements),
        queue=lane.queue,
        executor=lane.executor,
        priority=lane.priority,
        want=request.wants[lane.serves] if due else 0,
    )


def prepare(connection: Connection) -> None:
    """Make the view and its trigger, which live as long as the connection."""
    columns = ", ".join(f"null as {name}" for name in QuickTurn._fields)
    may_not_claim = f"select raise(ignore) where not exists ({SQL.has_session}) or exists ({SQL.is_claimed})"
    steps = f"{SQL.settle_plain};\n{may_not_claim};\n{SQL.claim};\n"
    connection.execute(f"create temp view taskmill_turn as select {columns}")
    connection.execute(
        "create temp trigger taskmill_turn_taken instead of insert on taskmill_turn begin\n"
        + re.sub(r":(\w+)", r"new.\1", steps)
        + "end"
    )


_TAKE = f"insert into taskmill_turn values ({', '.join('?' * len(QuickTurn._fields))})"  # noqa: S608  (no input in it)


def is_quick(settlement: Settlement) -> bool:
    """Whether the job succeeded and touches no other row."""
    claimed, transition, started_at = settlement
    result = transition.result
    return (
        claimed.plain
        and transition.state is State.SUCCEEDED
        and result is not None
        and len(result) <= INLINE
        and (started_at is None or 0 <= started_at < _LATEST)
        and claimed.fence < _HIGHEST
    )


def listed_text(settlements: Sequence[Settlement]) -> str:
    """What the statement `settle_plain` takes."""
    return json.dumps(
        {
            claimed.ref: (
                f"{_NEVER if started_at is None else f'{started_at:016}'}"
                f"{claimed.fence:010}{claimed.job_id}{transition.result}"
            )
            for claimed, transition, started_at in settlements
        },
        # As it is: what is no Unicode is then refused where it is bound, as everywhere else.
        ensure_ascii=False,
    )
