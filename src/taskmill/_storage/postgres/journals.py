"""What jobs say of themselves, on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence

from taskmill._core.journal import KEPT_CLAIMS, Sheet
from taskmill._storage.base import JournalStore, Writing
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.version import Version

SQL = Statements("journals.sql")


class PostgresJournals(JournalStore):
    def __init__(self, database: Database, version: Version) -> None:
        self._database = database
        self._version = version

    def write(self, session: int, writings: Sequence[Writing]) -> None:
        told = [
            {
                "ref": writing.claimed.ref,
                "fence": writing.claimed.fence,
                "sheets": writing.sheets,
                "torn": list(writing.torn),
            }
            for writing in writings
        ]
        if self._database.row(SQL.write, (session, json.dumps(told), KEPT_CLAIMS)) == (True,):
            self._version.changed()

    def read(self, job_id: str) -> Sequence[Sheet]:
        return [Sheet._make(row) for row in self._database.rows(SQL.read, (job_id,))]
