"""What was done by hand, on SQLite."""

from __future__ import annotations

from taskmill._core.deed import MOST_DEEDS, Deed
from taskmill._storage.base import AuditStore, DeedPage
from taskmill._storage.clock import Clock
from taskmill._storage.rows import deed_page
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.opening import Connection

SQL = Queries("taskmill._storage.sqlite", "audit.sql")


class SqliteAudit(AuditStore):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def append(self, deed: Deed) -> None:
        noted = {**deed._asdict(), "now": self._clock.wall()}

        def work(connection: Connection) -> None:
            connection.execute(SQL.append, noted)
            connection.execute(SQL.forget, {"most": MOST_DEEDS})

        self._database.write(work)

    def page(self, *, after: str | None = None, limit: int) -> DeedPage:
        wanted = {"after": None if after is None else int(after), "limit": limit + 1}
        rows = self._database.read(lambda connection: connection.execute(SQL.page, wanted).fetchall())
        return deed_page([tuple(row) for row in rows], limit)
