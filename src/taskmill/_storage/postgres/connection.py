"""A connection on which no answer is waited for without end.

A peer that is gone is noticed by the system, if packets come back to nobody (address.py). One that takes packets and
does nothing with them is not: a proxy that hangs, a server that is paused for good. Only the clock tells of that.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Any, TypeVar
from zlib import crc32

import psycopg
from psycopg import DataError, OperationalError, errors
from psycopg.abc import PQGen
from psycopg.pq import DiagnosticField, ExecStatus, error_message
from psycopg.pq.abc import PGconn, PGresult

T = TypeVar("T")

# A large answer is read piece by piece, and to wait for each is to let go of Python's lock: so it is looked more often.
_LOOKS = 8
_NOT_THE_SAME_SERVER = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """One of psycopg's; *patience*: seconds for each answer, after which it closes itself; None for any time."""

    patience: float | None = None

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        # The names of statements that the server has read and planned already.
        self._names: dict[str, bytes] = {}
        self._may_prepare = True

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

    def text(self, statement: str, parameters: Sequence[object]) -> str:
        """The only value of the only row, of a statement with ``$1`` and so on; parameters may be `encoded` already.

        At a third of what the driver's own way costs here, and it comes back to Python as seldom as can be: beside
        threads that compute, that takes up to 5 ms each time.
        """
        given = [encoded(parameter) for parameter in parameters]
        if self._may_prepare:
            try:
                self._send_prepared(statement, given)
                return self._text()
            except _NOT_THE_SAME_SERVER:
                # A pooler gave this transaction another connection than the one before; nothing was done.
                self._may_prepare = False
        self.pgconn.send_query_params(statement.encode(), given)
        return self._text()

    def _send_prepared(self, statement: str, parameters: Sequence[bytes | None]) -> None:
        """Under a name that says what it is: behind a pooler, somebody else may have prepared it."""
        name = self._names.get(statement)
        if name is None:
            text = statement.encode()
            name = b"taskmill_%x" % crc32(text)
            self.pgconn.send_prepare(name, text)
            self._checked(ExecStatus.COMMAND_OK)
            self._names[statement] = name
        self.pgconn.send_query_prepared(name, parameters)

    def _text(self) -> str:
        return (self._checked(ExecStatus.TUPLES_OK).get_value(0, 0) or b"").decode()

    def _checked(self, wanted: ExecStatus) -> PGresult:
        result = self._result(self._deadline())
        if result.status != wanted:
            if result.error_field(DiagnosticField.SQLSTATE) is None:
                # It is not the server that says so.
                raise OperationalError(error_message(result))
            raise errors.error_from_result(result)
        return result

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


def encoded(parameter: object) -> bytes | None:
    """*parameter* as `Connection.text` sends it; DataError where the server could not take it."""
    if parameter is None or isinstance(parameter, bytes):
        return parameter
    text = str(parameter)
    if "\0" in text:
        raise DataError("a text has a character of the number 0")
    return text.encode()
