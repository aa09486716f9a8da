"""New jobs by a transaction of the caller's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from taskmill._core.job import NewJob
from taskmill._storage.callers.base import AsyncCaller, Caller, Entry
from taskmill._storage.postgres.calls import as_columns
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.trouble import FAILURES, translate
from taskmill.errors import CannotJoin

SQL = Statements("within.sql")

_ELSEWHERE = (errors.InvalidSchemaName, errors.UndefinedFunction, errors.UndefinedTable)


class PostgresEntry(Entry):
    """What can be done by a connection of our own is done when this is made: the schema, and the jobs' lanes."""

    def __init__(self, database: Database, jobs: Sequence[NewJob]) -> None:
        self._where = database.address.shown
        self._ids = [job.job_id for job in jobs]
        calls = as_columns(jobs)
        [place] = database.row(SQL.before_adding_within, (calls,))
        self._request = (calls, len(jobs), database.wall, place)

    def through(self, caller: Caller) -> Sequence[str]:
        with self._joined(caller.driver):
            return self._known_by(caller.execute(SQL.add_within, self._request).fetchall())

    async def athrough(self, caller: AsyncCaller) -> Sequence[str]:
        with self._joined(caller.driver):
            return self._known_by(await caller.rows(SQL.add_within, self._request))

    @contextmanager
    def _joined(self, driver: Any) -> Iterator[None]:
        self._check(driver)
        try:
            yield
        except _ELSEWHERE as error:
            raise self._elsewhere() from error
        except errors.InFailedSqlTransaction as error:
            raise CannotJoin("a statement before has failed in this transaction: roll it back") from error
        except FAILURES as error:
            raise translate(error, self._where, 0) from error

    def _check(self, driver: Any) -> None:
        if not isinstance(driver, psycopg.Connection | psycopg.AsyncConnection):
            raise CannotJoin(
                f"the connection is one of {type(driver).__module__}, and jobs go through psycopg to {self._where}: "
                "give one of psycopg, or of an engine that uses it, to the database of the store"
            )
        if driver.autocommit and driver.info.transaction_status == TransactionStatus.IDLE:
            raise CannotJoin(
                "the connection commits each statement by itself, so there is no transaction to join: begin one, with "
                "connection.transaction() or transaction.atomic(), or enqueue without connection="
            )

    def _known_by(self, rows: Sequence[Sequence[Any]]) -> Sequence[str]:
        [[is_here, ids]] = rows
        if not is_here:
            raise self._elsewhere()
        return ids or self._ids

    def _elsewhere(self) -> CannotJoin:
        return CannotJoin(
            f"the connection leads to another database than the store's, {self._where}: give one to that, or let the "
            "Mill have its store where your data is"
        )
