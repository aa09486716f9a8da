"""A database of their own, on the server that a run has started, for the processes of one measurement."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql


def database(folder: Path) -> str:
    """The URL of the database named after the folder, which is made by who comes first."""
    server = os.environ["BENCH_POSTGRES_URL"]
    # The end of it is what differs; a name has 63 bytes.
    name = "_".join(folder.parts[1:])[-60:]
    create = sql.SQL("create database {}").format(sql.Identifier(name))
    with (
        psycopg.connect(f"{server}/postgres", autocommit=True) as connection,
        suppress(psycopg.errors.DuplicateDatabase),
    ):
        connection.execute(create)
    return f"{server}/{name}"
