"""A database of their own for the processes of one measurement."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql


def database(folder: Path) -> str:
    """The URL of the database named after the folder, which is made by who comes first."""
    server = os.environ["BENCH_POSTGRES_URL"]
    create = sql.SQL("create database {}").format(sql.Identifier(folder.name))
    with (
        psycopg.connect(f"{server}/postgres", autocommit=True) as connection,
        suppress(psycopg.errors.DuplicateDatabase),
    ):
        connection.execute(create)
    return f"{server}/{folder.name}"


def has_table(url: str, name: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("select to_regclass(%s) is not null", [name]).fetchone() == (True,)
