"""Sessions and connections of SQLAlchemy; imported only where somebody has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from taskmill._storage.callers.base import Caller, Found, Parameters
from taskmill.errors import CannotJoin

# Under this name a session has what is to be called when its transaction ends.
_CALLS = "taskmill"


class SqlalchemyCaller(Caller):
    def __init__(self, given: Any) -> None:
        if isinstance(given, scoped_session):
            given = given()
        self._session = given if isinstance(given, Session) else None
        self._connection = given.connection() if isinstance(given, Session) else given
        if not isinstance(self._connection, Connection):
            raise CannotJoin(
                f"connection={given!r} has no transaction: give a Session or a Connection of SQLAlchemy"
            )
        super().__init__(self._connection.connection.driver_connection)

    def execute(self, statement: str, parameters: Parameters = (), /) -> Found:
        given: Any = parameters if isinstance(parameters, dict) else tuple(parameters)
        try:
            return self._connection.exec_driver_sql(statement, given or None)
        except DBAPIError as error:
            raise error.orig or error from error

    def after_commit(self, call: Callable[[], None]) -> None:
        # A connection by itself tells only when it is about to commit.
        if self._session is None:
            return
        if not event.contains(self._session, "after_transaction_end", _after_end):
            event.listen(self._session, "after_transaction_end", _after_end)
        self._session.info.setdefault(_CALLS, []).append(call)


def _after_end(session: Session, transaction: SessionTransaction) -> None:
    # The end of a savepoint is none.
    if transaction.parent is None:
        for call in session.info.pop(_CALLS, ()):
            call()
