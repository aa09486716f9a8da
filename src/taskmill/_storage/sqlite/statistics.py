"""What workers have counted, on SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from taskmill._core.instant import MINUTE
from taskmill._core.tally import KEPT_MINUTES, Tally
from taskmill._storage.base import StatisticStore
from taskmill._storage.clock import Clock
from taskmill._storage.sql import Queries
from taskmill._storage.sqlite.database import Database
from taskmill._storage.sqlite.opening import Connection

SQL = Queries("taskmill._storage.sqlite", "statistics.sql")


class SqliteStatistics(StatisticStore):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, tallies: Sequence[Tally]) -> None:
        oldest = self._clock.wall() // MINUTE - KEPT_MINUTES

        def work(connection: Connection) -> None:
            connection.executemany(SQL.add, tallies)
            connection.execute(SQL.forget, {"oldest": oldest})

        self._database.write(work)

    def series(self, *, since: int, task: str | None = None) -> Sequence[Tally]:
        wanted = {"since": since, "task": task}
        rows = self._database.read(lambda connection: connection.execute(SQL.series, wanted).fetchall())
        return list(map(Tally._make, rows))
