"""The same by connections whose statements are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from taskmill.errors import CannotJoin
from tests.using.conftest import Shop
from tests.using.libraries import by_sqlite3, url_of_engine


@asynccontextmanager
async def by_psycopg(url: str) -> AsyncIterator[Any]:
    connection = await psycopg.AsyncConnection.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def by_session(url: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url_of_engine(url, is_async=True), poolclass=NullPool)
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


@asynccontextmanager
async def by_engine(url: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url_of_engine(url, is_async=True), poolclass=NullPool)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


ASYNC = {"psycopg": by_psycopg, "session": by_session, "engine": by_engine}
everywhere = pytest.mark.parametrize(
    "store,name",
    [
        ("postgres", "psycopg"),
        *((store, name) for store in ("sqlite", "postgres") for name in ("session", "engine")),
    ],
)


@everywhere
def test_a_job_exists_if_and_only_if_its_transaction_is_committed(shop: Shop, name: str) -> None:
    async def both() -> tuple[list[Any], list[Any]]:
        async with ASYNC[name](shop.url) as connection:
            pack = shop.pack.using(connection=connection)
            lost = [await pack.aenqueue(1), *await shop.mill.aenqueue_many([pack.s(1), pack.s(2)])]
            await connection.rollback()
            kept = [await pack.aenqueue(1), await (pack.s(5) | shop.pack.s()).aenqueue()]
            await connection.commit()
            return lost, kept

    lost, kept = asyncio.run(both())
    assert not any(shop.is_stored(result.id) for result in lost)
    with shop.mill.worker(burst=True):
        assert [result.get(timeout=45) for result in kept] == [2, 7]


@everywhere
def test_enqueue_without_await_is_refused(shop: Shop, name: str) -> None:
    async def enqueue() -> None:
        async with ASYNC[name](shop.url) as connection:
            with pytest.raises(CannotJoin, match="use aenqueue"):
                shop.pack.using(connection=connection).enqueue(1)

    asyncio.run(enqueue())


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_connection_that_blocks_may_be_used_by_a_coroutine(shop: Shop) -> None:
    async def enqueue() -> Any:
        with by_sqlite3(shop.url) as giver:
            result = await shop.pack.using(connection=giver.connection).aenqueue(1)
            giver.commit()
            return result

    assert shop.is_stored(asyncio.run(enqueue()).id)


@pytest.mark.parametrize("store", ["sqlite"])
def test_an_awaited_connection_to_another_engine_is_refused(shop: Shop, empty_postgres: str) -> None:
    async def enqueue() -> None:
        async with by_psycopg(empty_postgres) as connection:
            with pytest.raises(CannotJoin, match="the store"):
                await shop.pack.using(connection=connection).aenqueue(1)

    asyncio.run(enqueue())
