"""A connection on which no answer is waited for without end.

A peer that is gone is noticed by the system, if packets come back to nobody (address.py). One that takes packets and
does nothing with them is not: a proxy that hangs, a server that is paused for good. Only the clock tells of that.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import OperationalError, errors
from psycopg.abc import PQGen
from psycopg.pq import DiagnosticField, ExecStatus, error_message
from psycopg.pq.abc import PGresult

T = TypeVar("T")

# A large answer is read piece by piece, and to wait for each is to let go of Python's lock: so it is looked more often.
_LOOKS = 8


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """One of psycopg's; *patience*: seconds for each answer, after which it closes itself; None for any time."""

    patience: float | None = None

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:
        """See psycopg."""
        return super().wait(gen if self.patience is None else self._watched(gen), *args, **options)

    def _watched(self, steps: PQGen[T]) -> PQGen[T]:
        deadline = self._deadline()
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self._give_up()
                wanted = steps.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer

    def text(self, statement: bytes, parameters: Sequence[bytes | None]) -> str:
        """The only value of the only row, of a statement with ``$1`` and so on.

        At a third of what the driver's own way costs here, and it comes back to Python as seldom as can be: beside
        threads that compute, that takes up to 5 ms each time.
        """
        self.pgconn.send_query_params(statement, parameters)
        result = self._result(self._deadline())
        if result.status != ExecStatus.TUPLES_OK:
            message = error_message(result)
            state = result.error_field(DiagnosticField.SQLSTATE)
            raise OperationalError(message) if state is None else errors.lookup(state.decode())(message)
        return (result.get_value(0, 0) or b"").decode()

    def _result(self, deadline: float) -> PGresult:
        """The last one: a commit that fails says so after the answer."""
        pgconn = self.pgconn
        while pgconn.flush():
            self._await(select.POLLIN | select.POLLOUT, deadline)
            pgconn.consume_input()
        last = None
        while True:
            while pgconn.is_busy():
                self._await(select.POLLIN, deadline)
                for _ in range(_LOOKS):
                    pgconn.consume_input()
                    if not pgconn.is_busy():
                        break
            result = pgconn.get_result()
            if result is None:
                break
            last = result
        if last is None:
            raise OperationalError("the connection is closed")
        return last

    def _await(self, events: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.pgconn.socket, events)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000 if self.patience else None):
            self._give_up()

    def _deadline(self) -> float:
        return time.monotonic() + (self.patience or 0.0)

    def _give_up(self) -> None:
        self.close()
        raise OperationalError(f"no answer came within {self.patience:g} s")
