"""Rows that somebody damaged: each fails alone, its bytes are kept, and nobody else notices."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from taskmill import Mill, State, errors
from taskmill._app import steering

INVALID = "cast(x'ff22fe' as text)"


@pytest.mark.parametrize(
    "damage",
    [
        f"args = {INVALID}",
        "args = '[1, 2, 3]'",
        f"headers = {INVALID}",
        "headers = 'nonsense'",
        "tags = 'nonsense'",
        f"task = {INVALID}",
        f"queue = {INVALID}",
        f"lock = {INVALID}",
        f"job_id = {INVALID}",
        "run_at = 9000000000000000000",
        "enqueued_at = -9000000000000000000",
    ],
)
def test_a_damaged_row_holds_up_nobody(tmp_path: Path, damage: str) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    double = mill.task(name="double")(lambda number: 2 * number)
    results = double.map(range(20))
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, connection:
        connection.execute(f"update taskmill_job set {damage} where id = 7")  # noqa: S608

    with mill.worker(burst=True):
        pass

    good = [result for result in results if result.id != results[6].id]
    assert [result.get(timeout=0) for result in good] == [2 * number for number in range(20) if number != 6]
    assert len(steering.find(mill.app)) == 20
    mill.close()


DAMAGES = [
    f"args = {INVALID}",
    "args = '[1, 2, 3]'",
    "args = ''",
    "args = '[[' || hex(randomblob(200))",
    f"headers = {INVALID}",
    "headers = 'nonsense'",
    "tags = '[[[['",
    f"task = {INVALID}",
    f"lock = {INVALID}",
]


def test_ten_thousand_damaged_rows_among_good_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "taskmill")
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db?durability=normal")
    runs: list[int] = []
    results = mill.task(name="note")(runs.append).map(range(11_250))
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, connection:
        for number, damage in enumerate(DAMAGES):
            damaged = f"id <= 10000 and id % 9 = {number}"
            connection.execute(f"update taskmill_job set {damage} where {damaged}")  # noqa: S608
        # Such a row cannot be named when it is to be settled, and makes its whole batch be settled one by one.
        connection.execute(
            "update taskmill_job set job_id = id || cast(x'ff' as text) where id in (20, 2000)"
        )

    with mill.worker(burst=True):
        pass

    assert set(range(10_000, 11_250)) <= set(runs)
    assert len(runs) == len(set(runs))
    assert {result.state for result in results[10_000:]} == {State.SUCCEEDED}
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        assert connection.execute("select count(*) from taskmill_job").fetchone() == (11_250,)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        left = dict(connection.execute("select state, count(*) from taskmill_job group by 1").fetchall())
    assert left["failed"] >= 4_000
    assert not left.get("running")
    mill.close()


def test_damaged_arguments_fail_the_job_and_their_bytes_are_kept(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    result = mill.task(name="nothing")(lambda: None).enqueue()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, connection:
        connection.execute(f"update taskmill_job set args = {INVALID}")  # noqa: S608

    with mill.worker(burst=True):
        pass

    job = result.job()
    assert (job.state, job.reason) == (State.FAILED, "undecodable")
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        [kept] = connection.execute("select cast(args as blob) from taskmill_job").fetchone()
    assert kept == b'\xff"\xfe'
    mill.close()


def test_a_signal_handler_of_a_worker_that_waits_for_a_job_is_refused(tmp_path: Path) -> None:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    nothing = mill.task(name="nothing")(lambda: None)
    refused: list[str] = []

    @mill.on("succeeded")
    def wait_for_another(event: object) -> None:
        if not refused:
            try:
                nothing.enqueue().get()
            except errors.WouldDeadlock as error:
                refused.append(str(error))

    with mill.worker():
        nothing.enqueue().get(timeout=45)
        nothing.enqueue().get(timeout=45)

    assert refused
    mill.close()


def test_absurd_durations_and_labels_are_refused_when_enqueued(tmp_path: Path) -> None:
    nothing = Mill(f"sqlite:///{tmp_path}/jobs.db").task(name="nothing")(lambda: None)

    for wrong in (
        {"delay": 3e11},
        {"result_ttl": 1e15},
        {"headers": {"a": "x" * 20_000}},
        {"tags": ["y" * 900] * 20},
    ):
        with pytest.raises(errors.InvalidOption):
            nothing.using(**wrong)
