"""A Mill on each store that transactions can be joined on, with a task, and a table of the program's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from taskmill import Mill
from taskmill._app.task import Task
from tests.using.libraries import LIBRARIES, Opening, by_psycopg, by_sqlite3


class Shop(NamedTuple):
    mill: Mill
    url: str
    pack: Task[[int], int]
    opening: Opening

    def is_stored(self, job_id: str) -> bool:
        return self.mill.app.storage.inspection.job(job_id) is not None

    def orders(self) -> int:
        [count] = self._open_plainly("select count(*) from shop_order")
        return count

    def _open_plainly(self, sql: str) -> tuple[int]:
        opening = by_sqlite3 if self.url.startswith("sqlite") else by_psycopg
        with opening(self.url) as giver:
            return giver.connection.execute(sql).fetchone()


@pytest.fixture
def url(request: pytest.FixtureRequest, store: str, tmp_path: Path) -> str:
    if store == "sqlite":
        url = f"sqlite:///{tmp_path}/shop.db"
        with by_sqlite3(url) as giver:
            giver.execute("create table shop_order (id integer)")
            giver.commit()
        return url
    url = request.getfixturevalue("empty_postgres")
    with psycopg.connect(url) as connection:
        connection.execute("drop table if exists shop_order")
        connection.execute("create table shop_order (id integer)")
    return url


@pytest.fixture
def library() -> str:
    """What is opened where a test does not say."""
    return "session"


@pytest.fixture
def shop(store: str, library: str, url: str) -> Iterator[Shop]:
    mill = Mill(url)

    @mill.task(name="pack")
    def pack(order: int) -> int:
        return order + 1

    yield Shop(mill, url, pack, LIBRARIES[store][library])
    mill.close()
