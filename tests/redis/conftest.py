"""The Redis adapter by itself: servers, connections, pushes; what it stores is the conformance suite's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from taskmill._core.identity import new_job_id
from taskmill._storage.open import open_storage
from taskmill._storage.redis.storage import RedisStorage
from tests import servers
from tests.conftest import without_server
from tests.redis.proxy import Proxy

OpenStore = Callable[..., RedisStorage]


@pytest.fixture
def name() -> str:
    """Of a mill that nobody else has."""
    return new_job_id()


@pytest.fixture
def open_store(redis_url: str, name: str) -> Iterator[OpenStore]:
    """Opens the same mill as often as asked, as so many processes would; closes all in the end."""
    opened: list[RedisStorage] = []

    def one_more(url: str = redis_url, **options: Any) -> RedisStorage:
        given = "".join(f"&{option}={value}" for option, value in options.items())
        store = open_storage(f"{url}?name={name}{given}")
        assert isinstance(store, RedisStorage)
        opened.append(store)
        return store

    yield one_more
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> RedisStorage:
    return open_store()


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """For a look behind the adapter's back."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def own_server() -> Iterator[servers.Redis]:
    """One that a test may kill; what it acknowledged is on disk."""
    try:
        with servers.redis(appendonly="yes", appendfsync="always") as server:
            yield server
    except servers.NoServerError as error:
        without_server(str(error))


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    proxy = Proxy(int(redis_url.rpartition(":")[2]))
    yield proxy
    proxy.close()
