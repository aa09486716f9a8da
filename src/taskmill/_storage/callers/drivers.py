"""Connections of the drivers themselves: nobody tells when they commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from taskmill._storage.callers.base import AsyncCaller, Caller, Found, Parameters


class Driver(Caller):
    def after_commit(self, call: Callable[[], None]) -> None:
        """Never."""


class SqliteDriver(Driver):
    def execute(self, statement: str, parameters: Parameters = (), /) -> Found:
        return execute_on_sqlite(self.driver, statement, parameters)


class PsycopgDriver(Driver):
    def execute(self, statement: str, parameters: Parameters = (), /) -> Found:
        return execute_on_psycopg(self.driver, statement, parameters)


class AsyncPsycopgDriver(AsyncCaller):
    async def rows(self, statement: str, parameters: Parameters) -> Sequence[Sequence[Any]]:
        from psycopg import AsyncCursor  # noqa: PLC0415  (whose connection it is has it)
        from psycopg.rows import tuple_row  # noqa: PLC0415

        async with AsyncCursor(self.driver, row_factory=tuple_row) as cursor:
            await cursor.execute(statement.encode(), parameters)
            return await cursor.fetchall()


# Their cursors may be of classes that the program chose, and their rows too: these are not.


def execute_on_sqlite(driver: Any, statement: str, parameters: Parameters) -> Found:
    from sqlite3 import Cursor  # noqa: PLC0415  (a program with another store does without)

    cursor = Cursor(driver)
    cursor.row_factory = None
    return cursor.execute(statement, parameters)


def execute_on_psycopg(driver: Any, statement: str, parameters: Parameters) -> Found:
    from psycopg import Cursor  # noqa: PLC0415
    from psycopg.rows import tuple_row  # noqa: PLC0415

    return Cursor(driver, row_factory=tuple_row).execute(statement.encode(), parameters)
