"""What jobs say of themselves, on SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.journal import KEPT_CLAIMS, Sheet
from taskmill._storage.base import JournalStore, Writing
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.opening import Connection

SQL = Queries("taskmill._storage.sqlite", "journals.sql")


class SqliteJournals(JournalStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, session: int, writings: Sequence[Writing]) -> None:
        def work(connection: Connection) -> None:
            for writing in writings:
                if _holds(connection, session, writing):
                    _write(connection, writing)

        self._database.write(work)

    def read(self, job_id: str) -> Sequence[Sheet]:
        wanted = {"job_id": job_id}
        rows = self._database.read(lambda connection: connection.execute(SQL.read, wanted).fetchall())
        return [Sheet._make(row) for row in rows]


def _holds(connection: Connection, session: int, writing: Writing) -> bool:
    claimed = writing.claimed
    guard = {
        "job": claimed.ref,
        "job_id": claimed.job_id,
        "session": session,
        "fence": claimed.fence,
    }
    return connection.execute(SQL.holds, guard).fetchone() is not None


def _write(connection: Connection, writing: Writing) -> None:
    ref, fence, attempt = writing.claimed.ref, writing.claimed.fence, writing.claimed.attempt
    for number, text in writing.sheets:
        connection.execute(SQL.write, (ref, fence, number, attempt, text))
    for number in writing.torn:
        connection.execute(SQL.tear, (ref, fence, number))
    if fence > KEPT_CLAIMS:
        connection.execute(SQL.forget, (ref, fence - KEPT_CLAIMS))
