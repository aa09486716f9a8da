"""The servers that tests share, and the choice of a long look.

``pytest --long`` is what docs/guarantees.md takes its figures from; where Hypothesis is at work (tests/stateful,
tests/fuzz), it is ``--hypothesis-profile=long``.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import settings

from tests import servers

LONGEST = (
    "test_soak.py",
    "test_browser.py",
    "test_storage_machine.py",
    "test_children.py",
    "test_worker.py",
    "test_quality.py",
    "test_stops.py",
)

settings.register_profile("long", max_examples=3_000, stateful_step_count=80, deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="longer variants of the tests that have one; minutes"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: begun late, one would be all that is left, with the other processes at rest."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """What a test has logged may be no UTF-8, and pytest-xdist takes nothing else from one process to the other."""
    return _readable((yield))


def _readable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {name: _readable(each) for name, each in value.items()}
        case list() | tuple():
            return type(value)(_readable(each) for each in value)
        case _:
            return value


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether there is time."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """An empty database, for this run alone: on the server of TEST_PG_URL, or on one that is started here."""
    if url := os.environ.get("TEST_PG_URL"):
        with a_database(url) as database:
            yield database
        return
    yield from _postgres_server("")


@pytest.fixture(scope="session")
def newest_postgres_url() -> Iterator[str]:
    """The same on the newest PostgreSQL that can be had as a wheel."""
    yield from _postgres_server("newest")


def _postgres_server(kind: Literal["newest", ""]) -> Iterator[str]:
    try:
        with servers.postgres(kind, fsync="off") as server:
            yield f"{server.url}/postgres"
    except servers.NoServerError as error:
        without_server(str(error))


@pytest.fixture
def empty_postgres(postgres_url: str) -> str:
    """That database, with nothing stored in it."""
    servers.empty(postgres_url)
    return postgres_url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis or, where there is none, a Valkey; whoever uses it gives its mill a name of its own."""
    yield from _redis_server("")


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    yield from _redis_server("valkey")


def _redis_server(kind: Literal["valkey", ""]) -> Iterator[str]:
    try:
        with servers.redis(kind) as server:
            yield server.url
    except servers.NoServerError as error:
        without_server(str(error))


@contextmanager
def a_database(url: str) -> Iterator[str]:
    """A new database on the server that *url* leads to; gone afterwards."""
    name = f"taskmill_test_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"create database {name}")
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f"drop database {name} with (force)")


def without_server(why: str) -> NoReturn:
    """Leave the test out; in CI, where all that the suite needs must be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
