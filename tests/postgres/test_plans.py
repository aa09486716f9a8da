"""How the server means to carry out what people ask."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from taskmill._storage.open import open_storage
from taskmill._storage.postgres.naming import Statements

# The server's jit_above_cost: from there on it compiles a statement first, which takes half a second each time.
COMPILED_FROM = 100_000

ASKED = Statements("inspection.sql")


@pytest.mark.parametrize(
    "statement, bound",
    [(ASKED.running, {"after": 1 << 62}), (ASKED.recent, {"limit": 100}), (ASKED.sessions, {})],
    ids=["running", "recent", "sessions"],
)
def test_what_reads_a_few_jobs_is_not_compiled_first(
    postgres_url: str, statement: str, bound: dict[str, int]
) -> None:
    with closing(open_storage(postgres_url)) as storage, psycopg.connect(postgres_url) as connection:
        storage.version()

        answer = (
            psycopg.ClientCursor(connection).execute(f"explain (format json) {statement}", bound).fetchone()
        )

    assert answer is not None
    assert answer[0][0]["Plan"]["Total Cost"] < COMPILED_FROM
