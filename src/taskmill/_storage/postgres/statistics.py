"""What workers have counted, on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence

from taskmill._core.instant import MINUTE
from taskmill._core.tally import KEPT_MINUTES, Tally
from taskmill._storage.base import StatisticStore
from taskmill._storage.postgres.database import Database
from taskmill._storage.postgres.naming import Statements
from taskmill._storage.postgres.version import Version

SQL = Statements("statistics.sql")


class PostgresStatistics(StatisticStore):
    def __init__(self, database: Database, version: Version) -> None:
        self._database = database
        self._version = version

    def add(self, tallies: Sequence[Tally]) -> None:
        oldest = self._database.now() // MINUTE - KEPT_MINUTES
        self._database.row(SQL.add, (json.dumps([tally._asdict() for tally in tallies]), oldest))
        self._version.changed()

    def series(self, *, since: int, task: str | None = None) -> Sequence[Tally]:
        rows = self._database.rows(SQL.series, {"since": since, "task": task})
        return list(map(Tally._make, rows))
