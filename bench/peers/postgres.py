"""What the peers on PostgreSQL need to know of their database."""

from __future__ import annotations

import psycopg


def has_table(url: str, name: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("select to_regclass(%s) is not null", [name]).fetchone() == (True,)
