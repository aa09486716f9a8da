"""What was done by hand, on PostgreSQL."""

from __future__ import annotations

import json

from taskmill._core.deed import MOST_DEEDS, Deed
from taskmill._storage.base import AuditStore, DeedPage
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.version import Version
from taskmill._storage.rows import deed_page

SQL = Statements("audit.sql")


class PostgresAudit(AuditStore):
    def __init__(self, database: Database, version: Version) -> None:
        self._database = database
        self._version = version

    def append(self, deed: Deed) -> None:
        self._database.row(SQL.append, (json.dumps(deed._asdict()), MOST_DEEDS, self._database.wall))
        self._version.changed()

    def page(self, *, after: str | None = None, limit: int) -> DeedPage:
        wanted = {"after": None if after is None else int(after), "limit": limit + 1}
        return deed_page(self._database.rows(SQL.page, wanted), limit)
