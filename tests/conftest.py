"""The servers that tests share, and the choice of a long look.

``pytest --long`` is what docs/guarantees.md takes its figures from; where Hypothesis is at work (tests/stateful,
tests/fuzz), it is ``--hypothesis-profile=long``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import settings

from tests import servers

settings.register_profile("long", max_examples=3_000, stateful_step_count=80, deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="longer variants of the tests that have one; minutes"
    )


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
    try:
        with servers.postgres(fsync="off") as server:
            yield f"{server.url}/postgres"
    except servers.NoServerError as error:
        without_server(str(error))


@pytest.fixture
def empty_postgres(postgres_url: str) -> str:
    """That database, with nothing stored in it."""
    servers.empty(postgres_url)
    return postgres_url


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
