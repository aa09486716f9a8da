"""A job that is enqueued by a transaction of the program's exists if and only if that is committed."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from psycopg.rows import dict_row

from taskmill import errors
from tests.using.conftest import Shop
from tests.using.libraries import ALL, TELLING

everywhere = pytest.mark.parametrize("store,library", ALL)


@everywhere
def test_a_commit_makes_the_job_and_it_runs(shop: Shop) -> None:
    with shop.opening(shop.url) as giver:
        giver.execute("insert into shop_order values (1)")
        result = shop.pack.using(connection=giver.connection, tags=["x"], priority=7).enqueue(1)
        giver.commit()
    assert shop.orders() == 1
    job = shop.mill.app.storage.inspection.job(result.id)
    assert job is not None
    assert (job.priority, job.tags) == (7, ("x",))
    with shop.mill.worker(burst=True):
        assert result.get(timeout=45) == 2


@everywhere
def test_a_rollback_leaves_no_job(shop: Shop) -> None:
    with shop.opening(shop.url) as giver:
        giver.execute("insert into shop_order values (1)")
        result = shop.pack.using(connection=giver.connection).enqueue(1)
        giver.rollback()
    assert shop.orders() == 0
    shop.pack.enqueue(1)
    assert not shop.is_stored(result.id)


@everywhere
def test_a_connection_that_has_done_nothing_yet_joins_as_well(shop: Shop) -> None:
    with shop.opening(shop.url) as giver:
        result = shop.pack.using(connection=giver.connection).enqueue(1)
        giver.commit()
    assert shop.is_stored(result.id)


@everywhere
def test_nobody_waits_for_an_open_transaction_on_postgres_nor_sees_its_job(shop: Shop, store: str) -> None:
    shop.pack.enqueue(0)
    with shop.opening(shop.url) as giver:
        result = shop.pack.using(connection=giver.connection, queue="new").enqueue(1)
        assert not shop.is_stored(result.id)
        if store == "postgres":
            other = shop.pack.using(queue="new").enqueue(2)
            with shop.mill.worker(burst=True):
                assert other.get(timeout=45) == 3
        giver.rollback()


@everywhere
def test_keys_pipelines_and_many_calls_go_into_one_transaction(shop: Shop) -> None:
    first = shop.pack.using(key="a").enqueue(1)
    with shop.opening(shop.url) as giver:
        pack = shop.pack.using(connection=giver.connection)
        again = pack.using(key="a").enqueue(1)
        new = pack.using(key="b").enqueue(2)
        twice = pack.using(key="b").enqueue(2)
        chain = (pack.s(5) | shop.pack.s()).enqueue()
        many = shop.mill.enqueue_many([pack.s(n) for n in range(55)])
        mapped = pack.map([7, 8])
        giver.commit()
    assert again.id == first.id
    assert twice.id == new.id != first.id
    with shop.mill.worker(burst=True):
        assert chain.get(timeout=45) == 7
        assert [each.get(timeout=45) for each in (*many, *mapped)] == [*range(1, 56), 8, 9]


@pytest.mark.parametrize("store,library", TELLING)
def test_workers_are_rung_and_listeners_told_after_the_commit(shop: Shop) -> None:
    rung, told = threading.Event(), []
    shop.mill.on("enqueued")(lambda event: told.append(event.job_id))
    forget = shop.mill.app.storage.wake.on_jobs(rung.set)
    with shop.opening(shop.url) as giver:
        result = shop.pack.using(connection=giver.connection).enqueue(1)
        assert not rung.is_set()
        assert told == []
        giver.commit()
    assert rung.is_set()
    assert told == [result.id]
    forget()


@pytest.mark.parametrize("store,library", TELLING)
def test_nobody_is_told_of_a_job_that_was_rolled_back(shop: Shop) -> None:
    told: list[object] = []
    shop.mill.on("enqueued")(told.append)
    with shop.opening(shop.url) as giver:
        shop.pack.using(connection=giver.connection).enqueue(1)
        giver.rollback()
    assert told == []


@pytest.mark.parametrize("store,library", [("postgres", "psycopg")])
def test_a_resting_worker_hears_the_commit_on_postgres(shop: Shop) -> None:
    with shop.mill.worker(), shop.opening(shop.url) as giver:
        assert shop.pack.enqueue(0).get(timeout=45) == 1
        result = shop.pack.using(connection=giver.connection).enqueue(1)
        giver.commit()
        assert result.get(timeout=45) == 2


@pytest.mark.parametrize("store,library", [("sqlite", "sqlite3"), ("sqlite", "session")])
def test_on_sqlite_the_first_job_brings_its_tables_which_a_rollback_takes_back(shop: Shop) -> None:
    with shop.opening(shop.url) as giver:
        giver.execute("insert into shop_order values (1)")
        shop.pack.using(connection=giver.connection).enqueue(1)
        giver.rollback()
    assert not shop.mill.app.storage.exists()


@pytest.mark.parametrize("store,library", [("sqlite", "sqlite3")])
def test_what_cannot_be_stored_takes_back_only_itself(shop: Shop) -> None:
    with shop.opening(shop.url) as giver:
        pack = shop.pack.using(connection=giver.connection)
        good = pack.enqueue(1)
        giver.execute(
            "create trigger unlucky before insert on taskmill_job when new.priority = 13"
            " begin select raise(abort, 'unlucky'); end"
        )
        # Of these, some come with a statement before.
        calls = [*(pack.s(n) for n in range(60)), pack.using(priority=13).s(60)]
        with pytest.raises(errors.StoreRefused):
            shop.mill.enqueue_many(calls)
        giver.commit()
    [count] = shop.mill.app.storage.inspection.queues()
    assert shop.is_stored(good.id)
    assert sum(count.states.values()) == 1


@pytest.mark.parametrize("store,library", [("sqlite", "sqlite3"), ("postgres", "psycopg")])
def test_rows_of_whatever_shape_the_program_likes_are_its_own(shop: Shop, store: str) -> None:
    first = shop.pack.using(key="a").enqueue(1)
    with shop.opening(shop.url) as giver:
        giver.connection.row_factory = _as_dict if store == "sqlite" else dict_row
        again = shop.pack.using(connection=giver.connection, key="a").enqueue(1)
    assert again.id == first.id


def _as_dict(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> dict[str, object]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


@pytest.mark.parametrize("store,library", [("sqlite", "session"), ("postgres", "session")])
def test_a_savepoint_that_is_released_is_no_commit(shop: Shop) -> None:
    told: list[object] = []
    shop.mill.on("enqueued")(told.append)
    with shop.opening(shop.url) as giver:
        with giver.connection.begin_nested():
            shop.pack.using(connection=giver.connection).enqueue(1)
        assert told == []
        giver.commit()
    assert len(told) == 1
