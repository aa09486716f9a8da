"""A Huey on a file; and the tutorial, which runs beside all other tests because it sleeps for most of its 54 s."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill.huey import SqliteHuey
from tests.huey.builders import Recorder
from tests.huey.tutorial import SOURCE, Run, Tutorial

RUNNING = pytest.StashKey[Tutorial]()


@pytest.fixture
def huey(tmp_path: Path) -> Iterator[SqliteHuey]:
    huey = SqliteHuey("app", filename=tmp_path / "huey.db", fsync=False)
    yield huey
    huey.mill.close()


@pytest.fixture
def recorder(huey: SqliteHuey) -> Recorder:
    return Recorder(huey)


def pytest_collection_finish(session: pytest.Session) -> None:
    is_wanted = any("tutorial" in getattr(item, "fixturenames", ()) for item in session.items)
    if is_wanted and SOURCE.exists() and not session.config.option.collectonly:
        session.config.stash[RUNNING] = Tutorial()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if RUNNING in session.config.stash:
        session.config.stash[RUNNING].end()


@pytest.fixture(scope="session")
def tutorial(request: pytest.FixtureRequest) -> Run:
    if RUNNING not in request.config.stash:
        pytest.skip(
            f"the tutorial is not part of this repository, and {SOURCE} is not there (TASKMILL_TUTORIAL)"
        )
    return request.config.stash[RUNNING].wait()
