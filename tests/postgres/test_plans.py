"""How the server means to carry out what people ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from taskmill._storage.open import open_storage
from taskmill._storage.postgres.naming import Statements
from tests.conformance.builders import Worker, a_job
from tests.conftest import a_database

# The server's jit_above_cost: from there on it compiles a statement first, which takes half a second each time.
COMPILED_FROM = 100_000

ASKED = Statements("inspection.sql")
OTHERS = """
select 1 from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""
# Places in the same line; who comes so far would find no job there.
MANY_BEHIND = """
insert into taskmill.waiting (lane, run_at, job, has_lock)
select lane, run_at + number, -number, false
from (select lane, max(run_at) as run_at from taskmill.waiting group by lane) w, generate_series(1, 60000) number
"""
READ = """
select seq_tup_read + idx_tup_fetch
    + (select sum(idx_tup_read)::bigint from pg_stat_all_indexes i where i.relid = t.relid)
from pg_stat_all_tables t where relid = %s::regclass
"""


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


@pytest.fixture
def unknown_postgres(postgres_url: str) -> Iterator[str]:
    """A database of which the planner knows nothing yet, like any in its first minute."""
    with a_database(postgres_url) as url:
        yield url


def test_a_claim_reads_no_more_of_a_long_line_than_it_takes(unknown_postgres: str) -> None:
    with closing(open_storage(unknown_postgres)) as storage:
        storage.jobs.add([a_job() for _ in range(100)])
    with psycopg.connect(unknown_postgres) as connection:
        connection.execute(MANY_BEHIND)
    before = read_from(unknown_postgres, "waiting")

    with closing(open_storage(unknown_postgres)) as storage:
        worker = Worker(storage)
        claimed = [job for _ in range(10) for job in worker.claim(10)]

    assert len(claimed) == 100
    assert read_from(unknown_postgres, "waiting") - before < 5_000


def test_a_look_for_locks_that_are_waited_for_does_not_read_all_jobs(unknown_postgres: str) -> None:
    with closing(open_storage(unknown_postgres)) as storage:
        storage.jobs.add([a_job() for _ in range(1_000)])
    before = read_from(unknown_postgres, "job")

    with closing(open_storage(unknown_postgres)) as storage:
        storage.jobs.rescue()

    assert read_from(unknown_postgres, "job") - before < 1_000


def read_from(url: str, table: str) -> int:
    """How many rows of it and entries of its indexes were read, which is known of connections that have ended."""
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(OTHERS).fetchone() is not None:
            pass
        [number] = connection.execute(READ, (f"taskmill.{table}",)).fetchone() or (0,)
    return int(number)
