"""All that is stored, each change of it in one place."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from taskmill._core.census import Serves
from taskmill._core.deed import Deed
from taskmill._core.identity import new_job_id
from taskmill._core.job import State
from taskmill._storage.base import Crate, ScheduleState
from taskmill._storage.memory.row import Row, place


@dataclass(slots=True, kw_only=True)
class Session:
    kind: str
    lease: int
    leased_until: int
    started_at: int
    parent: int | None
    serves: Serves | None
    is_asked_to_stop: bool = False
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Lock:
    token: int
    session: int
    row: Row | None
    since: int


class Tables:
    """All that is stored; `version` counts the changes.

    `rows` are in the order of adding, `line` in that of claiming; `line` and `waiters` (by lock) share the queued.
    """

    def __init__(self) -> None:
        self.version = 0
        self.rows: dict[str, Row] = {}
        self.by_state: dict[State, dict[str, Row]] = {state: {} for state in State}
        self.line: list[Row] = []
        self.waiters: dict[str, dict[str, Row]] = {}
        self.expiring: dict[str, Row] = {}
        self.by_key: dict[tuple[str, str], Row] = {}
        self.pipelines: dict[str | None, dict[int, Row]] = {}
        self.locks: dict[str, Lock] = {}
        self.sessions: dict[int, Session] = {}
        # Those that were asked to stop, and rescued.
        self.wishes: set[int] = set()
        self.schedules: dict[str, ScheduleState] = {}
        self.paused: dict[str, int] = {}
        self.identity = new_job_id()
        self.outgoing: Crate | None = None
        self.unpacked: set[str] = set()
        self.tallies: Counter[tuple[int, str, str, int]] = Counter()
        self.deeds: dict[str, tuple[int, datetime, Deed]] = {}
        self.deed_numbers = count(1)
        self.refs, self.session_ids, self.tokens = count(1), count(1), count(1)

    def insert(self, row: Row) -> None:
        self.version += 1
        call = row.call
        self.rows[call.job_id] = self.by_state[row.state][call.job_id] = row
        self._line_up(row)
        if row.expires_at is not None:
            self.expiring[call.job_id] = row
        if call.key is not None:
            self.by_key[call.task, call.key] = row
        if call.pipeline is not None:
            self.pipelines.setdefault(call.pipeline, {})[call.step] = row

    def move(self, row: Row, state: State) -> None:
        self.version += 1
        self._step_out(row)
        del self.by_state[row.state][row.job_id]
        self.by_state[state][row.job_id] = row
        row.state, row.waits_for = state, None
        self._line_up(row)

    def hasten(self, row: Row, run_at: int) -> None:
        """Move a queued job forward in its line."""
        self.version += 1
        self._step_out(row)
        row.run_at = run_at
        self._line_up(row)

    def wait_for(self, row: Row, lock: str | None) -> None:
        """Let a queued job wait for *lock* or, with None, stand in line again."""
        self.version += 1
        self._step_out(row)
        row.waits_for = lock
        self._line_up(row)

    def delete(self, row: Row) -> None:
        self.version += 1
        call = row.call
        self._step_out(row)
        del self.rows[call.job_id], self.by_state[row.state][call.job_id]
        self.expiring.pop(call.job_id, None)
        if call.key is not None:
            del self.by_key[call.task, call.key]
        if call.pipeline is not None:
            steps = self.pipelines[call.pipeline]
            del steps[call.step]
            if not steps:
                del self.pipelines[call.pipeline]

    def _line_up(self, row: Row) -> None:
        if row.state is not State.QUEUED:
            return
        if row.waits_for is None:
            insort(self.line, row, key=place)
        else:
            self.waiters.setdefault(row.waits_for, {})[row.job_id] = row

    def _step_out(self, row: Row) -> None:
        if row.state is not State.QUEUED:
            return
        if row.waits_for is None:
            del self.line[bisect_left(self.line, place(row), key=place)]
        else:
            del self.waiters[row.waits_for][row.job_id]
            if not self.waiters[row.waits_for]:
                del self.waiters[row.waits_for]

    def in_states(self, states: Iterable[State]) -> list[Row]:
        """The rows in *states*, in the order of adding."""
        rows = [row for state in states for row in self.by_state[state].values()]
        return sorted(rows, key=lambda row: row.ref)

    def held_by(self, session: int) -> list[Row]:
        return [row for row in self.by_state[State.RUNNING].values() if row.session == session]

    def step_before(self, row: Row) -> Row | None:
        return self.pipelines.get(row.call.pipeline, {}).get(row.call.step - 1)

    def step_after(self, row: Row) -> Row | None:
        return self.pipelines.get(row.call.pipeline, {}).get(row.call.step + 1)

    def later_steps(self, row: Row) -> list[Row]:
        steps = self.pipelines.get(row.call.pipeline, {})
        return [steps[step] for step in sorted(steps) if step > row.call.step]

    def is_needed(self, row: Row) -> bool:
        """Whether a later step has not ended, so that the result must stay."""
        return any(not later.state.is_final for later in self.later_steps(row))
