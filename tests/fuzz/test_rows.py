"""Rows: whatever the tables can hold, the others' jobs run, and what looks at jobs goes on looking."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import taskmill
from taskmill import Mill, State, every
from taskmill._cli.main import main
from taskmill._core.filter import Filter
from taskmill._core.instant import SECOND
from taskmill._core.job import Reason
from taskmill.errors import TaskmillError

numbers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 10**18])
words = st.sampled_from(
    [
        *(
            "",
            "null",
            "[]",
            "{}",
            "[[],{}]",
            '[[],{"a":1}]',
            "[[",
            '"',
            "thread",
            "process",
            "asyncio",
            "alone",
        ),
        *(
            "queued",
            "running",
            "failed",
            "blocked",
            "elsewhere:good",
            "good",
            "no such",
            "\x1b[31m\n",
            "\x00",
        ),
        *Reason,
        *("every 1s", "every 0s", "cron * * * * * UTC", '{"type":1}', '{"kind":"E","message":[]}', "[1,2]"),
    ]
)
texts = (words | st.text(max_size=8)).map(lambda text: text.encode("utf-8", "replace")) | st.binary(
    max_size=8
)


def columns() -> dict[tuple[str, str], str]:
    """Of each table that is worked with; what kind of values each takes."""
    schema = Path(taskmill.__file__).parent / "_storage/sqlite/migrations/0001_initial.sql"
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema.read_text())
        return {
            (table, name): kind
            for table in ("job", "payload", "attempt", "lock", "schedule", "session")
            for _, name, kind, *_ in connection.execute(f"pragma table_info(taskmill_{table})")
            # The highest number there is leaves SQLite none for the next session or lock.
            if (table, name) not in {("session", "id"), ("lock", "id")}
        }


COLUMNS = columns()
GOOD = 3


class Damage(NamedTuple):
    table: str
    column: str
    value: object
    which: int


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    table, column = place = draw(st.sampled_from(sorted(COLUMNS)))
    value = draw(st.none() | (numbers if COLUMNS[place] == "INTEGER" else texts))
    return Damage(table, column, value, draw(st.integers(0, 5)))


def mill_at(path: Path) -> Mill:
    mill = Mill(f"sqlite:///{path}?durability=normal", lease=5)
    mill.task(name="good")(lambda number: 2 * number)
    mill.task(name="step")(lambda given=0: given)
    mill.task(name="bulky")(lambda data: data)
    mill.task(name="locked", lock="L")(lambda: None)
    mill.task(name="fails", retries=3, retry_delay=0)(lambda: 1 / 0)
    mill.task(name="slow", retries=3, retry_delay=1000)(lambda: 1 / 0)
    mill.periodic(every(days=300), name="tick")(lambda: None)
    return mill


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a bit of everything, in one file."""
    path = tmp_path_factory.mktemp("rows") / "jobs.db"
    with closing(mill_at(path)) as mill:
        task = {name: mill.app.tasks[name] for name in ("good", "step", "bulky", "locked", "fails", "slow")}
        task["slow"].enqueue()
        task["fails"].enqueue()
        with mill.worker(burst=True):
            pass
        (task["step"].s() | task["step"].s()).enqueue()
        task["locked"].enqueue()
        task["bulky"].enqueue("x" * 50_000)
        task["fails"].using(key="k", tags=["a"], headers={"b": "c"}, expires=1000).enqueue()
        storage = mill.app.storage
        session = storage.sessions.open(kind="worker", lease=SECOND)
        storage.jobs.turn(session, [], claim=1, wants={"thread": 2}, queues=None)
        storage.limits.acquire("M", session)
        for number in range(GOOD):
            task["good"].using(key=f"good{number}").enqueue(number)
    return path


def damage(path: Path, wrong: Damage) -> None:
    table, column = f"taskmill_{wrong.table}", wrong.column
    value = "cast(? as text)" if isinstance(wrong.value, bytes) else "?"
    spare = "where task <> 'good'" if wrong.table == "job" else ""
    key = {"schedule": "name", "payload": "job"}.get(wrong.table, "id")
    with closing(sqlite3.connect(path)) as connection, connection, suppress(sqlite3.IntegrityError):
        connection.text_factory = bytes
        rows = connection.execute(f"select cast({key} as text) from {table} {spare}").fetchall()  # noqa: S608
        if rows:
            [row] = sorted(rows)[wrong.which % len(rows)]
            change = f"update {table} set {column} = {value} where cast({key} as blob) = ?"  # noqa: S608
            connection.execute(change, (wrong.value, row))


def look(mill: Mill, *command: str) -> int:
    """The exit status of a command that only looks."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return main([*command, "--url", mill.url])


@settings(deadline=None, max_examples=settings.default.max_examples // 5)
@given(st.lists(damages(), min_size=1, max_size=3))
@example([Damage("job", "args", None, 0)])
@example([Damage("job", "job_id", b"\x80", 0)])
def test_damaged_rows_hold_up_nobody(whole: Path, wrong: list[Damage]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        shutil.copy(whole, path)
        for each in wrong:
            damage(path, each)
        with closing(mill_at(path)) as mill:
            again = mill.app.tasks["good"].enqueue(GOOD)
            with mill.worker(burst=True):
                pass

            assert again.get(timeout=0) == 2 * GOOD
            done = mill.app.storage.inspection.find(Filter(task="good"))
            assert [job.state for job in done] == [State.SUCCEEDED] * (GOOD + 1)
            assert mill.events(50)
            for job in mill.app.storage.inspection.find(limit=50):
                look(mill, "jobs", "show", job.job_id)
                with suppress(TaskmillError):
                    mill.result(job.job_id).get(timeout=0)
            looks = [
                ["jobs", "list"],
                ["jobs", "list", "--json"],
                ["jobs", "show", again.id],
                ["queues", "list"],
            ]
            assert [look(mill, *command) for command in looks] == [0] * len(looks)
