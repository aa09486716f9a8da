"""What jobs say of themselves, on SQLite."""

from __future__ import annotations

import json
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
        added = {"sheets": _listed_text(writings), "session": session}

        def add(connection: Connection) -> None:
            connection.execute(SQL.write, added)

        def add_and_remove(connection: Connection) -> None:
            add(connection)
            for writing in filter(_removes, writings):
                if _holds(connection, session, writing):
                    _remove(connection, writing)

        if any(map(_removes, writings)):
            self._database.write(add_and_remove)
        else:
            self._database.write_one(add)

    def read(self, job_id: str) -> Sequence[Sheet]:
        wanted = {"job_id": job_id}
        rows = self._database.read(lambda connection: connection.execute(SQL.read, wanted).fetchall())
        return [Sheet._make(row) for row in rows]


def _listed_text(writings: Sequence[Writing]) -> str:
    """What the statement `write` takes."""
    return json.dumps(
        [
            f"{claimed.ref:019}{claimed.fence:010}{number:010}{claimed.job_id}{text}"
            for claimed, sheets, _ in writings
            for number, text in sheets
        ],
        ensure_ascii=False,
    )


def _removes(writing: Writing) -> bool:
    return bool(writing.torn) or writing.claimed.fence > KEPT_CLAIMS


def _holds(connection: Connection, session: int, writing: Writing) -> bool:
    claimed = writing.claimed
    guard = {
        "job": claimed.ref,
        "job_id": claimed.job_id,
        "session": session,
        "fence": claimed.fence,
    }
    return connection.execute(SQL.holds, guard).fetchone() is not None


def _remove(connection: Connection, writing: Writing) -> None:
    ref, fence = writing.claimed.ref, writing.claimed.fence
    for number in writing.torn:
        connection.execute(SQL.tear, (ref, fence, number))
    connection.execute(SQL.forget, (ref, fence - KEPT_CLAIMS))
