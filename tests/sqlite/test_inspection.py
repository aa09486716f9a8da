"""What people read is of one moment, though it takes several statements."""

from __future__ import annotations

import pytest

from taskmill._storage.sqlite.inspection import SqliteInspection
from taskmill._storage.sqlite.storage import SqliteStorage
from tests.conformance.builders import Worker, a_job, job_of, retrying
from tests.sqlite.conftest import OpenStore


def test_a_job_and_its_attempts_are_of_one_moment(
    store: SqliteStorage, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(open_store())
    store.jobs.add([a_job("a", max_attempts=5)])
    claimed = worker.claim_one()
    attempts = SqliteInspection._attempts

    def while_it_is_settled(*args: object) -> object:
        worker.settle(claimed, retrying())
        return attempts(*args)

    monkeypatch.setattr(SqliteInspection, "_attempts", while_it_is_settled)
    seen = job_of(store, "a")
    monkeypatch.undo()

    assert (seen.state, seen.attempts) == ("running", ())
    now = job_of(store, "a")
    assert (now.state, len(now.attempts)) == ("queued", 1)
