"""The demo makes a file, and harms none."""

from __future__ import annotations

import fcntl
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from taskmill import Mill
from taskmill._cli.demo.file import clear, file_of, url_of
from taskmill.errors import ConfigurationError


def a_store(file: Path, *tasks: str) -> None:
    mill = Mill(url_of(file))
    for name in tasks:
        mill.task(name=name)(lambda: None).enqueue()
    if not tasks:
        mill.events()
        mill.app.storage.schedules.register(name="x", task="x", spec="every 1s")
    mill.close()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_where_no_file_is_nothing_happens(tmp_path: Path) -> None:
    clear(tmp_path / "demo.db")

    assert not content(tmp_path)


def test_that_of_an_earlier_demo_goes_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    file = tmp_path / "demo.db"
    a_store(file, "demo:add", "demo:note")
    sessions = tmp_path / "demo.db-sessions"
    sessions.mkdir(exist_ok=True)
    for name in ("7.lock", "7.lease", "11-0.asks", "11-0.bell"):
        (sessions / name).touch()
    (tmp_path / "demo.db-wal").touch()
    (tmp_path / "other.db").touch()

    clear(file)

    assert [path.name for path in tmp_path.iterdir()] == ["other.db"]


def test_a_file_that_is_in_a_folder_of_that_name_stays(tmp_path: Path) -> None:
    file = tmp_path / "demo.db"
    a_store(file, "demo:add")
    sessions = tmp_path / "demo.db-sessions"
    sessions.mkdir(exist_ok=True)
    (sessions / "thesis.txt").touch()

    clear(file)

    assert not file.exists()
    assert (sessions / "thesis.txt").exists()


def a_text(file: Path) -> None:
    file.write_text("my thesis")


def an_empty_file(file: Path) -> None:
    file.touch()


def a_folder(file: Path) -> None:
    file.mkdir()


def a_link_to_a_demo(file: Path) -> None:
    a_store(file.with_name("real.db"), "demo:add")
    file.symlink_to(file.with_name("real.db"))


def a_link_to_nothing(file: Path) -> None:
    file.symlink_to("nowhere")


def a_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create table thesis (chapter text)")


def a_damaged_database(file: Path) -> None:
    file.write_bytes(b"SQLite format 3\0" + b"thesis" * 1000)


def a_demo_with_a_table_in_it(file: Path) -> None:
    a_store(file, "demo:add")
    a_database(file)


def a_store_of_somebody_else(file: Path) -> None:
    a_store(file, "demo.add")


def a_demo_with_a_job_in_it(file: Path) -> None:
    a_store(file, "demo:add", "shop.order")


def a_store_without_jobs(file: Path) -> None:
    a_store(file)


@pytest.mark.parametrize(
    "make, reason",
    [
        (a_text, "is no SQLite database"),
        (an_empty_file, "is no SQLite database"),
        (a_folder, "is no regular file"),
        (a_link_to_a_demo, "is no regular file"),
        (a_link_to_nothing, "is no regular file"),
        (a_database, "holds a table of somebody else, thesis"),
        (a_damaged_database, "cannot be read as that of an earlier demo"),
        (a_demo_with_a_table_in_it, "holds a table of somebody else, thesis"),
        (a_store_of_somebody_else, "holds jobs of somebody else, of the task demo.add"),
        (a_demo_with_a_job_in_it, "holds jobs of somebody else, of the task shop.order"),
        (a_store_without_jobs, "holds no jobs"),
    ],
)
def test_anything_else_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    file = tmp_path / "demo.db"
    make(file)
    before = content(tmp_path)

    with pytest.raises(ConfigurationError, match=reason) as refusal:
        clear(file)

    assert "--file" in str(refusal.value)
    assert content(tmp_path) == before


def test_one_that_a_process_works_with_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "demo.db"
    a_store(file, "demo:add")
    lock = tmp_path / "demo.db-sessions" / "1.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("wb") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        # The lock is this process's own: another one must ask.
        code = (
            f"from pathlib import Path; from taskmill._cli.demo.file import clear; clear(Path({str(file)!r}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "is in use by a demo or a worker" in done.stderr
    assert file.exists()


@pytest.mark.parametrize("name", ["demo.db", "with space.db", "50%.db", "what?.db", "ü#&.db"])
def test_a_url_names_its_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / name

    a_store(file, "demo:add")

    assert file.exists()
    assert file_of(url_of(file)) == file
    assert file_of(url_of(Path(name))) == Path(name)
