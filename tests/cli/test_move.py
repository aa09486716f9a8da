"""A queue moves house, as it is told; tests/crash/test_moving.py kills the mover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill._core.identity import new_job_id
from taskmill._storage.sqlite.storage import SqliteStorage
from tests.cli.shell import Answer, Shell
from tests.conformance.builders import Worker, a_job, job_of, states_of, succeeded


@pytest.fixture
def stores(folder: Path) -> Iterator[tuple[SqliteStorage, SqliteStorage]]:
    stores = (SqliteStorage("old.db", durability="normal"), SqliteStorage("new.db", durability="normal"))
    yield stores
    for store in stores:
        store.close()


def move(shell: Shell, *words: str, source: str = "old.db", target: str = "new.db") -> Answer:
    return shell("move", "--from", f"sqlite:///{source}", "--to", f"sqlite:///{target}", *words)


def test_all_moves(shell: Shell, stores: tuple[SqliteStorage, SqliteStorage]) -> None:
    old, new = stores
    old.jobs.add([a_job(str(number), queue="held") for number in range(450)])
    old.jobs.pause("held")
    old.schedules.register(name="s", task="t", spec="x")

    # How far it is, it says only where it takes a second.
    assert move(shell)[:2] == (0, "450 jobs, 1 schedule and 1 pause moved\n")

    assert len(states_of(new)) == 450
    assert states_of(old) == {}
    assert set(new.inspection.paused()) == {"held"}
    assert move(shell, "--json").json == {"jobs": 0, "schedules": 0, "pauses": 1, "known": [], "left": 0}


def test_what_runs_is_left_and_told(shell: Shell, stores: tuple[SqliteStorage, SqliteStorage]) -> None:
    old, new = stores
    old.jobs.add([a_job("runs")])
    worker = Worker(old)
    claimed = worker.claim_one()

    status, _, err = move(shell)

    assert status == 1
    assert err == "taskmill: 1 job left: they run, or a step of theirs does, so run this again later\n"
    worker.settle(claimed, succeeded("7"))
    assert move(shell).status == 0
    assert job_of(new, "runs").result == "7"


def test_what_is_there_already_is_dropped_and_told(
    shell: Shell, stores: tuple[SqliteStorage, SqliteStorage]
) -> None:
    old, new = stores
    old.jobs.add([a_job("theirs", key="k"), a_job("new")])
    new.jobs.add([a_job("mine", key="k")])

    answer = move(shell)

    assert answer.err == "taskmill: 1 job dropped, as their ids or keys were there already: theirs\n"
    assert answer.out.startswith("1 job, ")
    assert states_of(new) == {"mine": "queued", "new": "queued"}


def test_a_store_does_not_move_into_itself(
    shell: Shell, stores: tuple[SqliteStorage, SqliteStorage], folder: Path
) -> None:
    stores[0].jobs.add([a_job("a")])
    (folder / "link.db").symlink_to("old.db")

    for target in ("old.db", "link.db"):
        status, _, err = move(shell, target=target)
        assert status == 1
        assert "the same store" in err
    assert states_of(stores[0]) == {"a": "queued"}


def test_a_move_that_was_interrupted_must_come_to_its_end(
    shell: Shell, stores: tuple[SqliteStorage, SqliteStorage]
) -> None:
    old, new = stores
    old.jobs.add([a_job("a"), a_job("b")])
    assert old.transfer.pack(new.transfer.identity(), limit=1) is not None

    status, _, err = move(shell, target="third.db")

    assert status == 1
    assert "run that one again first" in err
    assert move(shell).status == 0
    assert set(states_of(new)) == {"a", "b"}


def test_what_the_target_cannot_hold_stays(
    shell: Shell, stores: tuple[SqliteStorage, SqliteStorage], redis_url: str
) -> None:
    old, _ = stores
    old.jobs.add([a_job("a", queue="\0"), a_job("b")])

    for _ in range(2):
        status, _, err = shell(
            "move", "--from", "sqlite:///old.db", "--to", f"{redis_url}?name={new_job_id()}"
        )

        assert status == 3
        assert "with a NUL" in err
        assert states_of(old) == {"a": "queued", "b": "queued"}


def test_there_must_be_something_to_move(shell: Shell, folder: Path) -> None:
    assert move(shell).status == 3
    assert list(folder.iterdir()) == []
    assert shell("move", "--from", "memory://", "--to", "sqlite:///new.db").status == 2
