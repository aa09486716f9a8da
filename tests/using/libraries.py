"""The libraries that people have their connections from, each over each database that it reaches."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import django
import django.conf
import psycopg
import sqlalchemy
import sqlalchemy.orm
from django.db import connections, transaction
from sqlalchemy.pool import NullPool

if not django.conf.settings.configured:
    django.conf.settings.configure()
    django.setup()


class Giver(NamedTuple):
    """A connection with a transaction open, and what its program does with it."""

    connection: Any
    execute: Callable[[str], object]
    commit: Callable[[], object]
    rollback: Callable[[], object]


Opening = Callable[[str], AbstractContextManager[Giver]]


@contextmanager
def by_sqlite3(url: str) -> Iterator[Giver]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        yield Giver(connection, connection.execute, connection.commit, connection.rollback)
    finally:
        connection.close()


@contextmanager
def by_psycopg(url: str) -> Iterator[Giver]:
    connection = psycopg.connect(url)
    try:
        yield Giver(connection, connection.execute, connection.commit, connection.rollback)
    finally:
        connection.close()


@contextmanager
def by_session(url: str) -> Iterator[Giver]:
    engine = sqlalchemy.create_engine(url_of_engine(url), poolclass=NullPool)
    with sqlalchemy.orm.Session(engine) as session:
        yield Giver(
            session, lambda sql: session.execute(sqlalchemy.text(sql)), session.commit, session.rollback
        )


@contextmanager
def by_engine(url: str) -> Iterator[Giver]:
    engine = sqlalchemy.create_engine(url_of_engine(url), poolclass=NullPool)
    with engine.connect() as connection:
        yield Giver(connection, connection.exec_driver_sql, connection.commit, connection.rollback)


@contextmanager
def by_django(url: str) -> Iterator[Giver]:
    connections.settings = connections.configure_settings({"default": django_database(url)})
    connection = connections["default"]

    def execute(sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    def rollback() -> None:
        transaction.set_rollback(True)
        atomic.__exit__(None, None, None)

    try:
        atomic = transaction.atomic()
        atomic.__enter__()
        yield Giver(connection, execute, lambda: atomic.__exit__(None, None, None), rollback)
    finally:
        connection.close()
        del connections["default"]


def django_database(url: str) -> dict[str, Any]:
    if url.startswith("sqlite:"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": parts.password or "",
    }


def url_of_engine(url: str, *, is_async: bool = False) -> str:
    kind, _, rest = url.partition("://")
    driver = {"sqlite": "aiosqlite" if is_async else "pysqlite", "postgresql": "psycopg"}[kind]
    return f"{kind}+{driver}://{rest}"


LIBRARIES: dict[str, dict[str, Opening]] = {
    "sqlite": {"sqlite3": by_sqlite3, "session": by_session, "engine": by_engine, "django": by_django},
    "postgres": {"psycopg": by_psycopg, "session": by_session, "engine": by_engine, "django": by_django},
}
ALL = [(store, library) for store, libraries in LIBRARIES.items() for library in libraries]
# Those that tell when they have committed.
TELLING = [(store, library) for store, library in ALL if library in {"session", "django"}]
