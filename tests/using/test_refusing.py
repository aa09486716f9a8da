"""Connections whose transaction cannot take a job in: each is told what to do, and nothing is stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from taskmill import Mill
from taskmill.errors import CannotJoin, InvalidOption
from tests.using.conftest import Shop
from tests.using.libraries import ALL, by_psycopg, by_sqlite3, connections, django_database, url_of_engine

each_store = pytest.mark.parametrize("store", ["sqlite", "postgres"])


@pytest.mark.parametrize("url", ["memory://", "redis://127.0.0.1:1/0"])
def test_a_store_that_is_in_no_sql_database_says_so(url: str, tmp_path: Path) -> None:
    task = Mill(url).task(name="t")(print)
    with (
        by_sqlite3(f"sqlite:///{tmp_path}/x.db") as giver,
        pytest.raises(CannotJoin, match="no SQL database"),
    ):
        task.using(connection=giver.connection).enqueue()


@pytest.mark.parametrize("store,library", ALL)
def test_another_database_is_refused(shop: Shop, tmp_path: Path, store: str) -> None:
    if store == "sqlite":
        other = f"sqlite:///{tmp_path}/other.db"
    else:
        with psycopg.connect(shop.url, autocommit=True) as admin:
            admin.execute("drop database if exists other_shop")
            admin.execute("create database other_shop")
        other = shop.url.rpartition("/")[0] + "/other_shop"
    with shop.opening(other) as giver:
        with pytest.raises(CannotJoin, match="the store"):
            shop.pack.using(connection=giver.connection).enqueue(1)
        giver.rollback()
    assert shop.mill.app.storage.inspection.queues() == []


@pytest.mark.parametrize("store", ["postgres"])
def test_another_database_with_a_store_of_its_own_is_refused(shop: Shop) -> None:
    with psycopg.connect(shop.url, autocommit=True) as admin:
        admin.execute("drop database if exists other_shop")
        admin.execute("create database other_shop")
    other = shop.url.rpartition("/")[0] + "/other_shop"
    neighbour = Mill(other)
    neighbour.task(name="t")(print).enqueue()
    neighbour.close()
    with by_psycopg(other) as giver:
        with pytest.raises(CannotJoin, match="another database"):
            shop.pack.using(connection=giver.connection).enqueue(1)
        # That transaction is as it was.
        giver.execute("select 1")


@pytest.mark.parametrize("store", ["postgres"])
def test_a_database_in_another_engine_is_refused(shop: Shop, tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path}/shop.db"
    task = Mill(file).task(name="t")(print)
    with by_sqlite3(file) as here, by_psycopg(shop.url) as there:
        for refused, giver in ((task, there), (shop.pack, here)):
            with pytest.raises(CannotJoin, match="the store"):
                refused.using(connection=giver.connection).enqueue(1)


@each_store
def test_a_connection_that_commits_each_statement_by_itself_is_refused(shop: Shop, store: str) -> None:
    if store == "sqlite":
        plain: object = sqlite3.connect(shop.url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        plain = psycopg.connect(shop.url, autocommit=True)
    engine = sqlalchemy.create_engine(url_of_engine(shop.url), isolation_level="AUTOCOMMIT")
    connections.settings = connections.configure_settings({"default": django_database(shop.url)})
    with engine.connect() as connection:
        for each in (plain, connection, connections["default"]):
            with pytest.raises(CannotJoin, match="no transaction to join"):
                shop.pack.using(connection=each).enqueue(1)
    plain.close()  # type: ignore[attr-defined]
    connections["default"].close()
    del connections["default"]
    engine.dispose()
    assert shop.mill.app.storage.inspection.queues() == []


@pytest.mark.parametrize("store", ["postgres"])
def test_a_transaction_that_has_failed_is_refused(shop: Shop) -> None:
    with by_psycopg(shop.url) as giver:
        with pytest.raises(psycopg.Error):
            giver.execute("select nothing")
        with pytest.raises(CannotJoin, match="roll it back"):
            shop.pack.using(connection=giver.connection).enqueue(1)


def test_what_is_no_connection_is_refused(tmp_path: Path) -> None:
    task = Mill(f"sqlite:///{tmp_path}/x.db").task(name="t")(print)
    for connection in (
        5,
        "x.db",
        sqlite3.connect(":memory:").cursor(),
        sqlalchemy.create_engine("sqlite://"),
    ):
        with pytest.raises(CannotJoin, match="connection"):
            task.using(connection=connection).enqueue()


def test_calls_that_are_stored_together_name_one_connection(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/x.db")
    task = mill.task(name="t")(print)
    with by_sqlite3(mill.url) as one, by_sqlite3(mill.url) as two:
        calls = [task.using(connection=giver.connection).s() for giver in (one, two)]
        with pytest.raises(InvalidOption, match="different connections"):
            mill.enqueue_many(calls)


def test_no_connection_is_what_it_is_without_the_option(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/x.db")
    result = mill.task(name="t")(print).using(connection=None).enqueue()
    assert mill.app.storage.inspection.job(result.id) is not None
    mill.close()
