"""What somebody is in the middle of when another one comes, held there by a connection of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from taskmill._storage.base import Storage
from taskmill._storage.open import open_storage
from tests.conformance.builders import LEASE, a_job, states_of


@pytest.fixture
def storage(empty_postgres: str) -> Iterator[Storage]:
    store = open_storage(empty_postgres)
    yield store
    store.close()


def test_a_job_that_somebody_claims_is_not_moved(storage: Storage, empty_postgres: str) -> None:
    storage.jobs.add([a_job("theirs"), a_job("free")])
    with psycopg.connect(empty_postgres) as claiming:
        claiming.execute("select 1 from taskmill.waiting order by job limit 1 for update").fetchone()
        crate = storage.transfer.pack("elsewhere", limit=9)

    assert crate is not None
    assert [job.job_id for job in crate.load.jobs] == ["free"]
    assert states_of(storage) == {"theirs": "queued"}


def test_a_lease_that_was_renewed_since_the_look_is_not_over(storage: Storage, empty_postgres: str) -> None:
    session = storage.sessions.open(kind="worker", lease=LEASE)
    with psycopg.connect(empty_postgres, autocommit=True) as rescuing:
        [rescued] = rescuing.execute(
            "select rescued from taskmill.v1_rescue(array[%s::bigint], '{}', null, null)", (session,)
        ).fetchone() or [None]

    assert rescued == []
    assert storage.sessions.renew(session)
